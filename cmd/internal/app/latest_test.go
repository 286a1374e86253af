package app

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/google/uuid"
)

// TestLatest: whatever the batches, a contact has one place, that of its last event, and
// the latest are kept; canaries take none.
func TestLatest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		var l latestList
		var want []string // by a slow way: the latest first, each contact once
		var contacts [60]uuid.UUID
		for i := range contacts {
			contacts[i] = uuid.UUID{15: byte(i + 1)}
		}
		for n := 0; n < 300; {
			batch := make([]event.Event, 1+random.IntN(1+round))
			for i := range batch {
				n++
				e := event.Event{Kind: event.KindUpdate, Seq: uint32(n), Reason: fmt.Sprint(n)}
				switch random.IntN(10) {
				case 0:
					e.Kind = event.KindCanary
				case 1:
					e.Kind = event.KindAlert
				default:
					e.Contact = contacts[random.IntN(1+random.IntN(60))]
				}
				batch[i] = e
				if e.Kind == event.KindCanary {
					continue
				}
				id := e.Contact.String()
				if e.Kind == event.KindAlert {
					id = "alert " + e.Reason
				}
				want = slices.DeleteFunc(want, func(s string) bool { return s == id })
				want = slices.Insert(want, 0, id)
			}
			l.add(batch)
		}
		want = want[:min(len(want), maxLatest)]
		var got []string
		for _, s := range l.list() {
			if s.Kind == event.KindAlert {
				got = append(got, "alert "+s.Reason)
			} else {
				got = append(got, s.Contact)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: got\n%q\nwant\n%q", round, got, want)
		}
	}
}

// TestLatestService: the service port stands at the end that it belongs to, whichever way
// the flow went.
func TestLatestService(t *testing.T) {
	for _, tt := range []struct {
		role       flow.Side
		direction  event.Direction
		src, dst   uint16
		service    uint16
		wantsLocal bool
	}{
		{flow.SideDst, event.Outbound, 50000, 443, 443, false},
		{flow.SideSrc, event.Outbound, 443, 50000, 443, false}, // the reply
		{flow.SideSrc, event.Inbound, 50000, 22, 22, true},
		{flow.SideDst, event.Inbound, 22, 50000, 22, true},
		{flow.SidePostNATDst, event.Outbound, 50000, 443, 443, false},
		{flow.SideDst, event.Outbound, 123, 123, 123, false},
		{flow.SideSrc, event.Inbound, 123, 123, 123, true},
		{flow.SideSrc, event.Inbound, 50000, 8080, 80, true}, // translated
		{flow.SideDst, event.Outbound, 50000, 8080, 80, false},
	} {
		e := event.Event{Kind: event.KindHit, Role: tt.role, Direction: tt.direction, SrcPort: tt.src, DstPort: tt.dst, HasPorts: true, ServicePort: tt.service}
		if got := latestStatus(&e).ServiceLocal; got != tt.wantsLocal {
			t.Errorf("%+v: local %v", tt, got)
		}
	}
}

// TestNamedExporters: names and rates of the configuration are in the status, by sender and
// by sFlow agent, and the self-test gets neither.
func TestNamedExporters(t *testing.T) {
	edge, agent, host := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("127.0.0.1")
	list := []decode.ExporterStatus{
		{Address: edge, Streams: []decode.StreamStatus{{Version: "v9", Sampling: []decode.SamplingStatus{{Rate: 1, From: "options"}}}}},
		{Address: host, Streams: []decode.StreamStatus{{Version: "sflow", Agent: &agent}}},
		{Address: host, Streams: []decode.StreamStatus{{Version: "ipfix", Domain: canary.DomainTest, Templates: 8}}},
		{Address: netip.MustParseAddr("198.51.100.1"), Streams: []decode.StreamStatus{{Version: "v9", Templates: 3}, {Version: "ipfix", Domain: canary.DomainCommand, Templates: 4}}},
	}
	if got := selfTestShare(list); got != (SelfTestShare{Exporters: 1, Templates: 12}) {
		t.Errorf("the share of the self-test is %+v", got)
	}
	nameExporters(list, []sites.Exporter{
		{Name: "edge-1", Address: netip.MustParseAddr("::ffff:192.0.2.1"), Sampling: 1000}, {Name: "switch", Address: agent}, {Name: "local", Address: host, Sampling: 5},
	})
	var got []string
	for _, e := range list {
		for _, s := range e.Streams {
			got = append(got, fmt.Sprint(e.Name, s.Sampling))
		}
	}
	want := []string{"edge-1[{1000 configuration}]", "local[]", "local[]", "[]", "[]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
