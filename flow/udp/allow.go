package udp

import (
	"net/netip"
	"slices"
	"sync"
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

// contains wants an unmapped address; its zone does not matter.
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
// remembers the verdict on the last sender. Only fresh is shared.
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

// use forgets what was found with another list.
func (g *gate) use(list *allowList) {
	if list == g.list {
		return
	}
	g.list, g.last = list, netip.Addr{}
	clear(g.named)
	g.top = topSenders{}
	g.share()
}

// admits tells whether the sender is on the list, and if not, whether it has been
// named.
func (g *gate) admits(a netip.Addr) (admitted, named bool) {
	if g.list == nil {
		return true, false
	}
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
