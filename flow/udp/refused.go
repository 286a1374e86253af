package udp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// maxTop is how many refused senders are counted one by one.
const maxTop = 16

// A RefusedSender is a sender whose datagrams are not accepted.
type RefusedSender struct {
	Addr netip.Addr
	// Datagrams is the number of its datagrams, at most: with more than 16 senders a
	// new one takes the place, and the number, of the one that had fewest.
	Datagrams uint64
	// Certain is the part of Datagrams that are surely its own.
	Certain uint64
	Last    time.Time // when its last datagram came
}

// topSenders are the senders with the most datagrams (Metwally and others, Space-Saving:
// one that sent more than a 16th of all is among them).
type topSenders struct {
	list [maxTop]RefusedSender
	n    int
}

// add counts a datagram.
func (t *topSenders) add(a netip.Addr, now time.Time) {
	least := 0
	for i := range t.n {
		s := &t.list[i]
		if s.Addr == a {
			s.Datagrams++
			s.Certain++
			s.Last = now
			return
		}
		if s.Datagrams < t.list[least].Datagrams {
			least = i
		}
	}
	if t.n < maxTop {
		t.list[t.n] = RefusedSender{a, 1, 1, now}
		t.n++
		return
	}
	t.list[least] = RefusedSender{a, t.list[least].Datagrams + 1, 1, now}
}

// share shows the counts of a batch to those who look.
func (g *gate) share() {
	g.mu.Lock()
	g.shared = g.top
	g.mu.Unlock()
}

// RefusedSenders gives the senders that were refused most often since the last call of
// SetAllow, at most 16 of them, the most frequent first. Any goroutine may call it.
func (s *Socket) RefusedSenders() []RefusedSender {
	s.gate.mu.Lock()
	t := s.gate.shared
	s.gate.mu.Unlock()
	list := slices.Clone(t.list[:t.n])
	slices.SortFunc(list, func(a, b RefusedSender) int {
		return cmp.Or(cmp.Compare(b.Datagrams, a.Datagrams), a.Addr.Compare(b.Addr))
	})
	return list
}
