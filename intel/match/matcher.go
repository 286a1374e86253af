package match

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Receiver takes what a matcher finds. Record and hits are copied during the call.
type Receiver interface {
	// Hits takes the hits of one record, one or more.
	Hits(r *flow.Record, hits []lookup.Hit)
	// Canary takes a canary, which is no hit.
	Canary(h *lookup.Hit)
	// Flush passes on what has been taken and kept back.
	Flush()
}

// A Matcher looks up the addresses of all records of a worker and hands the hits to a
// receiver. It is a tap and belongs to the goroutine of that worker.
//
// For a record that nothing lists it costs the two look-ups and nothing else: no
// record is built, nothing is allocated, no clock is read.
type Matcher struct {
	store *lookup.Store
	to    Receiver

	found []int32 // scratch: indices of listed addresses
	rows  []int32 // scratch: the records they belong to

	// Scratch: a record and its hits.
	rec  flow.Record
	hits [flow.NumSides]lookup.Hit

	matched  atomic.Uint64
	canaries int // since the last Flush
	counts   canaryCounters
}

// NewMatcher makes a matcher that always uses the table in force.
func NewMatcher(store *lookup.Store, to Receiver) *Matcher {
	return &Matcher{store: store, to: to}
}

// Records matches one set.
func (m *Matcher) Records(s *decode.Set) {
	t := m.store.Load()
	m.rows = m.rows[:0]
	m.found = t.Match4(s.V4, m.found[:0])
	for _, i := range m.found {
		m.rows = append(m.rows, int32(s.Row4(int(i))))
	}
	if len(s.V6) > 0 {
		m.found = t.Match6(s.V6, m.found[:0])
		for _, i := range m.found {
			m.rows = append(m.rows, int32(s.Row6(int(i))))
		}
	}
	if len(m.rows) > 0 {
		m.collect(t, s)
	}
}

// collect builds the records that hold listed addresses, each once.
func (m *Matcher) collect(t *lookup.Table, s *decode.Set) {
	slices.Sort(m.rows)
	last := int32(-1)
	for _, row := range m.rows {
		if row != last {
			m.record(t, s, int(row))
		}
		last = row
	}
}

// record adds a hit for every listed address of one record. An address that
// stands in it twice, be it within an IPv6 address, is one offender.
func (m *Matcher) record(t *lookup.Table, s *decode.Set, row int) {
	rec := &m.rec
	s.Record(row, rec)
	if event.IsCanaryTarget(rec) && m.canary(rec) {
		return
	}
	n := 0
	for side := range flow.NumSides {
		addr, port := rec.At(side)
		if !addr.IsValid() || addr.IsUnspecified() || seen(m.hits[:n], addr) {
			continue
		}
		match := t.Find(addr, port)
		if match.Empty() || in4Seen(t, m.hits[:n], addr, match) {
			continue
		}
		h := &m.hits[n]
		*h = lookup.Hit{Record: rec, Offender: addr, Side: side, Match: match}
		n++
	}
	if n == 0 {
		return
	}
	m.matched.Add(uint64(n))
	m.to.Hits(rec, m.hits[:n])
}

func seen(hits []lookup.Hit, addr netip.Addr) bool {
	for i := range hits {
		if h := &hits[i]; h.Offender == addr || h.Match.Embedded() == addr {
			return true
		}
	}
	return false
}

// in4Seen reports whether an IPv6 address is listed by nothing but the IPv4 address in it,
// and that has been seen: the other side of a NAT64.
func in4Seen(t *lookup.Table, hits []lookup.Hit, addr netip.Addr, match lookup.Match) bool {
	in := match.Embedded()
	return in.IsValid() && seen(hits, in) && !t.Contains(addr)
}

// Flush hands over what has been found since the last batch. It is called after each
// read; the bound of canaries counts from one to the next.
func (m *Matcher) Flush() {
	m.canaries = 0
	m.to.Flush()
}

// Matched is the number of hits so far, canaries apart. Any goroutine may ask.
func (m *Matcher) Matched() uint64 { return m.matched.Load() }
