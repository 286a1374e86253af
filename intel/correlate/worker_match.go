package correlate

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel"
)

// A Matcher looks up the addresses of whole sets of records and keeps the hits.
// It is the [decode.Handler] of one decoder and belongs to the same goroutine.
//
// For a record that nothing lists it costs the two look-ups and nothing else: no
// record is built, nothing is allocated, no clock is read.
type Matcher struct {
	store *intel.Store
	hits  []intel.Hit
	asker Asker       // nil = nobody is asked
	asked flow.Record // scratch: the record that shows an address to the asker

	found []int32 // scratch: indices of listed addresses
	rows  []int32 // scratch: the records they belong to

	matched  atomic.Uint64
	canaries int // among hits
	counts   canaryCounters
}

// NewMatcher makes a matcher that always asks the table in force.
func NewMatcher(store *intel.Store) *Matcher { return &Matcher{store: store} }

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
	if m.asker != nil {
		m.ask(t, s)
	}
}

// collect builds the records that hold listed addresses, each once.
func (m *Matcher) collect(t *intel.Table, s *decode.Set) {
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
// stands in it twice is one offender.
func (m *Matcher) record(t *intel.Table, s *decode.Set, row int) {
	first := len(m.hits)
	m.hits = append(m.hits, intel.Hit{})
	rec := &m.hits[first].Record
	s.Record(row, rec)
	if intel.IsCanaryTarget(rec) && m.canary(first) {
		return
	}
	n := first
	for side := range flow.NumSides {
		addr, port := m.hits[first].Record.At(side)
		if !addr.IsValid() || addr.IsUnspecified() || m.seen(first, n, addr) {
			continue
		}
		match := t.Find(addr, port)
		if match.Empty() {
			continue
		}
		if n > first {
			m.hits = append(m.hits, m.hits[first])
		}
		h := &m.hits[n]
		h.Offender, h.Side, h.Match = addr, side, match
		n++
	}
	m.hits = m.hits[:n]
	if n > first {
		m.matched.Add(uint64(n - first))
	}
}

func (m *Matcher) seen(first, n int, addr netip.Addr) bool {
	for i := first; i < n; i++ {
		if m.hits[i].Offender == addr {
			return true
		}
	}
	return false
}

// Hits gives what has been found since the last Take, canaries among it.
func (m *Matcher) Hits() []intel.Hit { return m.hits }

// Take gives the hits away and goes on with an empty batch.
func (m *Matcher) Take(empty []intel.Hit) []intel.Hit {
	hits := m.hits
	m.hits, m.canaries = empty[:0], 0
	return hits
}

// Matched is the number of hits so far, canaries apart. Any goroutine may ask.
func (m *Matcher) Matched() uint64 { return m.matched.Load() }
