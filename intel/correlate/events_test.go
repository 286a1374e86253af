package correlate

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// eventText gives an event as comparable text, times in UTC.
func eventText(e event.Event) string {
	e.Time, e.Start, e.End = e.Time.UTC(), e.Start.UTC(), e.End.UTC()
	return fmt.Sprintf("%+v", e)
}

func TestSampling(t *testing.T) {
	agent := netip.MustParseAddr("192.0.2.77")
	cases := []struct {
		name               string
		change             func(*flow.Record)
		sampling           uint32
		packets, raw, back uint64
	}{
		{"unsampled", nil, 1, 10, 10, 3},
		{"sampled", func(r *flow.Record) { r.Rate = 1000 }, 1000, 10_000, 10, 3000},
		{"unknown", func(r *flow.Record) { r.Rate = 0 }, 0, 10, 10, 3},
		{"override by source", func(r *flow.Record) { r.Rate = 7; r.Exporter.Addr = edge2 }, 50, 500, 10, 150},
		{"override by agent", func(r *flow.Record) { r.Exporter.Agent = agent }, 20, 200, 10, 60},
		{"overflow", func(r *flow.Record) { r.Rate = 1000; r.Packets = math.MaxUint64 }, 1000, math.MaxUint64, math.MaxUint64, 3000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(cfg *Config) {
				cfg.Exporters = []sites.Exporter{
					{Name: "two", Address: edge2, Sampling: 50},
					{Name: "switch", Address: netip.MustParseAddr("::ffff:192.0.2.77"), Sampling: 20},
				}
			})
			r := with(beacon, func(r *flow.Record) {
				r.Packets, r.RevPackets = 10, 3
				r.Has |= flow.HasRevPackets
			})
			if c.change != nil {
				c.change(&r)
			}
			s.at(0, r)
			e := s.one(event.KindHit)
			if e.Sampling != c.sampling || e.Packets != c.packets || e.PacketsRaw != c.raw || e.PacketsBack != c.back {
				t.Errorf("sampling %d: %d packets, %d raw, %d back, want %d: %d, %d, %d", e.Sampling, e.Packets, e.PacketsRaw, e.PacketsBack, c.sampling, c.packets, c.raw, c.back)
			}
			s.at(time.Minute, r) // sums stop at the largest number, too
			s.Flush(t0.Add(time.Minute))
			if u := s.one(event.KindUpdate); u.Packets < e.Packets {
				t.Errorf("%d packets in the update, %d in the hit", u.Packets, e.Packets)
			}
		})
	}
}

func TestNotAnsweredOnlyUnsampled(t *testing.T) {
	for rate, want := range map[uint32]event.Answered{
		0: event.AnsweredUnknown, 1: event.AnsweredNo, 2: event.AnsweredUnknown,
	} {
		s := newStage(t, nil)
		r := with(beacon, func(r *flow.Record) { r.Rate = rate })
		s.at(0, r)
		s.at(59*time.Second, r)
		if got := s.one(event.KindHit).Answered; got != event.AnsweredUnknown {
			t.Errorf("rate %d: answered %s at first, want unknown", rate, got)
		}
		s.Tick(t0.Add(time.Minute))
		if got := s.one(event.KindUpdate).Answered; got != want {
			t.Errorf("rate %d: answered %s after one interval, want %s", rate, got, want)
		}
	}
}

