package table

import "math/bits"

// An index finds the numbers of entries by their hashes: open addressing, one place after
// the other, at most three quarters full. A place holds the number + 1 in its low bits and
// the same bits of the hash's upper half in the others; 0 is free.
//
// Only the first mask + 1 places are in use, as many as the entries need: a small site
// does not spread its few contacts over megabytes.
type index struct {
	slots []uint32
	mask  uint32
	// low are the bits of a place that hold the number.
	low uint32
	// used is the number of entries, limit the greatest one, usual that up to which
	// Update goes on unless it must lose contacts.
	used, limit, usual int
}

// least is the smallest number of places in use.
const least = 1024

func newIndex(limit int) index {
	size := least
	for size/4*3 < limit {
		size *= 2
	}
	return index{
		slots: make([]uint32, size), mask: least - 1, low: 1<<bits.Len(uint(limit)) - 1,
		limit: limit, usual: limit - limit/spare,
	}
}

// size is the number of places in use.
func (x *index) size() int { return int(x.mask) + 1 }

// probe returns the number of the first entry from place at on that may have the hash, and
// the place after it; -1 when there is none.
func (x *index) probe(at uint32, hash uint64) (next uint32, n int) {
	for {
		s := x.slots[at&x.mask]
		at++
		if s == 0 {
			return at, -1
		}
		if (s^uint32(hash>>32))&^x.low == 0 {
			return at, int(s&x.low) - 1
		}
	}
}

// put enters number n at the first free place.
func (x *index) put(hash uint64, n int) {
	at := uint32(hash)
	for x.slots[at&x.mask] != 0 {
		at++
	}
	x.slots[at&x.mask] = uint32(hash>>32)&^x.low | uint32(n+1)
}

// opens reports whether there is room for a new entry.
func (x *index) opens(tiny, lose bool) bool {
	if lose {
		return !tiny && x.used < x.limit
	}
	return x.used < x.usual
}

// crowded reports whether n more entries need more places.
func (x *index) crowded(n int) bool {
	return x.used+n > x.size()/4*3 && x.size() < len(x.slots)
}

// double takes twice the places in use, all of them free: the caller enters the entries again.
func (x *index) double() {
	x.mask = x.mask*2 + 1
	clear(x.slots[:x.size()])
}

// reset takes all entries out. After an interval with far fewer of them than places, it
// halves the places.
func (x *index) reset() {
	clear(x.slots[:x.size()])
	if x.size() > least && x.used < x.size()/8 {
		x.mask /= 2
	}
	x.used = 0
}
