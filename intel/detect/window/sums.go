package window

import "github.com/flowsnitch/flowsnitch/flow"

// Sums adds up numbers by slot. The zero Sums is empty.
type Sums struct{ slots []slotSum }

type slotSum struct {
	slot uint32
	n    uint64
}

// Add adds n in a slot, and forgets what is not within the window of span slots that ends at
// the latest slot.
func (s *Sums) Add(slot uint32, n uint64, span uint32) {
	i := len(s.slots)
	for i > 0 && s.slots[i-1].slot > slot {
		i--
	}
	if i > 0 && s.slots[i-1].slot == slot {
		s.slots[i-1].n = flow.Sum(s.slots[i-1].n, n)
		return
	}
	s.slots = append(s.slots, slotSum{})
	copy(s.slots[i+1:], s.slots[i:])
	s.slots[i] = slotSum{slot, n}
	s.forget(s.slots[len(s.slots)-1].slot, span)
}

func (s *Sums) forget(now, span uint32) {
	n := 0
	for n < len(s.slots) && !within(s.slots[n].slot, now, span) {
		n++
	}
	s.slots = append(s.slots[:0], s.slots[n:]...)
}

// Sum is that of the window that ends at now.
func (s *Sums) Sum(now, span uint32) (sum uint64) {
	for _, x := range s.slots {
		if within(x.slot, now, span) {
			sum = flow.Sum(sum, x.n)
		}
	}
	return sum
}

// Bytes is the memory that the sums take, beside the struct.
func (s *Sums) Bytes() int { return cap(s.slots) * 16 }

// within reports whether a slot is in the window of span slots that ends at now.
func within(slot, now, span uint32) bool { return slot <= now && now-slot < span }
