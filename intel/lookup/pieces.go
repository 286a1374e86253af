package lookup

import (
	"iter"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel"
)

// Pieces yields all that is listed as ranges that do not overlap, in the order of
// addresses, IPv4 first, each with what lists every address in it. Where a listing, an
// exclusion, the allowlist or a warninglist begins or ends, a range does. Of the
// indicators those without a port are those that [Table.Find] has for port 0, those with a
// port those that it has for that port and that name it; IPv4 addresses within IPv6
// addresses are not considered, and 0.0.0.0 and :: are what the prefixes around them are. Pieces that nothing lists are left out. The slice is valid
// until yield returns.
func (t *Table) Pieces() iter.Seq2[netipx.IPRange, []intel.Indicator] {
	return func(yield func(netipx.IPRange, []intel.Indicator) bool) {
		c := cutter{table: t}
		next, stop := iter.Pull(t.set.Prefixes())
		defer stop()
		for p, ok := next(); ok; {
			widest := p
			c.edges = c.edges[:0]
			for p, ok = next(); ok && widest.Overlaps(p); p, ok = next() { // those within come next
				c.cutAt(widest, p)
			}
			if !c.pieces(widest, yield) {
				return
			}
		}
	}
}

// A cutter cuts prefixes where what is known of their addresses changes.
type cutter struct {
	table      *Table
	edges      []netip.Addr // first addresses of pieces, but for that of the whole
	indicators []intel.Indicator
	ports      []uint16
}

// cutAt notes both ends of q where they are within p.
func (c *cutter) cutAt(p, q netip.Prefix) {
	if q.Addr() != p.Addr() {
		c.edges = append(c.edges, q.Addr())
	}
	if after := netipx.PrefixLastIP(q).Next(); p.Contains(after) {
		c.edges = append(c.edges, after)
	}
}

// pieces yields the pieces of a prefix that no other covers.
func (c *cutter) pieces(p netip.Prefix, yield func(netipx.IPRange, []intel.Indicator) bool) bool {
	if p.IsSingleIP() {
		list := c.standing(p.Addr())
		return len(list) == 0 || yield(netipx.RangeOfPrefix(p), list)
	}
	c.guards(p)
	slices.SortFunc(c.edges, netip.Addr.Compare)
	c.edges = slices.Compact(c.edges)
	from, last := p.Addr(), netipx.PrefixLastIP(p)
	for i := 0; i <= len(c.edges); i++ {
		to := last
		if i < len(c.edges) {
			to = c.edges[i].Prev()
		}
		if list := c.standing(from); len(list) > 0 && !yield(netipx.IPRangeFrom(from, to), list) {
			return false
		}
		from = to.Next()
	}
	return true
}

// guards cuts where the judgement on the addresses of p changes.
func (c *cutter) guards(p netip.Prefix) {
	t := c.table
	if t.guards.allow != nil {
		for q := range t.guards.allow.Within(p) {
			c.cutAt(p, q)
		}
	}
	for _, w := range t.guards.lists {
		for q := range w.Within(p) {
			c.cutAt(p, q)
		}
	}
	if t.exclude != nil {
		for q := range t.exclude.Subnets(p) {
			c.cutAt(p, q)
		}
	}
}

// standing gives what lists an address, at all ports.
func (c *cutter) standing(a netip.Addr) []intel.Indicator {
	t := c.table
	f := form{t, a, 0, t.allowed(a)}
	c.indicators = f.appendIndicators(c.indicators[:0])
	c.ports = t.set.Ports(a, c.ports[:0])
	for _, port := range c.ports {
		f.port = port
		from := len(c.indicators)
		c.indicators = f.appendIndicators(c.indicators)
		added := slices.DeleteFunc(c.indicators[from:], func(ind intel.Indicator) bool { return ind.Port != port })
		c.indicators = c.indicators[:from+len(added)]
	}
	sortListings(c.indicators)
	return c.indicators
}

// Untouchable gives the addresses that must be in no list of what to block, whoever lists
// them: the home networks, what the operator allows, the operator's prefixes for NAT64,
// special-purpose space, and what everybody talks to by [intel.CriticalServices] and the
// warninglists.
func (t *Table) Untouchable() (*netipx.IPSet, error) {
	var b netipx.IPSetBuilder
	b.AddSet(intel.SpecialSpace())
	for _, p := range slices.Concat(t.guards.embedding.NAT64(), intel.CriticalServices()) {
		b.AddPrefix(p)
	}
	for _, n := range []*intel.Networks{t.guards.home, t.guards.allow} {
		if n == nil {
			continue
		}
		for p := range n.Prefixes() {
			b.AddPrefix(p)
		}
	}
	for _, w := range t.guards.lists {
		if w.Class != intel.ClassInfrastructure {
			continue
		}
		for p := range w.Prefixes() {
			b.AddPrefix(p)
		}
	}
	return b.IPSet()
}
