package sinks

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// maxProofs bounds the canaries that wait for a [Holder] to be sure of them.
const maxProofs = 64

// A proof is a canary that the sink has taken.
type proof struct {
	number uint64 // events delivered up to it
	canary intel.Canary
	at     time.Time
}

// OnCanary has f told of every canary that the sink has delivered, and when: of a
// [Holder] once it is sure of it. The goroutine that delivers calls f. It must be
// called before Start.
func (r *Runner) OnCanary(f func(c intel.Canary, at time.Time)) { r.onCanary = f }

// prove notes the canaries among the next n events of the batch, which the sink has
// just taken.
func (r *Runner) prove(n int, at time.Time) {
	if r.onCanary == nil {
		return
	}
	for i := r.batch.sent; i < r.batch.sent+n; i++ {
		if e := &r.batch.events[i]; e.Kind == intel.KindCanary {
			r.proofs = append(r.proofs, proof{r.batch.marks[i].Delivered + 1, e.Canary(), at})
		}
	}
	if over := len(r.proofs) - maxProofs; over > 0 {
		r.proofs = slices.Delete(r.proofs, 0, over)
	}
}

// unprove forgets the canaries that are to be sent again.
func (r *Runner) unprove(delivered uint64) {
	r.proofs = slices.DeleteFunc(r.proofs, func(p proof) bool { return p.number > delivered })
}

// tellProofs tells of the canaries among the events that the sink is sure of.
func (r *Runner) tellProofs(certain uint64) {
	n := 0
	for ; n < len(r.proofs) && r.proofs[n].number <= certain; n++ {
		r.onCanary(r.proofs[n].canary, r.proofs[n].at)
	}
	r.proofs = slices.Delete(r.proofs, 0, n)
}
