// Makejournal writes a full journal as some version of flowsnitch leaves it behind: two
// segments with 200 events, of which the sink "all" has had 66, "some" 40 and "none"
// nothing. Beside it goes events.jsonl, the first events as JSON. Copy it into a checkout
// of that version and run it there:
//
//	go run ./sinks/journal/testdata/makejournal DIR
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/google/uuid"
)

const (
	events = 200
	inText = 6
)

var at = time.Date(2026, 11, 20, 23, 0, 0, 123_456_789, time.UTC)

// sample gives an event with the fields set that exist since contacts do.
func sample(n int) event.Event {
	offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
	local := netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(n)})
	return event.Event{
		Kind: [...]event.Kind{event.KindHit, event.KindUpdate, event.KindAlert}[n%3],
		ID:   uuid.UUID{1, 2, 3, 4, 5, 6, 0x70, 7, 0x80, 8, 9, 10, 11, 12, byte(n >> 8), byte(n)},
		Time: at.Add(time.Duration(n) * time.Second), Sensor: "pi-oslo",
		Src: local, Dst: offender, SrcPort: 51515, DstPort: 443, HasPorts: true, Protocol: 6, HasProtocol: true,
		Offender: offender, Local: local, Role: flow.SideDst, Direction: event.Outbound, Answered: event.AnsweredYes, Blocked: n%2 == 0,
		Severity: event.Severity(n % 4), Score: uint8(n % 101), Reason: "c2 listed by feodo (90), otx (75); ü",
		Indicators: []event.Indicator{
			{Prefix: netip.PrefixFrom(offender, 32), Port: 443, Feed: "feodo", Score: 90, Category: "c2", Ref: "https://example.net/9",
				Description: "a C2", NativeID: "SBL1", TLP: "white", FirstSeen: at.Add(-48 * time.Hour), LastSeen: at, Expires: at.Add(time.Hour)},
			{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Feed: "otx", Score: 75},
		},
		IntelVersion: "7f3a", Flows: uint64(n), Packets: 5, Bytes: 1 << 40, PacketsRaw: 4, BytesRaw: 3, PacketsBack: 2, BytesBack: 1,
		TCPFlags: 0x1ff, Sampling: 1000, Start: at.Add(-2 * time.Second), End: at.Add(-time.Second), Clock: "ok",
		Exporter: netip.MustParseAddr("192.0.2.1"), ExporterName: "edge-1",
		Exporters: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Domain:    7, Version: flow.V9, InIf: 1, OutIf: 2, HasIf: true,
		NATSrc: netip.MustParseAddr("198.51.100.7"), NATDst: netip.MustParseAddr("198.51.100.8"), NATSrcPort: 1, NATDstPort: 2,
		InnerSrc: netip.MustParseAddr("10.0.0.1"), InnerDst: netip.MustParseAddr("10.0.0.2"),
		CommunityID: "1:abc=", Alert: "own_address_listed",
		Contact: uuid.UUID{15: byte(n)}, Seq: uint32(n), Last: n%5 == 0, ServicePort: 443, ContactFirstSeen: at,
		Refused: n%2 == 1, Folded: true, Ports: 9, Hosts: 33, PortsCapped: true, HostsCapped: true,
	}
}

// sink takes a number of events, then is away.
type sink struct {
	name string
	room int
	took chan int
}

func (s *sink) Name() string { return s.name }

func (s *sink) Send(_ context.Context, events []event.Event) error {
	n := min(s.room, len(events))
	s.room -= n
	if n > 0 {
		s.took <- n
	}
	if n < len(events) {
		return &sinks.RetryError{Sent: n, Err: errors.New("away")}
	}
	return nil
}

func (s *sink) Close(context.Context) error { return nil }

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: makejournal DIR")
	}
	dir := os.Args[1]
	ctx := context.Background()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.SegmentBytes = dir, 64<<10
	j, _, err := journal.Open(cfg)
	check(err)
	j.Start()
	var runners []*sinks.Runner
	for _, s := range []*sink{{name: "all", room: events / 3}, {name: "some", room: 40}, {name: "none"}} {
		s.took = make(chan int, events)
		r, err := sinks.NewRunner(j, s, sinks.DefaultRunnerConfig())
		check(err)
		r.Start()
		runners = append(runners, r)
		defer func() { check(r.Stop(ctx)) }()
	}
	out, err := os.Create(filepath.Join(dir, "events.jsonl"))
	check(err)
	text := json.NewEncoder(out)
	for n := range events {
		e := sample(n)
		if n < inText {
			check(text.Encode(e))
		}
		check(j.Append([]event.Event{e}))
		if n == events/3 { // a third is delivered regularly, the rest waits
			for runners[0].Stats().Delivered < events/3 || runners[1].Stats().Delivered < 40 {
				time.Sleep(time.Millisecond)
			}
			for _, r := range runners {
				check(r.Stop(ctx))
			}
		}
	}
	check(out.Close())
	check(j.Stop(ctx))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
