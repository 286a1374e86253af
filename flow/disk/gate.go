package disk

// A Gate is a mutex that is held for as long as the disk likes. Unlike [sync.Mutex] it is
// a wait that testing/synctest understands.
type Gate chan struct{}

// NewGate gives a gate that is free.
func NewGate() Gate { return make(Gate, 1) }

// Lock waits until the gate is free.
func (g Gate) Lock() { g <- struct{}{} }

// Unlock frees it.
func (g Gate) Unlock() { <-g }
