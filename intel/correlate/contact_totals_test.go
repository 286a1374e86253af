package correlate

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestRunningTotals: totals of a flow are not added up, whatever else its exporter tells.
func TestRunningTotals(t *testing.T) {
	const both = flow.TotalPackets | flow.TotalBytes
	total := func(sport uint16, packets uint64, start int) flow.Record {
		return with(counted(sport, packets), func(r *flow.Record) {
			r.Totals, r.BytesIE, r.PacketsIE = both, 85, 86
			if r.Start = (time.Time{}); start > 0 {
				r.Start = t0.Add(-time.Hour + time.Duration(start)*time.Minute)
			}
		})
	}
	biflow := func(r flow.Record, back uint64) flow.Record {
		r = rev(r, back)
		r.RevBytes, r.Has = back*100, r.Has|flow.HasRevBytes
		r.Totals |= flow.TotalRevPackets | flow.TotalRevBytes
		return r
	}
	domain := func(r flow.Record, d uint32) flow.Record {
		r.Exporter.Domain = d
		return r
	}
	back := func(r flow.Record) flow.Record {
		r.Src, r.Dst, r.SrcPort, r.DstPort = r.Dst, r.Src, r.DstPort, r.SrcPort
		r.TCPFlags = syn | ack
		return r
	}
	bytesOnly := func(r flow.Record) flow.Record {
		r.Totals = flow.TotalBytes
		return r
	}
	cases := []struct {
		name                           string
		flows                          []flow.Record
		packets, bytes, back, flowsAre uint64
	}{
		{"the last counts", []flow.Record{total(1, 10, 1), total(1, 20, 1), total(1, 30, 1)}, 30, 3000, 0, 1},
		{"deltas are added", []flow.Record{counted(1, 10), counted(1, 10), counted(1, 10)}, 30, 3000, 0, 3},
		{"one overtakes another", []flow.Record{total(1, 10, 1), total(1, 30, 1), total(1, 20, 1), total(1, 35, 1)}, 35, 3500, 0, 1},
		{"told twice", []flow.Record{total(1, 10, 1), total(1, 10, 1)}, 10, 1000, 0, 1},
		{"two flows one after the other", []flow.Record{total(1, 10, 1), total(1, 30, 1), total(1, 5, 2), total(1, 6, 2)}, 36, 3600, 0, 2},
		{"two flows of other ports", []flow.Record{total(1, 10, 1), total(2, 30, 1), total(1, 11, 1)}, 41, 4100, 0, 2},
		{"no start", []flow.Record{total(1, 10, 0), total(1, 30, 0), total(1, 5, 0)}, 35, 3500, 0, 2},
		{"two domains", []flow.Record{total(1, 10, 1), domain(total(1, 4, 1), 9), total(1, 20, 1), domain(total(1, 5, 1), 9)}, 25, 2500, 0, 2},
		{"two exporters", []flow.Record{total(1, 10, 1), seenBy(total(1, 9, 1), edge2), total(1, 20, 1), seenBy(total(1, 19, 1), edge2)}, 20, 2000, 0, 1},
		{"both directions", []flow.Record{total(1, 10, 1), back(total(1, 7, 1)), total(1, 20, 1), back(total(1, 9, 1))}, 20, 2000, 9, 2},
		{"biflow", []flow.Record{biflow(total(1, 10, 1), 7), biflow(total(1, 20, 1), 9)}, 20, 2000, 9, 1},
		{"bytes are totals, packets are not", []flow.Record{bytesOnly(total(1, 10, 1)), bytesOnly(total(1, 20, 1))}, 30, 2000, 0, 1},
		{"more flows at once than are remembered", []flow.Record{
			total(1, 10, 1), total(1, 10, 2), total(1, 10, 3), total(1, 10, 4), total(1, 10, 5), total(1, 12, 5),
		}, 52, 5200, 0, 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.at(0, c.flows...)
			s.Flush(t0.Add(time.Minute))
			events := s.take()
			ev := events[len(events)-1]
			if ev.Packets != c.packets || ev.Bytes != c.bytes || ev.PacketsBack != c.back {
				t.Errorf("%d packets, %d bytes, %d packets back, want %d, %d, %d", ev.Packets, ev.Bytes, ev.PacketsBack, c.packets, c.bytes, c.back)
			}
			if ev.Flows != c.flowsAre && ev.Flows+1 != c.flowsAre {
				t.Errorf("%d flows, want %d", ev.Flows, c.flowsAre)
			}
			s.flows.Expire(1 << 62)
			if n := s.flows.Len(); n != 0 {
				t.Errorf("%d flows are left", n)
			}
		})
	}
}

// TestRunningTotalsAreScaled: the sampling rate applies to what has been counted since.
func TestRunningTotalsAreScaled(t *testing.T) {
	s := newStage(t, nil)
	for i := range uint64(3) {
		s.at(0, with(counted(1, 10*(i+1)), func(r *flow.Record) {
			r.Totals, r.Rate = flow.TotalPackets|flow.TotalBytes, 100
		}))
	}
	s.take()
	s.Flush(t0.Add(time.Minute))
	events := s.take()
	if ev := events[len(events)-1]; ev.Packets != 3000 || ev.PacketsRaw != 30 || ev.Bytes != 300_000 || ev.BytesRaw != 3000 {
		t.Errorf("%d packets, %d raw", ev.Packets, ev.PacketsRaw)
	}
}
