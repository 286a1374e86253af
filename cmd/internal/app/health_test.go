package app

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// well is the status of an instance with nothing wrong.
func well() Status {
	s := Status{Since: noon.Add(-time.Hour)}
	s.Listeners = []ListenerStatus{{Address: "127.0.0.1:2055", Datagrams: 1000, Beat: noon.Add(-time.Second)}}
	s.Decoded.Versions = map[string]VersionStatus{"v9": {Datagrams: 1000, Records: 20_000}}
	s.Exporters.List = []decode.ExporterStatus{{Address: netip.MustParseAddr("192.0.2.1"), LastSeen: noon.Add(-5 * time.Second)}}
	s.Intel.Indicators = 10
	s.Intel.Feeds = []fetch.Status{{Name: "drop", Taken: noon.Add(-time.Hour)}}
	s.Journal = JournalStatus{Bytes: 10, MaxBytes: 100}
	s.Sinks = []SinkStatus{{Name: "jsonlog"}, {Name: "kafka"}}
	s.Canary = CanaryStatus{EverySeconds: 60, LastSeen: noon.Add(-30 * time.Second),
		Sinks: map[string]CanaryAt{"jsonlog": {Last: noon.Add(-30 * time.Second)}, "kafka": {Last: noon.Add(-30 * time.Second)}}}
	s.Clock.State = "ok"
	return s
}

// TestFindings pulls one wire at a time: its check, and no other, names the cause.
func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pull  func(*Status, *past)
		check string
		state State
		says  string
	}{
		{"nothing", func(*Status, *past) {}, "", OK, ""},
		{"no canary at Kafka", func(s *Status, _ *past) { s.Canary.Sinks["kafka"] = CanaryAt{Last: noon.Add(-4 * time.Minute)} },
			"canary", Warning, "the last self-test came to kafka 4 minutes ago"},
		{"no canary at all", func(s *Status, _ *past) { s.Canary.LastSeen = noon.Add(-20 * time.Minute) }, "canary", Critical, "20 minutes ago"},
		{"clock", func(s *Status, _ *past) { s.Clock = ClockStatus{State: "unsynced", Why: "it jumped"} }, "clock", Warning, "it jumped"},
		{"exporter silent", func(s *Status, _ *past) { s.Exporters.List[0].LastSeen = noon.Add(-6 * time.Minute) },
			"exporters", Warning, "192.0.2.1 for 6 minutes"},
		{"nobody but the self-test", func(s *Status, _ *past) {
			s.Since = noon.Add(-time.Hour)
			s.Exporters.List = []decode.ExporterStatus{{LastSeen: noon, Streams: []decode.StreamStatus{{Domain: canary.DomainTest, LastSeen: noon}}}}
		}, "exporters", Warning, "nobody has sent anything"},
		{"exporter on this host, beside the self-test", func(s *Status, _ *past) {
			s.Exporters.List = []decode.ExporterStatus{{LastSeen: noon, Streams: []decode.StreamStatus{
				{Domain: canary.DomainTest + 1, LastSeen: noon}, {Domain: 7, LastSeen: noon.Add(-6 * time.Minute)}}}}
		}, "exporters", Warning, "silent"},
		{"exporter silent for long", func(s *Status, _ *past) { s.Exporters.List[0].LastSeen = noon.Add(-30 * time.Minute) },
			"exporters", Critical, "192.0.2.1"},
		{"exporter that is often silent", func(s *Status, p *past) {
			s.Exporters.List[0].LastSeen = noon.Add(-6 * time.Minute)
			p.pauses["192.0.2.1"] = 3 * time.Minute
		}, "", OK, ""},
		{"no exporter", func(s *Status, _ *past) { s.Exporters.List = nil }, "exporters", Warning, "nobody has sent anything"},
		{"feed stale", func(s *Status, _ *past) { s.Intel.Feeds[0].Taken = noon.Add(-3 * 24 * time.Hour) }, "feeds", Warning, "drop is 3 days old"},
		{"feed missing", func(s *Status, _ *past) { s.Intel.Feeds[0] = fetch.Status{Name: "drop", Error: "404"} }, "feeds", Warning, "never fetched: drop"},
		{"feed held back", func(s *Status, _ *past) { s.Intel.Feeds[0].Held = "empty" }, "feeds", Warning, "drop (empty)"},
		{"nothing listed", func(s *Status, _ *past) { s.Intel.Indicators = 0 }, "feeds", Critical, "nothing is listed"},
		{"kernel drops", func(s *Status, _ *past) {
			s.Listeners[0].KernelDrops, s.Listeners[0].Datagrams = 1, 2000
		}, "loss", Warning, "1 datagrams dropped by the kernel (0.10 %)"},
		{"many gaps", func(s *Status, _ *past) { s.Exporters.Lost.Records = 1000 }, "loss", Critical, "1000 lost on the way"},
		{"old gaps", func(s *Status, p *past) {
			s.Exporters.Lost.Records = 1000
			p.status.Exporters.Lost.Records = 1000
		}, "", OK, ""},
		{"sink failing", func(s *Status, p *past) {
			s.Sinks[1] = SinkStatus{Name: "kafka", Failing: true, Pending: 7, LastError: "no route"}
			p.failing["kafka"] = time.Minute
		}, "sinks", Warning, "kafka cannot deliver (7 events wait): no route"},
		{"sink failing for long", func(s *Status, p *past) {
			s.Sinks[1].Failing = true
			p.failing["kafka"] = 10 * time.Minute
		}, "sinks", Critical, "kafka"},
		{"sink has dropped", func(s *Status, _ *past) { s.Sinks[1].Dropped = 3 }, "sinks", Critical, "kafka has lost 3 events"},
		{"spool half full", func(s *Status, _ *past) { s.Journal.Bytes = 60 }, "spool", Warning, "full to 60 %"},
		{"disk full", func(s *Status, _ *past) { s.Journal.Trouble = "no space left on device" }, "spool", Critical, "no space left"},
		{"template lost", func(s *Status, _ *past) {
			s.Decoded.UnknownSets = 4
			s.Exporters.List[0].Streams = []decode.StreamStatus{{Missing: []decode.MissingTemplate{{ID: 256}}}}
		}, "templates", Warning, "4 data sets came without their template (192.0.2.1)"},
		{"worker stalled", func(s *Status, _ *past) { s.Listeners[0].Beat = noon.Add(-time.Minute) }, "workers", Critical, "udp 127.0.0.1:2055 has not turned for 1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, before := well(), well()
			p := past{status: before, failing: map[string]time.Duration{}, pauses: map[string]time.Duration{}}
			tt.pull(&s, &p)
			list := findings(&s, &p, noon)
			if len(list) != 9 {
				t.Fatalf("%d findings", len(list))
			}
			for _, f := range list {
				switch {
				case f.Text == "":
					t.Errorf("%s says nothing", f.Check)
				case f.Check != tt.check && f.State != OK:
					t.Errorf("%+v", f)
				case f.Check == tt.check && (f.State != tt.state || !strings.Contains(f.Text, tt.says)):
					t.Errorf("%+v, want %v with %q", f, tt.state, tt.says)
				}
			}
		})
	}
}

