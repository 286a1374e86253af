package dedup

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
)

// A running is a flow whose exporter repeats in each record what it has counted since
// the flow began (octetTotalCount and the like): what was reported last.
type running struct {
	began  int64 // ms since 1970; 0 = not known
	domain uint32
	way    uint8
	// highest are the totals so far, as exported: packets and bytes, then those of the
	// way back.
	highest [4]uint64
	next    *running
}

// maxRunning is the number of such flows that are remembered of one observer of one pair
// of ports: of either direction, from two domains, or one after the other. There are at
// most as many of all as a quarter of the flows that are remembered.
const (
	maxRunning      = 4
	flowsPerRunning = 4
)

// grown turns the totals of a record into what has been counted since the last record of
// the same flow. A record that goes on from an earlier one is no flow of its own.
func (t *Memory) grown(f *remembered, o *observed, way int, s *conversation.Sight, n *Note, forth, back *conversation.Counters) {
	r, goesOn := t.runningOf(o, uint8(way), s)
	if r == nil {
		if t.running >= t.maxRunning && t.first != f {
			t.drop(t.first)
			n.Forgot++
		}
		r = &running{domain: s.Domain, way: uint8(way), began: s.Began, next: t.runs[o]}
		t.runs[o] = r
		t.running++
	}
	for i, c := range [...]struct {
		total       flow.Totals
		raw, scaled *uint64
	}{
		{flow.TotalPackets, &forth.PacketsRaw, &forth.Packets}, {flow.TotalBytes, &forth.BytesRaw, &forth.Bytes},
		{flow.TotalRevPackets, &back.PacketsRaw, &back.Packets}, {flow.TotalRevBytes, &back.BytesRaw, &back.Bytes},
	} {
		if s.Totals&c.total == 0 {
			continue
		}
		told := *c.raw
		*c.raw = told - min(told, r.highest[i]) // one that is overtaken by a later one adds nothing
		*c.scaled = flow.Scale(*c.raw, s.Rate)
		r.highest[i] = max(r.highest[i], told)
	}
	if goesOn {
		forth.Flows = 0
	}
}

// runningOf gives the flow that a record goes on with. A flow is named by its start; where
// that is not exported, totals that are lower than before begin a new one. One that began
// takes the place of the last of maxRunning; r is nil when it needs none.
func (t *Memory) runningOf(o *observed, way uint8, s *conversation.Sight) (r *running, goesOn bool) {
	first := t.runs[o]
	at := &first
	for n := 0; *at != nil; n++ {
		r = *at
		same := r.domain == s.Domain && r.way == way && r.began == s.Began
		if same || n == maxRunning-1 { // that one makes room
			*at = r.next
			r.next = first
			t.runs[o] = r
			if same && (s.Began != 0 || !r.falls(s)) {
				return r, true
			}
			*r = running{domain: s.Domain, way: way, began: s.Began, next: r.next}
			return r, false
		}
		at = &r.next
	}
	return nil, false
}

// falls reports whether a total of a record is lower than one before.
func (r *running) falls(s *conversation.Sight) bool {
	return s.Totals&flow.TotalPackets != 0 && s.Forth.PacketsRaw < r.highest[0] ||
		s.Totals&flow.TotalBytes != 0 && s.Forth.BytesRaw < r.highest[1] ||
		s.Totals&flow.TotalRevPackets != 0 && s.Back.PacketsRaw < r.highest[2] ||
		s.Totals&flow.TotalRevBytes != 0 && s.Back.BytesRaw < r.highest[3]
}
