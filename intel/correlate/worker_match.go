package correlate

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Matcher looks up the addresses of whole sets of records and hands the hits over in
// batches. It is the [decode.Handler] of one decoder and belongs to the same goroutine.
//
// For a record that nothing lists it costs the two look-ups and nothing else: no
// record is built, nothing is allocated, no clock is read.
type Matcher struct {
	store *lookup.Store
	hand  func(*Batch)
	bound *bound
	batch Batch
	asker Asker       // nil = nobody is asked
	asked flow.Record // scratch: the record that shows an address to the asker

	found []int32 // scratch: indices of listed addresses
	rows  []int32 // scratch: the records they belong to

	// Scratch: a record and its hits.
	rec  flow.Record
	hits [flow.NumSides]lookup.Hit

	sets    uint32 // so far, for the one of many that is sampled
	transit transitCounters

	matched  atomic.Uint64
	canaries int // since the last Flush
	counts   canaryCounters
}

// NewMatcher makes a matcher that always asks the table in force. Home networks and
// factors of cfg tell how severe a hit can be. hand is given each batch that is full, and by
// Flush what remains; it must leave the batch empty.
func NewMatcher(store *lookup.Store, cfg *Config, hand func(*Batch)) *Matcher {
	return &Matcher{store: store, hand: hand, bound: newBound(cfg)}
}

// Records matches one set.
func (m *Matcher) Records(s *decode.Set) {
	t := m.store.Load()
	if m.sets++; m.sets%transitEvery == 0 && s.Len() > 0 {
		m.sample(s)
	}
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
	if m.asker != nil {
		m.ask(t, s)
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
// stands in it twice, be it within an IPv6 address, is one offender. All of them go the way of the most severe one.
func (m *Matcher) record(t *lookup.Table, s *decode.Set, row int) {
	rec := &m.rec
	s.Record(row, rec)
	if event.IsCanaryTarget(rec) && m.canary(rec) {
		return
	}
	n, lane := 0, event.Low
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
		lane = max(lane, m.bound.of(h))
		n++
	}
	if n == 0 {
		return
	}
	m.matched.Add(uint64(n))
	if m.batch.add(int(lane), rec, m.hits[:n]) {
		m.hand(&m.batch)
	}
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
	if m.batch.n > 0 {
		m.hand(&m.batch)
	}
}

// Matched is the number of hits so far, canaries apart. Any goroutine may ask.
func (m *Matcher) Matched() uint64 { return m.matched.Load() }