// TestHealthWatch: each change of a check is logged once, the window forgets, and the
// usual pauses of an exporter are learned.
func TestHealthWatch(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	h := newHealthWatch(zap.New(core))
	at := func(d time.Duration, change func(*Status)) {
		now := noon.Add(d)
		s := well()
		s.Since, s.Listeners[0].Beat, s.Canary.LastSeen = noon.Add(-time.Hour), now, now
		s.Canary.Sinks, s.Intel.Feeds[0].Taken, s.Exporters.List[0].LastSeen = nil, now, now
		change(&s)
		h.look(&s, now)
	}
	var drops uint64
	for d := time.Duration(0); d < 10*time.Minute; d += healthEvery {
		at(d, func(s *Status) {
			if d >= time.Minute {
				drops = 5
			}
			s.Listeners[0].KernelDrops, s.Listeners[0].Datagrams = drops, 1_000_000+uint64(d)
		})
	}
	var said []string
	for _, e := range logs.TakeAll() {
		said = append(said, fmt.Sprintf("%s %s", e.Level, e.Message))
	}
	if len(said) != 2 || !strings.Contains(said[0], "warn 5 datagrams dropped") || !strings.Contains(said[1], "info well again") {
		t.Errorf("logged %q", said)
	}
	last := noon
	for d := 10 * time.Minute; d < 40*time.Minute; d += healthEvery { // every four minutes a datagram
		if d%(4*time.Minute) == 0 {
			last = noon.Add(d)
		}
		at(d, func(s *Status) {
			s.Listeners[0].KernelDrops = drops
			if d >= 12*time.Minute {
				s.Exporters.List[0].LastSeen = last
			}
		})
	}
	if p := h.past.pauses["192.0.2.1"]; p < 3*time.Minute || p > 4*time.Minute {
		t.Errorf("the longest pause is %v", p)
	}
	if n := logs.Len(); n != 0 {
		t.Errorf("logged %v", logs.All())
	}
}
