package sinks

// MaxProofs is how many canaries may wait for a holder to be sure of them.
const MaxProofs = maxProofs

// Proofs gives how many do.
func (r *Runner) Proofs() int { return len(r.proofs) }
