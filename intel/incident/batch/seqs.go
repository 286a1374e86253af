package batch

import "math/bits"

// Seqs are the numbers of events of one contact that were seen. The urgent lane of the
// journal comes first, so that number 3 may come before 1. Those more than 63 below the
// highest count as seen.
type Seqs struct {
	Top      uint32 // the highest; 0 = none
	Seen     uint64 // bit n is Top - n
	Silenced uint64 // likewise, those of them that were silenced
}

// Add adds a number; false means that it was seen before.
func (s *Seqs) Add(seq uint32, silenced bool) bool {
	if seq > s.Top {
		s.raise(seq)
	}
	d := s.Top - seq
	if d > 63 || s.Seen&(1<<d) != 0 {
		return false
	}
	s.Seen |= 1 << d
	if silenced {
		s.Silenced |= 1 << d
	}
	return true
}

// raise moves the highest number up.
func (s *Seqs) raise(top uint32) {
	d := top - s.Top
	s.Top, s.Seen, s.Silenced = top, s.Seen<<d, s.Silenced<<d
}

// Merge adds all numbers of n, and gives how many of them had not been seen, and how many of
// these are silenced.
func (s *Seqs) Merge(n Seqs) (fresh, silenced int) {
	if n.Top > s.Top {
		s.raise(n.Top)
	} else {
		d := s.Top - n.Top
		n.Seen, n.Silenced = n.Seen<<d, n.Silenced<<d
	}
	unseen := n.Seen &^ s.Seen
	s.Seen |= unseen
	s.Silenced |= n.Silenced & unseen
	return bits.OnesCount64(unseen), bits.OnesCount64(n.Silenced & unseen)
}
