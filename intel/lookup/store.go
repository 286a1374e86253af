package lookup

import "sync/atomic"

// A Store holds the table in force. Tables never change, so a reader takes one
// with Load and uses it as long as it likes; a reload builds the next one aside.
type Store struct{ table atomic.Pointer[Table] }

// NewStore makes a store with the empty table in it.
func NewStore() *Store {
	s := new(Store)
	s.table.Store(new(Table))
	return s
}

// Load gives the table in force; it is never nil.
func (s *Store) Load() *Table { return s.table.Load() }

// Swap puts t into force and gives the table that was. A nil t stands for the
// empty table.
func (s *Store) Swap(t *Table) (old *Table) {
	if t == nil {
		t = new(Table)
	}
	return s.table.Swap(t)
}
