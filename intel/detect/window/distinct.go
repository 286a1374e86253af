package window

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Exact is how many distinct values are counted exactly.
const Exact = 256

// A Value is what is counted, as in package rule.
type Value = flow.Addr6

// A Seen is one value that was seen in the window. Count is how often since First, which is
// when the value came after it had not been seen for a whole window.
type Seen struct {
	Value       Value
	First, Last uint32 // slots
	Count       uint32
}

// A Distinct counts distinct values within a sliding window: exactly as long as there are at
// most [Exact], then by a sample of them (adaptive sampling, Flajolet 1990): the values whose
// hash ends with a number of zero bits, each of which stands for 2 to that number. A
// HyperLogLog would take a little less memory, but cannot forget what leaves the window, and
// has nothing to show of the values. The zero Distinct is empty.
type Distinct struct {
	seen  []Seen
	level uint8
	// floor is the greatest number of values that a folded observation had, and its slot.
	floor   uint32
	floorAt uint32
}

// Add counts a value n times in a slot. seed makes the hash, so that nobody outside can
// choose values that are all kept or all left out.
func (d *Distinct) Add(v Value, slot, n, span uint32, seed uint64) {
	if hash(v, seed)&(1<<d.level-1) != 0 {
		return
	}
	for i := len(d.seen) - 1; i >= 0; i-- { // rows come in order: it is often the last one
		if s := &d.seen[i]; s.Value == v {
			s.add(slot, n, span)
			return
		}
	}
	d.seen = append(d.seen, Seen{v, slot, slot, n})
	if len(d.seen) > Exact {
		d.shrink(slot, span, seed)
	}
}

func (s *Seen) add(slot, n, span uint32) {
	if slot > s.Last && slot-s.Last >= span {
		*s = Seen{s.Value, slot, slot, n}
		return
	}
	s.First, s.Last = min(s.First, slot), max(s.Last, slot)
	s.Count = flow.Sum(s.Count, n)
}

// AddFolded counts an observation that stands for n values, which are not known.
func (d *Distinct) AddFolded(n, slot, span uint32) {
	if n >= d.floor || !within(d.floorAt, slot, span) {
		d.floor, d.floorAt = n, max(slot, d.floorAt)
	}
}

// shrink makes room: first what has left the window, then half of the sample.
func (d *Distinct) shrink(now, span uint32, seed uint64) {
	d.seen = slices.DeleteFunc(d.seen, func(s Seen) bool { return s.Last < now && !within(s.Last, now, span) })
	for len(d.seen) > Exact && d.level < 63 {
		d.level++
		d.seen = slices.DeleteFunc(d.seen, func(s Seen) bool { return hash(s.Value, seed)&(1<<d.level-1) != 0 })
	}
}

// Count is the number of distinct values in the window that ends at now, of those that were
// seen from least to most times. It is exact, or an estimate of a standard error.
func (d *Distinct) Count(now, span uint32, least, most uint64) (n uint64, failure float64) {
	for i := range d.seen {
		s := &d.seen[i]
		if within(s.Last, now, span) && uint64(s.Count) >= least && uint64(s.Count) <= most {
			n++
		}
	}
	if d.level > 0 {
		failure = 1 / math.Sqrt(float64(max(n, 1)))
		n <<= d.level
	}
	if within(d.floorAt, now, span) {
		n = max(n, uint64(d.floor))
	}
	return n, failure
}

// Values gives those that are known of the window, which are a sample when Count is an
// estimate, each of scale values. The most frequent is first.
func (d *Distinct) Values(now, span uint32) (list []Seen, scale uint64) {
	for _, s := range d.seen {
		if within(s.Last, now, span) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Seen) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.Value.Compare(b.Value))
	})
	return list, 1 << d.level
}

// Last is the latest slot in which something was counted.
func (d *Distinct) Last() (last uint32) {
	for i := range d.seen {
		last = max(last, d.seen[i].Last)
	}
	return max(last, d.floorAt)
}

// Bytes is the memory that the values take, beside the struct.
func (d *Distinct) Bytes() int { return cap(d.seen) * 32 }

// hash mixes a value with two multiplications of 64 by 64 bits.
func hash(v Value, seed uint64) uint64 {
	hi, lo := bits.Mul64(v.Lo^seed, 0x9e3779b97f4a7c15)
	x := hi ^ lo ^ v.Hi
	hi, lo = bits.Mul64(x^bits.RotateLeft64(seed, 32), 0xd6e8feb86659fd93)
	return hi ^ lo
}
