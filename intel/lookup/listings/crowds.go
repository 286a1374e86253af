package listings

import "sort"

// crowds has the number of entries of each prefix that has many, by its first entry. The
// entries of a prefix are in the order of their ports, so that those of one port are
// found among all 65,535 without looking at each.
type crowds map[uint32]uint32

// crowd is how many entries of a prefix are looked at one by one. There are few prefixes
// with more, so that crowds take less than two bytes an entry of a set.
const crowd = 16

// note notes a prefix that has n entries, if that is many.
func (c crowds) note(first uint32, n int) {
	if n > crowd {
		c[first] = uint32(n)
	}
}

// skip gives the first entry from i on, among those of the prefix that begins with
// first, that has a port of at least the given one, or the last entry of the prefix. The
// entry i has a lower port; without a crowd it is the next one.
func (s *Set) skip(first, i uint32, port uint16) uint32 {
	n := s.crowds[first]
	if n == 0 {
		return i + 1
	}
	last := first + n - 1
	return i + 1 + uint32(sort.Search(int(last-i-1), func(k int) bool { return s.entries.at(i+1+uint32(k)).port >= port }))
}

// relevant yields the entries of a prefix that are without a port or of the given one.
// It reports false when yield has.
func (s *Set) relevant(first uint32, port uint16, yield func(*Entry) bool) bool {
	for i, skipped := first, false; ; {
		e := s.entries.at(i)
		if e.port > port {
			return true
		}
		other := e.port != 0 && e.port != port
		if !other && !yield(e) {
			return false
		}
		switch {
		case e.flags&lastOfPrefix != 0:
			return true
		case other && !skipped && i-first >= crowd-1:
			i, skipped = s.skip(first, i, port), true
		default:
			i++
		}
	}
}

// countAt gives the number of entries of a prefix that are without a port or of the
// given one, and the best score of them.
func (s *Set) countAt(first uint32, port uint16) (n int, best uint8) {
	size := s.crowds[first]
	if size == 0 {
		s.relevant(first, port, func(e *Entry) bool {
			n++
			best = max(best, e.score)
			return true
		})
		return n, best
	}
	below := func(least int) int {
		return sort.Search(int(size), func(k int) bool { return int(s.entries.at(first+uint32(k)).port) >= least })
	}
	// The entries of one port come with the best first.
	if n = below(1); n > 0 {
		best = s.entries.at(first).score
	}
	if port == 0 {
		return n, best
	}
	from, to := below(int(port)), below(int(port)+1)
	if to > from {
		best = max(best, s.entries.at(first+uint32(from)).score)
	}
	return n + to - from, best
}
