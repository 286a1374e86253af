package window

import (
	"cmp"
	"math"
	"slices"
)

// maxTouches is how many contacts with a host are remembered of one address. A condition of
// lockstep can ask for so many ports, see rule.MaxSteps.
const maxTouches = 256

// A Touch is one contact of a port, in its second.
type Touch struct {
	At       uint32 // s since 1970 UTC
	Port     uint16
	Protocol uint8
}

func (t Touch) compare(o Touch) int {
	return cmp.Or(cmp.Compare(t.key(), o.key()), cmp.Compare(t.At, o.At))
}

// key is protocol and port.
func (t Touch) key() uint32 { return uint32(t.Protocol)<<16 | uint32(t.Port) }

// A Track is which ports of a host one address has touched within the window, and when. The
// zero Track is empty.
type Track struct {
	touches []Touch // by protocol, port and time
	more    bool    // it had more than there is room for
}

// Add adds a touch. What is older than oldest is forgotten when there is no room.
func (t *Track) Add(x Touch, oldest uint32) {
	i, found := slices.BinarySearchFunc(t.touches, x, Touch.compare)
	if found {
		return
	}
	if len(t.touches) >= maxTouches {
		t.Forget(oldest)
		if len(t.touches) >= maxTouches {
			t.more = true
			return
		}
		i, _ = slices.BinarySearchFunc(t.touches, x, Touch.compare)
	}
	t.touches = slices.Insert(t.touches, i, x)
}

// Forget removes what is older than oldest.
func (t *Track) Forget(oldest uint32) {
	t.touches = slices.DeleteFunc(t.touches, func(x Touch) bool { return x.At < oldest })
	t.more = t.more && len(t.touches) > 0
}

// Ports is the number of different ports since oldest.
func (t *Track) Ports(oldest uint32) int { return t.PortsBetween(oldest, math.MaxUint32) }

// Last is the time of the latest touch.
func (t *Track) Last() (last uint32) {
	for _, x := range t.touches {
		last = max(last, x.At)
	}
	return last
}

// Bytes is the memory that the touches take, beside the struct.
func (t *Track) Bytes() int { return cap(t.touches) * 8 }

// InStep gives touches, one for each port, that a and b have both made within so many seconds
// of each other: those of the span of so many seconds that has most of them, of all spans
// that end with one of them and for which holds. Each has the time of the later of both.
// holds is given their number, and the ports that a and b have touched in the span, whichever
// are fewer. What either touches afterwards changes nothing: so the answer is the same
// whether it is looked for every minute or once an hour.
func InStep(a, b *Track, within, oldest, seconds uint32, holds func(shared, fewest int) bool) (best []Touch) {
	all := inStep(a, b, within, oldest)
	slices.SortFunc(all, func(a, b Touch) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.key(), b.key())) })
	for to := len(all) - 1; to >= len(best); to-- {
		begin := all[to].At - min(seconds, all[to].At)
		from, _ := slices.BinarySearchFunc(all, begin, func(t Touch, at uint32) int { return cmp.Compare(t.At, at) })
		n := to + 1 - from
		if n > len(best) && holds(n, min(a.PortsBetween(begin, all[to].At), b.PortsBetween(begin, all[to].At))) {
			best = all[from : to+1]
		}
	}
	return best
}

func inStep(a, b *Track, within, oldest uint32) (shared []Touch) {
	j := 0
	for _, x := range a.touches {
		if x.At < oldest || len(shared) > 0 && shared[len(shared)-1].key() == x.key() {
			continue
		}
		for j < len(b.touches) && b.touches[j].key() < x.key() {
			j++
		}
		for k := j; k < len(b.touches) && b.touches[k].key() == x.key(); k++ {
			y := b.touches[k]
			if y.At >= oldest && max(x.At, y.At)-min(x.At, y.At) <= within {
				x.At = max(x.At, y.At)
				shared = append(shared, x)
				break
			}
		}
	}
	return shared
}

// PortsBetween is the number of different ports from one time to another.
func (t *Track) PortsBetween(from, to uint32) (n int) {
	last, first := uint32(0), true
	for _, x := range t.touches {
		if x.At >= from && x.At <= to && (first || x.key() != last) {
			last, first = x.key(), false
			n++
		}
	}
	return n
}
