package udp

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// An allowList is an immutable set of prefixes: sorted, none within another, so
// that the only one that can contain an address is the last that begins at or
// before it.
type allowList struct{ prefixes []netip.Prefix }

// newAllowList skips invalid prefixes; Config.Validate reports them.
func newAllowList(prefixes []netip.Prefix) *allowList {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p = unmapPrefix(p).Masked(); p.IsValid() {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	l := &allowList{}
	for _, p := range sorted {
		if !l.contains(p.Addr()) {
			l.prefixes = append(l.prefixes, p)
		}
	}
	return l
}

// unmapPrefix turns ::ffff:192.0.2.0/120 into 192.0.2.0/24: senders are compared
// unmapped.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// contains reports whether the list has an address, which must be unmapped; its zone does
// not matter.
func (l *allowList) contains(a netip.Addr) bool {
	a = a.WithZone("")
	i, found := slices.BinarySearchFunc(l.prefixes, a, func(p netip.Prefix, a netip.Addr) int {
		return p.Addr().Compare(a)
	})
	return found || i > 0 && l.prefixes[i-1].Contains(a)
}

// maxNamed is how many refused senders a gate remembers.
const maxNamed = 64

// A gate applies an allow list for one reader. Exporters send runs, so it
// remembers the verdict on the last sender. Only fresh and shared are read by others.
type gate struct {
	list          *allowList // that last and named belong to
	last          netip.Addr
	admitted, tag bool // verdict on last; tag: last is in named

	named map[netip.Addr]struct{}
	top   topSenders // of the batch at work and all before, with this list

	mu     sync.Mutex
	fresh  []netip.Addr // named since takeFresh
	shared topSenders   // top, as of the last batch
}

// use takes another list, and forgets what was found with the last one.
func (g *gate) use(list *allowList) {
	g.list, g.last = list, netip.Addr{}
	clear(g.named)
	g.top = topSenders{}
	g.share()
}

// admits reports whether the sender is on the list, which there must be, and if not,
// whether it has been named.
func (g *gate) admits(a netip.Addr) (admitted, named bool) {
	if a != g.last {
		g.last = a
		g.admitted = g.list.contains(a)
		g.tag = !g.admitted && g.name(a)
	}
	return g.admitted, g.tag
}

// name remembers a refused sender while there is room, and has it reported the
// first time.
func (g *gate) name(a netip.Addr) bool {
	if _, ok := g.named[a]; ok {
		return true
	}
	if len(g.named) >= maxNamed || !g.report(a) {
		return false
	}
	if g.named == nil {
		g.named = make(map[netip.Addr]struct{}, maxNamed)
	}
	g.named[a] = struct{}{}
	return true
}

// report keeps fresh bounded even if nobody takes it while lists come and go.
func (g *gate) report(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.fresh) >= maxNamed {
		return false
	}
	g.fresh = append(g.fresh, a)
	return true
}

func (g *gate) takeFresh() []netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := g.fresh
	g.fresh = nil
	return fresh
}

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
