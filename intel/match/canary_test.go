package match_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/match"
)

var canaryNow = time.Unix(1_800_000_000, 123_456_000).UTC()

// canaryFlow gives the flow of a canary.
func canaryFlow(c event.Canary) synth.Flow {
	source, target := event.CanaryEnds()
	code := c.Code()
	return synth.Flow{
		Src: source, Dst: target, SrcPort: code.SrcPort, DstPort: code.DstPort, InIf: uint32(code.InIf), OutIf: uint32(code.OutIf),
		Protocol: event.CanaryProtocol, Packets: event.CanaryPackets, Bytes: 128, Start: c.Sent, End: c.Sent,
	}
}

// path gives a matcher with one listed address, and what decodes for it.
func path(t *testing.T, hand func(*queue.Batch)) (*match.Matcher, *decode.Decoder) {
	t.Helper()
	b := lookup.NewBuilder(lookup.Policy{})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Feed: "ours", Score: 90}, lookup.OriginOperator)
	table, _ := b.Build("t")
	s := lookup.NewStore()
	s.Swap(table)
	cfg := correlate.DefaultConfig()
	m := match.NewMatcher(s, queue.NewGatherer(correlate.New(cfg, nil).Bound, hand))
	return m, decode.New(decode.NewExporters(decode.DefaultLimits()), m)
}

// receive decodes one datagram of flows.
func receive(t *testing.T, d *decode.Decoder, v flow.Version, flows ...synth.Flow) {
	t.Helper()
	e, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.EncodeAlone(nil, flows, canaryNow)
	if err != nil {
		t.Fatal(err)
	}
	d.Decode(&flow.Datagram{Payload: b, Source: netip.MustParseAddrPort("198.51.100.7:9999"), Received: canaryNow.Add(time.Millisecond)})
}

// TestCanaryPath: in every protocol a canary comes out with its time and token, as an
// event only where somebody wants it, and is no hit.
func TestCanaryPath(t *testing.T) {
	hit := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9"), SrcPort: 4000, DstPort: 443, Protocol: 6, Packets: 1, Bytes: 100}
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for _, wanted := range []bool{true, false} {
			var events []event.Event
			c := correlate.New(correlate.DefaultConfig(), func(e []event.Event) { events = append(events, e...) })
			c.OnCanary(func(h *lookup.Hit) bool {
				if !h.Canary.Sent.Equal(canaryNow) || h.Canary.Token != 4711 || h.Canary.Matched.IsZero() || !h.Match.Empty() {
					t.Errorf("%v: canary %+v", v, h.Canary)
				}
				return wanted
			})
			m, d := path(t, func(b *queue.Batch) {
				c.Handle(b.AppendHits(nil), canaryNow)
				b.Reset()
			})
			receive(t, d, v, canaryFlow(event.Canary{Sent: canaryNow, Token: 4711}), hit)
			m.Flush()
			if s := c.Stats(); s.Hits != 1 || s.HitEvents != 1 || s.Contacts != 1 || s.Canaries != 1 || (s.CanaryEvents == 1) != wanted || m.Matched() != 1 {
				t.Errorf("%v: stats %+v, %d matched", v, s, m.Matched())
			}
			if wanted && (len(events) != 2 || !isCanaryEvent(&events[0])) || !wanted && len(events) != 1 {
				t.Errorf("%v: events %+v", v, events)
			}
		}
	}
}

func isCanaryEvent(e *event.Event) bool {
	source, target := event.CanaryEnds()
	return e.Kind == event.KindCanary && e.Canary() == event.Canary{Sent: canaryNow, Token: 4711} && e.Time.Sub(e.Start) == time.Millisecond &&
		e.Src == source && e.Dst == target && e.Offender == target && e.Severity == event.Low && len(e.Indicators) == 0 &&
		e.Reason == "canary received 1.000 ms after it was sent"
}

// TestCanaryFlood: canaries beyond the cap of a batch are counted, the hits between
// them are all there.
func TestCanaryFlood(t *testing.T) {
	canaries, hits := 0, 0
	hit := synth.Flow{Src: netip.MustParseAddr("203.0.113.9"), Dst: netip.MustParseAddr("10.0.0.5"), Protocol: 6, Packets: 1, Bytes: 100}
	m, d := path(t, func(b *queue.Batch) {
		for _, h := range b.AppendHits(nil) {
			if h.Canary != nil {
				canaries++
			} else if h.Offender == hit.Src {
				hits++
			}
		}
		b.Reset()
	})
	odd := canaryFlow(event.Canary{Sent: canaryNow.Add(-48 * time.Hour)})
	for i := range 100 {
		receive(t, d, flow.IPFIX, canaryFlow(event.Canary{Sent: canaryNow, Token: uint16(i)}), hit, odd)
	}
	m.Flush()
	if canaries != 8 || hits != 100 || m.Matched() != 100 {
		t.Errorf("%d canaries, %d hits, %d matched", canaries, hits, m.Matched())
	}
	if got, want := m.Canaries(), (match.CanaryCounts{Found: 100, OverCap: 92, Malformed: 100}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	receive(t, d, flow.IPFIX, canaryFlow(event.Canary{Sent: canaryNow}))
	m.Flush()
	if canaries != 9 {
		t.Error("the next batch has no room for a canary")
	}
}

// TestMalformedCanary: a flow to the reserved indicator that is no canary leaves no record,
// unless it is a hit for another address, and then it is that hit.
func TestMalformedCanary(t *testing.T) {
	var got []lookup.Hit
	m, d := path(t, func(b *queue.Batch) {
		got = b.AppendHits(got)
		b.Reset()
	})
	odd := canaryFlow(event.Canary{Sent: canaryNow.Add(-48 * time.Hour)})
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		receive(t, d, v, odd)
	}
	m.Flush()
	if len(got) != 0 || m.Matched() != 0 || m.Canaries() != (match.CanaryCounts{Malformed: 4}) {
		t.Fatalf("%d hits, %d matched, %+v", len(got), m.Matched(), m.Canaries())
	}
	odd.Src = netip.MustParseAddr("203.0.113.9")
	receive(t, d, flow.IPFIX, odd)
	m.Flush()
	if len(got) != 1 || got[0].Canary != nil || got[0].Offender != odd.Src || m.Matched() != 1 {
		t.Errorf("hits %+v, %d matched", got, m.Matched())
	}
}
