package lookup

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup/listings"
)

// A Hit is a flow record with an offender: a listed address at one of its sides.
// A record with two listed addresses makes two hits. Hits are plain values of 100
// bytes; they leave the worker in batches that the receiver must not keep.
type Hit struct {
	// Record is shared by the hits of one record, and belongs to the batch that they come in.
	Record   *flow.Record
	Offender netip.Addr
	// Side is the first place where the offender stands in the record.
	Side flow.Side
	// Match holds every listing of the offender in the table that was in force. It is
	// empty for a canary.
	Match Match
	// Canary is set when the record is a canary: then this is no hit.
	Canary *event.Canary
}

// A Match is what a table has about one address and port. It is a plain value, to be
// kept and copied; it keeps its table alive, so what lives long should keep its
// Indicators instead. The zero value is empty.
type Match struct {
	table *Table
	addr  netip.Addr
	// embedded is the listed IPv4 address in addr; 0 = none.
	embedded uint32
	port     uint16
	best     uint8 // score, before a warninglist lowers it
	n        int
	loose    *loose // in place of a table
}

// loose are listings that stand in no table.
type loose struct {
	version    string
	indicators []intel.Indicator
}

// MatchOf makes a match of listings of one address that stand in no table, such as the
// answers of a DNS block list. The version is the name of that state. in is the IPv4
// address within the address, if that is listed, else invalid. The match keeps the slice.
func MatchOf(version string, in netip.Addr, listings []intel.Indicator) Match {
	sortListings(listings)
	m := Match{n: len(listings), loose: &loose{version, listings}}
	if in.Is4() {
		b := in.As4()
		m.embedded = binary.BigEndian.Uint32(b[:])
	}
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
//
// An IPv6 address is listed through the IPv4 address in it, too (see Embedding). What
// the operator allows of either form is no listing of the IPv4 address. But the IPv6
// address is judged by itself: whoever has it chooses what an interface identifier
// shows.
func (t *Table) Find(a netip.Addr, port uint16) Match { return t.find(a, port, true) }

// Judge is Find that counts nothing, for what is no flow of now.
func (t *Table) Judge(a netip.Addr, port uint16) Match { return t.find(a, port, false) }

func (t *Table) find(a netip.Addr, port uint16, counts bool) Match {
	m := Match{table: t, addr: a.Unmap().WithZone(""), port: port}
	if t.set.Lets(m.addr) {
		f := m.asExported()
		m.n, m.best = f.count(counts)
	}
	if m.addr.Is6() {
		m.findEmbedded(counts)
	}
	if m.n == 0 {
		return Match{}
	}
	return m
}

// findEmbedded adds what lists the IPv4 address in the address.
func (m *Match) findEmbedded(counts bool) {
	v4 := m.table.guards.embedding.Find(flow.Addr6Of(m.addr))
	if v4 == 0 || !m.table.set.Lets(flow.Addr4(v4)) {
		return
	}
	f := m.asIPv4(v4)
	if n, best := f.count(counts); n > 0 {
		m.embedded = v4
		m.n += n
		m.best = max(m.best, best)
	}
}

// A form is one way to read an address: as exported, or as the IPv4 address in it.
type form struct {
	table   *Table
	addr    netip.Addr
	port    uint16
	allowed bool
}

func (m *Match) asExported() form { return form{m.table, m.addr, m.port, m.table.allowed(m.addr)} }

// asIPv4 reads the address as the IPv4 address in it. The operator may allow either.
func (m *Match) asIPv4(v4 uint32) form {
	a := flow.Addr4(v4)
	return form{m.table, a, m.port, m.table.allowed(a) || m.table.allowed(m.addr)}
}

// count gives the number of listings and the best score, before a warninglist lowers it. counts
// means that what only a warninglist has stopped is counted there.
func (f *form) count(counts bool) (n int, best uint8) {
	t := f.table
	by := t.guards.warned(f.addr, intel.ClassInfrastructure)
	if by == nil && !f.allowed && !t.excludes(f.addr) {
		return t.set.Count(f.addr, f.port)
	}
	stopped := false
	for _, e := range f.candidates {
		if by != nil && !e.Operator() {
			stopped = true
			continue
		}
		n++
		best = max(best, e.Score())
	}
	if counts && stopped && n == 0 {
		by.Stopped.Add(1)
	}
	return n, best
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

// Embedded gives the IPv4 address within the address that was asked for, if that is
// listed; else the invalid address.
func (m Match) Embedded() netip.Addr {
	if m.embedded == 0 {
		return netip.Addr{}
	}
	return flow.Addr4(m.embedded)
}

// Indicators gives all that lists the address, the best first: by score, then the
// longest prefix, then the name of the feed. Score and category are what remains of
// them where a warninglist has the address. The slice is the caller's.
func (m Match) Indicators() []intel.Indicator {
	switch {
	case m.n == 0:
		return nil
	case m.loose != nil:
		return slices.Clone(m.loose.indicators)
	}
	out := make([]intel.Indicator, 0, m.n)
	if m.table.set.Lets(m.addr) {
		f := m.asExported()
		out = f.appendIndicators(out)
	}
	if m.embedded != 0 {
		f := m.asIPv4(m.embedded)
		out = f.appendIndicators(out)
	}
	sortListings(out)
	return out
}

// appendIndicators appends what lists the address, weighed by the warninglists.
func (f *form) appendIndicators(out []intel.Indicator) []intel.Indicator {
	from := len(out)
	var own []bool
	for p, e := range f.entries {
		out = append(out, f.table.set.Indicator(p, e))
		own = append(own, e.Operator())
	}
	f.table.guards.weigh(f.addr, out[from:], own)
	return out
}

// sortListings orders listings of one address, the best first.
func sortListings(list []intel.Indicator) {
	slices.SortStableFunc(list, func(a, b intel.Indicator) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()),
			strings.Compare(a.Feed, b.Feed))
	})
}

// entries yields what lists the address, the longest prefix first.
func (f *form) entries(yield func(netip.Prefix, *listings.Entry) bool) {
	infrastructure := f.table.guards.warned(f.addr, intel.ClassInfrastructure) != nil
	for p, e := range f.candidates {
		if infrastructure && !e.Operator() {
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
func (f *form) candidates(yield func(netip.Prefix, *listings.Entry) bool) {
	t := f.table
	excludes := t.excludes(f.addr)
	for p, e := range t.set.Covering(f.addr, f.port) {
		switch {
		case f.allowed && !e.Operator():
		case excludes && t.excluded(f.addr, e.Feed(), p.Bits()):
		case !yield(p, e):
			return
		}
	}
}

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
