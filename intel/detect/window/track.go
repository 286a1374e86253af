package window

import (
	"cmp"
	"math"
	"slices"
)

// maxTouches is how many ports of a host one address is remembered with.
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

// InStep gives the touches of a, one for each port, that b has made within so many seconds
// as well, both since oldest.
func InStep(a, b *Track, within, oldest uint32) (shared []Touch) {
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
				shared = append(shared, x)
				break
			}
		}
	}
	return shared
}

// MostWithin gives the touches of the span of so many seconds that has most of them.
func MostWithin(touches []Touch, seconds uint32) []Touch {
	slices.SortFunc(touches, func(a, b Touch) int { return cmp.Compare(a.At, b.At) })
	var best []Touch
	from := 0
	for to := range touches {
		for touches[to].At-touches[from].At > seconds {
			from++
		}
		if n := to + 1 - from; n > len(best) {
			best = touches[from : to+1]
		}
	}
	return best
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