func TestClampedTimes(t *testing.T) {
	day := 24 * time.Hour
	cases := []struct {
		name               string
		start, end         time.Time
		wantStart, wantEnd time.Time
		clock              string
	}{
		{"absent", time.Time{}, time.Time{}, time.Time{}, time.Time{}, "ok"},
		{"a day old", t0.Add(-day), t0, t0.Add(-day), t0, "ok"},
		{"older", t0.Add(-day - 1), t0, t0, t0, "suspect"},
		{"a day ahead", t0, t0.Add(day), t0, t0.Add(day), "ok"},
		{"further ahead", t0, t0.Add(day + 1), t0, t0, "suspect"},
		{"1970", time.Unix(0, 0), time.Unix(0, 0), t0, t0, "suspect"},
		{"far", time.Unix(1<<60, 0), time.Unix(-1<<60, 0), t0, t0, "suspect"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			r := with(beacon, func(r *flow.Record) { r.Start, r.End = c.start, c.end })
			s.at(0, r, r)
			s.Flush(t0)
			for _, e := range s.take() {
				if !e.Start.Equal(c.wantStart) || !e.End.Equal(c.wantEnd) || e.Clock != c.clock {
					t.Errorf("%s: %v to %v, clock %s, want %v to %v, %s", e.Kind, e.Start, e.End, e.Clock, c.wantStart, c.wantEnd, c.clock)
				}
			}
			if got := s.Stats().Suspect; (got != 0) != (c.clock == "suspect") {
				t.Errorf("%d suspect hits counted, clock %s", got, c.clock)
			}
		})
	}
}

func TestEventOfICMP(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, with(ip(us, bad, flow.ProtocolICMP), func(r *flow.Record) {
		r.Has |= flow.HasICMP | flow.HasSrcPort | flow.HasDstPort
		r.ICMPTypeCode, r.DstPort = 8*256, 8*256
	}))
	e := s.one(event.KindHit)
	if !e.HasPorts || e.SrcPort != 0 || e.DstPort != 8*256 {
		t.Errorf("ports %d and %d, want those exported, 0 and 2048", e.SrcPort, e.DstPort)
	}
	if want := event.CommunityID(us, bad, 8, 0, flow.ProtocolICMP); e.CommunityID != want {
		t.Errorf("community id %s, want %s", e.CommunityID, want)
	}
	s.at(time.Second, ip(bad, us, flow.ProtocolICMP)) // the answer: one contact, whatever its code
	if u := s.one(event.KindUpdate); u.Direction != event.Outbound || u.Answered != event.AnsweredYes {
		t.Errorf("update is %s and answered %s, want outbound and yes", u.Direction, u.Answered)
	}
}

func TestEventWithoutProtocol(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, with(ip(bad, us, 0), func(r *flow.Record) { r.Has &^= flow.HasProtocol }))
	e := s.one(event.KindHit)
	if e.HasProtocol || e.HasPorts || e.CommunityID != "" || e.Direction != event.Inbound {
		t.Errorf("event %+v, want no protocol, no ports, no community id, inbound", e)
	}
}

func TestEventWithOneEnd(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, tcp(bad, 40000, netip.Addr{}, 22, syn))
	e := s.one(event.KindHit)
	if e.Local.IsValid() || e.Direction != event.Transit {
		t.Errorf("local %s, %s, want none and transit", e.Local, e.Direction)
	}
}

func TestEventCarriesNATAndInner(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, with(beacon, func(r *flow.Record) {
		r.PostNATSrc, r.PostNATSrcPort = public, 4000
		r.InnerSrc, r.InnerDst = edge1, edge2
	}), beacon)
	s.Flush(t0)
	for _, e := range s.take() {
		if e.NATSrc != public || e.NATSrcPort != 4000 || e.InnerSrc != edge1 || e.InnerDst != edge2 {
			t.Errorf("%s: nat %s:%d, inner %s to %s, want %s:4000, %s to %s", e.Kind, e.NATSrc, e.NATSrcPort, e.InnerSrc, e.InnerDst, public, edge1, edge2)
		}
	}
}

func TestReceiptDefaultsToNow(t *testing.T) {
	s := newStage(t, nil)
	h := hitOf(t, s.table, beacon)
	s.Handle([]lookup.Hit{h}, t0)
	if e := s.one(event.KindHit); !e.Time.Equal(t0) {
		t.Errorf("time %v, want %v", e.Time, t0)
	}
}

func TestNoListing(t *testing.T) {
	s := newStage(t, nil)
	h := hitOf(t, s.table, beacon)
	h.Match = lookup.Match{}
	s.Handle([]lookup.Hit{h}, t0)
	if e := s.one(event.KindHit); e.Score != 0 || e.Reason != "listed; outbound" {
		t.Errorf("score %d, %q, want 0 and a plain reason", e.Score, e.Reason)
	}
}
