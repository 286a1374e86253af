package correlate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// counted makes a record of our beacon with counts of its own.
func counted(sport uint16, packets uint64) flow.Record {
	return with(tcp(us, sport, bad, 443, syn), func(r *flow.Record) {
		r.Packets, r.Bytes = packets, packets*100
	})
}

func direction(r flow.Record, d uint8) flow.Record {
	r.Has |= flow.HasDirection
	r.Direction = d
	return r
}

func firewall(r flow.Record, event uint8) flow.Record {
	r.Has |= flow.HasFirewallEvent
	r.FirewallEvent = event
	return r
}

func TestDuplicates(t *testing.T) {
	cases := []struct {
		name       string
		flows      []flow.Record
		want       uint64 // flows
		packets    uint64
		duplicates uint64
		exporters  int // 0 = only one
	}{
		{"one exporter sums up", []flow.Record{counted(1, 10), counted(1, 5), counted(2, 1)}, 3, 16, 0, 0},
		{"two exporters", []flow.Record{counted(1, 10), seenBy(counted(1, 9), edge2)}, 1, 10, 1, 2},
		{"the second sees more", []flow.Record{counted(1, 9), seenBy(counted(1, 10), edge2)}, 1, 10, 1, 2},
		{"one cuts what the other does not", []flow.Record{counted(1, 4), counted(1, 4), counted(1, 4), seenBy(counted(1, 12), edge2)}, 3, 12, 1, 2},
		{"each sees flows of its own", []flow.Record{counted(1, 10), counted(2, 10), seenBy(counted(2, 10), edge2), seenBy(counted(3, 10), edge2)}, 3, 30, 1, 2},
		{"ingress and egress", []flow.Record{direction(counted(1, 10), 0), direction(counted(1, 10), 1)}, 1, 10, 1, 0},
		{"agents behind a relay", []flow.Record{
			with(counted(1, 10), func(r *flow.Record) { r.Exporter.Agent = edge1 }),
			with(counted(1, 10), func(r *flow.Record) { r.Exporter.Agent = edge2 }),
		}, 1, 10, 1, 0},
		{"biflow and flow", []flow.Record{rev(counted(1, 10), 3), seenBy(counted(1, 10), edge2), seenBy(with(answer, func(r *flow.Record) { r.DstPort = 1; r.Packets = 3 }), edge2)}, 2, 10, 1, 2},
		{"one connection of a firewall", []flow.Record{firewall(counted(1, 0), 1), firewall(counted(1, 4), 5), firewall(counted(1, 6), 2)}, 1, 10, 0, 0},
		{"the next one", []flow.Record{firewall(counted(1, 0), 1), firewall(counted(1, 6), 2), firewall(counted(1, 0), 1)}, 2, 6, 0, 0},
		{"its creation was not seen", []flow.Record{firewall(counted(1, 4), 5), firewall(counted(1, 6), 2)}, 1, 10, 0, 0},
		{"denied again and again", []flow.Record{denied(counted(1, 1)), denied(counted(1, 1))}, 2, 2, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.at(0, c.flows...)
			s.Flush(t0)
			got := s.take()
			last := got[len(got)-1]
			if last.Kind != event.KindUpdate && last.Flows != c.want {
				t.Fatalf("got %v, want an update", kinds(got))
			}
			if last.Flows != c.want || last.Packets != c.packets || last.Bytes != c.packets*100 || len(last.Exporters) != c.exporters {
				t.Errorf("%d flows, %d packets, %d bytes, exporters %v; want %d, %d, %d, %d", last.Flows, last.Packets, last.Bytes, last.Exporters, c.want, c.packets, c.packets*100, c.exporters)
			}
			if st := s.Stats(); st.Duplicates != c.duplicates {
				t.Errorf("%d duplicates counted, want %d", st.Duplicates, c.duplicates)
			}
		})
	}
}

func TestDuplicateIsNewsOnlyOnce(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, beacon, beacon)
	s.take()
	s.at(time.Second, seenBy(beacon, edge2))
	s.Tick(t0.Add(time.Minute))
	if got := s.one(event.KindUpdate); got.Flows != 2 || !slices.Equal(got.Exporters, []netip.Addr{edge1, edge2}) {
		t.Errorf("%d flows by %v, want 2 by both exporters", got.Flows, got.Exporters)
	}
	s.at(61*time.Second, seenBy(beacon, edge2))
	s.Tick(t0.Add(30 * time.Minute))
	s.none()
	s.at(31*time.Minute, seenBy(beacon, edge2)) // now it has seen more than the other
	s.Tick(t0.Add(time.Hour))
	if got := s.one(event.KindUpdate); got.Flows != 3 || got.Packets != 3 {
		t.Errorf("%d flows of %d packets, want 3 of 3", got.Flows, got.Packets)
	}
}

func TestExportersOverCap(t *testing.T) {
	const maxExporters = 8
	s := newStage(t, nil)
	for i := range 2*maxExporters + 4 {
		s.at(0, seenBy(beacon, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})))
	}
	s.Flush(t0)
	got := s.take()
	if last := got[len(got)-1]; len(last.Exporters) != maxExporters || last.Flows != 1 {
		t.Errorf("%d exporters listed of %d flows, want %d of 1", len(last.Exporters), last.Flows, maxExporters)
	}
	if n := s.Stats().ExportersOverCap; n != maxExporters+4 {
		t.Errorf("%d over the cap counted, want %d", n, maxExporters+4)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxFlows = 10 })
	for i := range 25 {
		s.at(time.Duration(i)*time.Second, counted(uint16(50000+i), 1))
	}
	if st := s.Stats(); st.Flows != 10 || st.FlowsForgotten != 15 {
		t.Errorf("stats %+v, want 10 flows and 15 forgotten", st)
	}
	s.Tick(t0.Add(time.Hour + 24*time.Second))
	if st := s.Stats(); st.Flows != 0 {
		t.Errorf("%d flows remembered after an idle hour, want none", st.Flows)
	}
}
