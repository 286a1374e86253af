package store

// Pruned is what was forgotten.
type Pruned struct {
	Old      uint64 // incidents that were silent for too long
	Over     uint64 // incidents that were too many: the least severe, longest silent
	Contacts uint64
}
