package intel

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A Match is what a table says of one address and port. It is a plain value, to be
// kept and copied; it keeps its table alive, so what lives long should keep its
// Indicators instead. The zero value is empty.
type Match struct {
	table *Table
	addr  netip.Addr
	port  uint16
	best  uint8 // score, before a warninglist lowers it
	n     int
	loose *loose // in place of a table
}

// loose are listings that stand in no table.
type loose struct {
	version    string
	indicators []Indicator
}

// MatchOf makes a match of listings of one address that stand in no table, such as the
// answers of a DNS block list. The version is the name of that state. The match keeps
// the slice.
func MatchOf(version string, listings []Indicator) Match {
	sortListings(listings)
	m := Match{n: len(listings), loose: &loose{version, listings}}
	if m.n > 0 {
		m.best = listings[0].Score
	}
	return m
}

// Find looks up an address with the port at its end of the flow; port 0 means that
// there is none. It weighs all that Match4, Match6 and Contains leave out: an entry
// with a port counts at that port only; what the operator allows or a warninglist
// knows as infrastructure is not listed, except by the operator's own word; within
// one feed an exclusion at least as long as the entry takes it out. What only a
// warninglist has stopped is counted there.
func (t *Table) Find(a netip.Addr, port uint16) Match {
	m := Match{table: t, addr: a.Unmap().WithZone(""), port: port}
	if !t.Contains(m.addr) {
		return Match{}
	}
	by := t.guards.warned(m.addr, ClassInfrastructure)
	if by == nil && t.allCount(m.addr) {
		for _, first := range t.trie.Supernets(netip.PrefixFrom(m.addr, m.addr.BitLen())) {
			n, best := t.countAt(first, port)
			m.n += n
			m.best = max(m.best, best)
		}
		return m
	}
	stopped := false
	for _, e := range m.candidates {
		if by != nil && e.origin() == OriginFeed {
			stopped = true
			continue
		}
		m.n++
		m.best = max(m.best, e.score)
	}
	if stopped && m.n == 0 {
		by.Stopped.Add(1)
	}
	return m
}

// Empty reports whether nothing lists the address.
func (m Match) Empty() bool { return m.n == 0 }

// Len gives the number of Indicators.
func (m Match) Len() int { return m.n }

// MaxScore gives a score that no Indicator exceeds, at less cost than asking them: that
// of the best one, but for what a warninglist takes from it.
func (m Match) MaxScore() uint8 { return m.best }

// Version is the version of the table that was asked.
func (m Match) Version() string {
	switch {
	case m.loose != nil:
		return m.loose.version
	case m.table == nil:
		return ""
	}
	return m.table.version
}

// Indicators gives all that lists the address, the best first: by score, then the
// longest prefix, then the name of the feed. Score and category are what remains of
// them where a warninglist has the address. The slice is the caller's.
func (m Match) Indicators() []Indicator {
	switch {
	case m.n == 0:
		return nil
	case m.loose != nil:
		return slices.Clone(m.loose.indicators)
	}
	out := make([]Indicator, 0, m.n)
	own := make([]bool, 0, m.n)
	for p, e := range m.entries {
		out = append(out, m.table.indicator(p, e))
		own = append(own, e.origin() == OriginOperator)
	}
	m.table.guards.weigh(m.addr, out, own)
	sortListings(out)
	return out
}

// sortListings orders listings of one address, the best first.
func sortListings(list []Indicator) {
	slices.SortStableFunc(list, func(a, b Indicator) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()),
			strings.Compare(a.Feed, b.Feed))
	})
}

// entries yields what lists the address, the longest prefix first.
func (m *Match) entries(yield func(netip.Prefix, *entry) bool) {
	infrastructure := m.table.guards.warned(m.addr, ClassInfrastructure) != nil
	for p, e := range m.candidates {
		if infrastructure && e.origin() == OriginFeed {
			continue
		}
		if !yield(p, e) {
			return
		}
	}
}

// candidates yields what lists the address as far as warninglists are not asked. It
// asks the trie again each time: hits are rare, and so a Match is small and forgets
// nothing.
func (m *Match) candidates(yield func(netip.Prefix, *entry) bool) {
	t := m.table
	allowed, excludes := t.allowed(m.addr), t.excludes(m.addr)
	for p, first := range t.trie.Supernets(netip.PrefixFrom(m.addr, m.addr.BitLen())) {
		more := t.relevant(first, m.port, func(e *entry) bool {
			switch {
			case allowed && e.flags&fromOperator == 0:
			case excludes && t.excluded(m.addr, e.feed, p.Bits()):
			default:
				return yield(p, e)
			}
			return true
		})
		if !more {
			return
		}
	}
}

// allCount reports whether no entry that covers the address is set aside for it.
func (t *Table) allCount(a netip.Addr) bool { return !t.allowed(a) && !t.excludes(a) }

func (t *Table) allowed(a netip.Addr) bool {
	return t.guards.allow != nil && t.guards.allow.Contains(a)
}

// excludes reports whether some feed excludes the address.
func (t *Table) excludes(a netip.Addr) bool { return t.exclude != nil && t.exclude.Contains(a) }

// excluded reports whether the feed excludes the address by a prefix of bits or more.
func (t *Table) excluded(a netip.Addr, feed uint32, bits int) bool {
	for p, feeds := range t.exclude.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		if p.Bits() < bits {
			return false
		}
		if slices.Contains(feeds, feed) {
			return true
		}
	}
	return false
}
