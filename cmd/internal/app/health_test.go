package app

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var exporter1 = netip.MustParseAddr("192.0.2.1")

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// well is the status of an instance with nothing wrong.
func well() Status {
	s := Status{InstanceStatus: InstanceStatus{Since: noon.Add(-time.Hour)}}
	s.Listeners = []ListenerStatus{{Address: "127.0.0.1:2055", Datagrams: 1000, Beat: noon.Add(-time.Second)}}
	s.Decoded.Versions = map[string]VersionStatus{"v9": {Datagrams: 1000, Records: 20_000}}
	s.Exporters.List = []decode.ExporterStatus{{Address: exporter1, LastSeen: noon.Add(-5 * time.Second)}}
	s.Intel.Indicators = 10
	s.Intel.Feeds = []fetch.Status{{Name: "drop", Taken: noon.Add(-time.Hour), IntervalSeconds: 24 * 3600}}
	s.Journal = JournalStatus{Bytes: 10, MaxBytes: 100}
	s.Sinks = []SinkStatus{{Name: "jsonlog"}, {Name: "kafka"}}
	s.Canary = canary.Status{EverySeconds: 60, LastSeen: noon.Add(-30 * time.Second),
		Sinks: map[string]canary.At{"jsonlog": {Last: noon.Add(-30 * time.Second)}, "kafka": {Last: noon.Add(-30 * time.Second)}}}
	s.Canary.Listeners = map[string]canary.Listener{"127.0.0.1:2055": {LastSeen: noon.Add(-30 * time.Second)}}
	s.Hits.Beat = noon
	s.Clock.State = "ok"
	s.History.Enabled, s.Incidents.Enabled = true, true
	return s
}

// TestFindings pulls one wire at a time: its check, and no other, names the cause.
func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pull  func(*Status, *past)
		check string
		state observe.State
		says  string
	}{
		{"nothing", func(*Status, *past) {}, "", observe.OK, ""},
		{"no canary at Kafka", func(s *Status, _ *past) { s.Canary.Sinks["kafka"] = canary.At{Last: noon.Add(-4 * time.Minute)} },
			"canary", observe.Warning, "kafka has delivered no self-test for 4 minutes"},
		{"no canary at all", func(s *Status, _ *past) { s.Canary.LastSeen = noon.Add(-20 * time.Minute) }, "canary", observe.Critical, "the correlator has received no self-test for 20 minutes"},
		{"no canary at a listener", func(s *Status, _ *past) { s.Canary.Listeners["127.0.0.1:2055"] = canary.Listener{} },
			"canary", observe.Critical, "udp 127.0.0.1:2055 has received no self-test for 60 minutes"},
		{"canary refused", func(s *Status, _ *past) {
			s.Canary.LastSeen, s.Canary.Sinks = time.Time{}, nil
			s.Canary.Listeners["127.0.0.1:2055"] = canary.Listener{Trouble: "not allowed"}
		}, "canary", observe.Warning, "no self-test can be sent to udp 127.0.0.1:2055 (not allowed)"},
		{"canary off", func(s *Status, _ *past) { s.Canary = canary.Status{} }, "", observe.OK, ""},
		{"clock", func(s *Status, _ *past) { s.Clock = ClockStatus{State: "unsynced", Why: "it jumped"} }, "clock", observe.Warning, "it jumped"},
		{"exporter silent", func(s *Status, _ *past) { s.Exporters.List[0].LastSeen = noon.Add(-6 * time.Minute) },
			"exporters", observe.Warning, "192.0.2.1 for 6 minutes"},
		{"nobody but the self-test", func(s *Status, _ *past) {
			s.Exporters.List = []decode.ExporterStatus{{LastSeen: noon, Streams: []decode.StreamStatus{{Domain: canary.DomainTest, LastSeen: noon}}}}
		}, "exporters", observe.Warning, "no datagrams since the start"},
		{"nobody but a canary of v5", func(s *Status, _ *past) {
			s.Exporters.List = []decode.ExporterStatus{{LastSeen: noon, Streams: []decode.StreamStatus{{Version: "v5", Domain: 255, LastSeen: noon.Add(-time.Hour)}}}}
		}, "exporters", observe.Warning, "no datagrams since the start"},
		{"a canary of sFlow names this host as its agent", func(s *Status, _ *past) {
			self := netip.MustParseAddr("127.0.0.1")
			s.Exporters.List = append(s.Exporters.List,
				decode.ExporterStatus{Address: self, LastSeen: noon, Streams: []decode.StreamStatus{{Domain: canary.DomainTest, LastSeen: noon}}},
				decode.ExporterStatus{Address: netip.MustParseAddr("192.0.2.9"), LastSeen: noon,
					Streams: []decode.StreamStatus{{Version: "sflow", Domain: canary.DomainCommand, Agent: &self, LastSeen: noon.Add(-time.Hour)}}})
		}, "", observe.OK, ""},
		{"exporter on this host, beside the self-test", func(s *Status, _ *past) {
			s.Exporters.List = []decode.ExporterStatus{{LastSeen: noon, Streams: []decode.StreamStatus{
				{Domain: canary.DomainTest + 1, LastSeen: noon}, {Domain: 7, LastSeen: noon.Add(-6 * time.Minute)}}}}
		}, "exporters", observe.Warning, "silent"},
		{"exporter silent for long", func(s *Status, _ *past) { s.Exporters.List[0].LastSeen = noon.Add(-30 * time.Minute) },
			"exporters", observe.Critical, "192.0.2.1"},
		{"a stray datagram, then silence", func(s *Status, _ *past) {
			s.Exporters.List = append(s.Exporters.List, decode.ExporterStatus{Address: netip.MustParseAddr("192.0.2.9"),
				LastSeen: noon.Add(-30 * time.Minute), Unproven: true})
		}, "", observe.OK, ""},
		{"nothing but stray datagrams of late", func(s *Status, _ *past) {
			s.Exporters.List[0].Unproven = true
		}, "", observe.OK, ""},
		{"nothing but a stray datagram long ago", func(s *Status, _ *past) {
			s.Exporters.List[0].Unproven, s.Exporters.List[0].LastSeen = true, noon.Add(-30*time.Minute)
		}, "exporters", observe.Warning, "no datagrams since the start"},
		{"an exporter that is named and was heard once", func(s *Status, p *past) {
			s.Exporters.List[0].LastSeen = noon.Add(-30 * time.Minute)
			p.named = []sites.Exporter{{Address: exporter1}}
		}, "exporters", observe.Critical, "192.0.2.1"},
		{"exporter that is often silent", func(s *Status, p *past) {
			s.Exporters.List[0].LastSeen = noon.Add(-6 * time.Minute)
			p.habits[exporter1] = habit{{3 * time.Minute, noon}, {3 * time.Minute, noon}, {3 * time.Minute, noon}}
		}, "", observe.OK, ""},
		{"exporter that was silent twice", func(s *Status, p *past) {
			s.Exporters.List[0].LastSeen = noon.Add(-2 * time.Minute)
			p.habits[exporter1] = habit{{time.Hour, noon}, {time.Hour, noon}}
		}, "exporters", observe.Warning, "192.0.2.1 for 2 minutes"},
		{"exporter silent while we were down", func(s *Status, _ *past) {
			s.Since = noon.Add(-time.Minute)
			s.Exporters.List[0].LastSeen = noon.Add(-30 * time.Minute)
		}, "", observe.OK, ""},
		{"exporter with a limit of its own", func(s *Status, p *past) {
			s.Exporters.List[0].LastSeen = noon.Add(-time.Minute)
			p.named = []sites.Exporter{{Name: "edge-1", Address: exporter1, Silence: 30 * time.Second}}
		}, "exporters", observe.Warning, "edge-1 (192.0.2.1) for 1m0s"},
		{"exporter that never came", func(s *Status, p *past) {
			p.named = []sites.Exporter{{Address: netip.MustParseAddr("192.0.2.7")}}
		}, "exporters", observe.Critical, "192.0.2.7 for 60 minutes"},
		{"agent that went silent", func(s *Status, p *past) {
			agent := netip.MustParseAddr("192.0.2.7")
			s.Exporters.List[0].Streams = []decode.StreamStatus{{Agent: &agent, LastSeen: noon.Add(-5 * time.Minute)}}
			p.named = []sites.Exporter{{Address: agent}}
		}, "exporters", observe.Warning, "192.0.2.7 for 5 minutes"},
		{"no exporter", func(s *Status, _ *past) { s.Exporters.List = nil }, "exporters", observe.Warning, "no datagrams since the start"},
		{"feed stale", func(s *Status, _ *past) { s.Intel.Feeds[0].Taken = noon.Add(-3 * 24 * time.Hour) }, "feeds", observe.Warning, "drop is 3 days old"},
		{"feed of every ten minutes", func(s *Status, _ *past) {
			d := &s.Intel.Feeds[0]
			d.IntervalSeconds, d.Taken, d.Error = 600, noon.Add(-21*time.Minute), "timeout"
		}, "feeds", observe.Warning, "drop is 21 minutes old (timeout)"},
		{"feed of every few seconds", func(s *Status, _ *past) {
			d := &s.Intel.Feeds[0]
			d.IntervalSeconds, d.Taken, d.Error = 5, noon.Add(-time.Minute), "timeout"
		}, "", observe.OK, ""},
		{"feed missing", func(s *Status, _ *past) { s.Intel.Feeds[0] = fetch.Status{Name: "drop", Error: "404"} }, "feeds", observe.Warning, "never fetched: drop (404)"},
		{"flows without an end of ours", func(_ *Status, p *past) { p.transit = 61.4 }, "exporters", observe.Warning,
			"61 % of the flows of the last hour have no end in 'home': are your public prefixes in it?"},
		{"flows of a carrier", func(_ *Status, p *past) { p.transit, p.limits.Transit = 100, 100 }, "", observe.OK, ""},
		{"feed read in part", func(s *Status, _ *past) {
			s.Intel.Feeds[0] = fetch.Status{Name: "otx", Error: "500", Incomplete: true, Entries: 9, Checked: noon}
		}, "feeds", observe.Warning, "never fetched: otx (500, its first reading is not complete)"},
		{"feed that others stand in for", func(s *Status, _ *past) {
			s.Intel.Feeds[0] = fetch.Status{Name: "otx", Note: "the public activity stands in", Checked: noon}
		}, "feeds", observe.Warning, "never fetched: otx (the public activity stands in)"},
		{"feed that is asked seldom", func(s *Status, _ *past) {
			s.Intel.Feeds[0].Taken, s.Intel.Feeds[0].Next = noon.Add(-3*24*time.Hour), noon.Add(time.Hour)
		}, "", observe.OK, ""},
		{"feeds by a date that can be trusted", func(s *Status, p *past) { p.date = noon.Add(10 * 24 * time.Hour) },
			"feeds", observe.Critical, "drop is 10 days old"},
		{"old data", func(s *Status, _ *past) { s.Intel.Feeds[0].Updated = noon.Add(-240 * 24 * time.Hour) }, "feeds", observe.Warning, "drop: the data are 240 d"},
		{"data older than max_age", func(s *Status, _ *past) {
			s.Intel.Feeds[0].Updated, s.Intel.Feeds[0].MaxAgeSeconds = noon.Add(-3*24*time.Hour), 48*3600
		}, "feeds", observe.Warning, "by their own date"},
		{"data of the operator's own list", func(s *Status, _ *past) {
			s.Intel.Feeds[0].Updated, s.Intel.Feeds[0].Operator = noon.Add(-240*24*time.Hour), true
		}, "feeds", observe.OK, ""},
		{"feed held back", func(s *Status, _ *past) { s.Intel.Feeds[0].Held = "empty" }, "feeds", observe.Warning, "drop (empty)"},
		{"DNS list that cannot be asked", func(s *Status, _ *past) {
			s.DNSBL = &DNSBLStatus{Zones: []dnsbl.ZoneStatus{{Zone: "bl.example.org", Error: "timeout"}, {Zone: "dnsbl.example.net", IPv4: true}}}
		}, "feeds", observe.Warning, "bl.example.org (timeout)"},
		{"nothing but a DNS list", func(s *Status, _ *past) {
			s.Intel.Indicators, s.Intel.Feeds = 0, nil
			s.DNSBL = &DNSBLStatus{Zones: []dnsbl.ZoneStatus{{Zone: "dnsbl.example.net", IPv4: true, Error: "no IPv6"}}}
		}, "", observe.OK, ""},
		{"nothing listed", func(s *Status, _ *past) { s.Intel.Indicators = 0 }, "feeds", observe.Critical, "nothing is listed"},
		{"nothing listed yet", func(s *Status, _ *past) { s.Intel.Indicators, s.Since = 0, noon.Add(-time.Minute) },
			"feeds", observe.Warning, "nothing is listed yet"},
		{"kernel drops", func(s *Status, _ *past) {
			s.Listeners[0].KernelDrops, s.Listeners[0].Datagrams = 5, 2000
		}, "loss", observe.Warning, "5 datagrams dropped by the kernel (0.5 %)"},
		{"a few kernel drops", func(s *Status, _ *past) {
			s.Listeners[0].KernelDrops, s.Listeners[0].Datagrams = 5, 10000
		}, "", observe.OK, ""},
		{"gaps in datagrams", func(s *Status, _ *past) {
			s.Exporters.Lost.Datagrams = 25
			s.Decoded.Versions = map[string]VersionStatus{"v9": {Datagrams: 1975, Records: 40_000}}
		}, "loss", observe.Critical, "25 datagrams lost on the way by the exporters' sequence numbers (2.5 %)"},
		{"hit queue", func(s *Status, _ *past) { s.Hits.Found, s.Hits.HitQueueFull = 998, 2 }, "loss", observe.Warning, "raise contact.hit_queue"},
		{"grave hits found a full queue", func(s *Status, _ *past) {
			s.Hits.Found, s.Hits.HitQueueFull, s.Hits.HitsLost = 1_000_000, 1, [4]uint64{event.Critical: 1}
		}, "loss", observe.Critical, "1 of the hits that found a full queue could have been of severity high or critical"},
		{"many gaps", func(s *Status, _ *past) { s.Exporters.Lost.Records = 1000 }, "loss", observe.Critical, "1000 flows lost on the way"},
		{"old gaps", func(s *Status, p *past) {
			s.Exporters.Lost.Records = 1000
			p.status.Exporters.Lost.Records = 1000
		}, "", observe.OK, ""},
		{"sink failing", func(s *Status, p *past) {
			s.Sinks[1] = SinkStatus{Name: "kafka", Failing: true, Pending: 7, LastError: "no route"}
			p.failing["kafka"] = time.Minute
		}, "sinks", observe.Warning, "kafka cannot deliver (7 events wait): no route"},
		{"sink failing for long", func(s *Status, p *past) {
			s.Sinks[1].Failing = true
			p.failing["kafka"] = 10 * time.Minute
		}, "sinks", observe.Critical, "kafka"},
		{"sink has dropped", func(s *Status, _ *past) { s.Sinks[1].Dropped = 3 }, "sinks", observe.Critical, "kafka has lost 3 events"},
		{"spool half full", func(s *Status, _ *past) { s.Journal.Bytes, s.Journal.Urgent.Bytes = 60, 60 }, "spool", observe.Warning, "full to 60 %"},
		{"part of the spool half full", func(s *Status, _ *past) { s.Journal.Bytes, s.Journal.Urgent.Bytes = 50, 5 }, "spool", observe.Warning, "full to 60 %"},
		{"spool has dropped", func(s *Status, _ *past) { s.Journal.DroppedFull, s.Journal.Urgent.DroppedFull = 9, 2 }, "spool", observe.Critical,
			"9 events were dropped because there was no room or for their age, 2 of them of high or critical severity, or alerts"},
		{"disk full", func(s *Status, _ *past) { s.Journal.Trouble = "no space left on device" }, "spool", observe.Critical, "no space left"},
		{"template lost", func(s *Status, _ *past) {
			s.Decoded.UnknownSets = 4
			s.Exporters.List[0].Streams = []decode.StreamStatus{{Missing: []decode.MissingTemplate{{ID: 256}}}}
		}, "templates", observe.Warning, "4 data sets came without their template (192.0.2.1)"},
		{"template came late", func(s *Status, _ *past) {
			s.Decoded.UnknownSets, s.Exporters.Early.Replayed = 4, 4
		}, "", observe.OK, ""},
		{"sender refused", func(s *Status, _ *past) {
			s.Listeners[0].Refused = 12
			s.Listeners[0].RefusedSenders = []RefusedSender{{Address: netip.MustParseAddr("198.51.100.7"), Certain: 12}}
		}, "exporters", observe.Warning, "12 datagrams were refused by udp 127.0.0.1:2055, their senders are not allowed (198.51.100.7): add those that are yours to 'allow'"},
		{"stray datagrams refused", func(s *Status, _ *past) {
			s.Listeners[0].Refused = 30
			for i := range 15 {
				s.Listeners[0].RefusedSenders = append(s.Listeners[0].RefusedSenders,
					RefusedSender{Address: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), Datagrams: 2, Certain: 2})
			}
		}, "", observe.OK, ""},
		{"a flood of strangers refused", func(s *Status, _ *past) { s.Listeners[0].Refused = 1000 }, "exporters", observe.Warning, "1000 datagrams of many senders"},
		{"sender refused long ago", func(s *Status, p *past) {
			s.Listeners[0].Refused = 12
			s.Listeners[0].RefusedSenders = []RefusedSender{{Address: netip.MustParseAddr("198.51.100.7"), Certain: 12}}
			p.status.Listeners[0] = s.Listeners[0]
		}, "", observe.OK, ""},
		{"sender refused, and another exporter silent", func(s *Status, _ *past) {
			s.Listeners[0].Refused = 12
			s.Listeners[0].RefusedSenders = []RefusedSender{{Address: netip.MustParseAddr("198.51.100.7"), Certain: 12}}
			s.Exporters.List[0].LastSeen = noon.Add(-6 * time.Minute)
		}, "exporters", observe.Warning, "192.0.2.1 for 6 minutes: look at the devices and the way from them, and at 'refused' in 'flowsnitch status'; 12 datagrams"},
		{"table of exporters full", problem("cap_exporters"), "exporters", observe.Warning, "limits.exporters: 10000"},
		{"strangers gave way", func(s *Status, _ *past) { s.Exporters.Displaced = 3 }, "exporters", observe.Warning, "limits.exporters is reached"},
		{"sequence numbers jump", func(s *Status, _ *past) { s.Exporters.Lost.Jumps = 30 }, "loss", observe.Warning, "30 sequence numbers that no loss explains"},
		{"an exporter restarts", func(s *Status, _ *past) { s.Exporters.Lost.Jumps = 1 }, "", observe.OK, ""},
		{"domains of an exporter", func(s *Status, p *past) {
			problem("cap_streams")(s, p)
			s.Exporters.List[0].Streams = make([]decode.StreamStatus, 256)
			for i := range s.Exporters.List[0].Streams {
				s.Exporters.List[0].Streams[i].LastSeen = noon
			}
		}, "exporters", observe.Warning, "limits.domains_per_exporter is reached by 192.0.2.1"},
		{"bytes of streams", func(s *Status, p *past) {
			problem("cap_streams")(s, p)
			s.Exporters.StateBytes = 64<<20 - 100
		}, "exporters", observe.Warning, "limits.state_bytes is reached"},
		{"samplers", problem("cap_samplers"), "exporters", observe.Warning, "limits.samplers"},
		{"bytes of templates", func(s *Status, p *past) {
			problem("cap_templates")(s, p)
			s.Decoded.UnknownSets, s.Exporters.TemplateBytes = 40, 64<<20-100
		}, "templates", observe.Warning, "5 templates were refused, limits.template_bytes is reached: raise it"},
		{"no room for a template that came before", func(s *Status, _ *past) {
			s.Decoded.UnknownSets, s.Exporters.Templates = 40, 100_000
		}, "templates", observe.Warning, "40 data sets have no template, limits.templates is reached"},
		{"templates of an exporter", func(s *Status, p *past) {
			problem("cap_templates")(s, p)
			s.Exporters.List[0].Streams = []decode.StreamStatus{{Templates: 600}, {Templates: 400}}
		}, "templates", observe.Warning, "limits.templates_per_exporter is reached by 192.0.2.1"},
		{"no room to wait", func(s *Status, _ *past) { s.Exporters.Early.Full = 3 }, "templates", observe.Warning, "limits.early_bytes"},
		{"file of templates damaged", func(s *Status, _ *past) {
			s.Since, s.Exporters.Restored.Damaged = noon.Add(-50*time.Minute), 3
		}, "templates", observe.Warning, "3 lines damaged"},
		{"file of templates was damaged", func(s *Status, _ *past) {
			s.Since, s.Exporters.Restored.Damaged = noon.Add(-61*time.Minute), 3
		}, "", observe.OK, ""},
		{"segment of the journal unreadable", func(s *Status, _ *past) {
			s.Since, s.Journal.Opened.Unreadable = noon, []string{"00.events (input/output error)"}
		}, "spool", observe.Warning, "could not be read at the start"},
		{"contacts crowded out", func(s *Status, _ *past) { s.Hits.Correlator.CrowdedOut = 3 }, "loss", observe.Warning, "contact.max_contacts"},
		{"contacts evicted", func(s *Status, _ *past) { s.Hits.Correlator.ContactsEvicted = 3 }, "loss", observe.Warning, "contact.max_contacts"},
		{"flows forgotten", func(s *Status, _ *past) { s.Hits.Correlator.FlowsForgotten = 3 }, "loss", observe.Warning, "contact.max_flows"},
		{"undecodable", func(s *Status, p *past) {
			s.Decoded.Problems = map[decode.Reason]uint64{"set_cut": 30}
		}, "loss", observe.Warning, "30 datagrams, sets or records could not be decoded (set_cut: 30)"},
		{"one of a thousand undecodable", problem("set_cut"), "", observe.OK, ""},
		{"datagrams cut", func(s *Status, _ *past) { s.Listeners[0].Truncated = 1 }, "loss", observe.Warning, "longer than any"},
		{"forward target without address", func(s *Status, _ *past) {
			s.Listeners[0].Forward = []ForwardStatus{{Target: "c.example:2055", Dropped: 7, Error: "no such host"}}
		}, "sinks", observe.Warning, "forward target c.example:2055 has no address (no such host), 7 copies dropped"},
		{"forward target down", func(s *Status, _ *past) {
			s.Listeners[0].Forward = []ForwardStatus{{Target: "c.example:2055", Address: netip.MustParseAddrPort("192.0.2.5:2055"), Sent: 90, Failed: 10}}
		}, "sinks", observe.Warning, "10 of 100 copies for forward target c.example:2055 failed"},
		{"forward target too slow", func(s *Status, _ *past) {
			s.Listeners[0].Forward = []ForwardStatus{{Target: "c.example:2055", Address: netip.MustParseAddrPort("192.0.2.5:2055"), Sent: 90, Dropped: 10}}
		}, "sinks", observe.Warning, "10 of 100 copies for forward target c.example:2055 were dropped"},
		{"a loop of forwarding", func(s *Status, _ *past) {
			s.Listeners[0].Forward = []ForwardStatus{{Target: "c.example:2055", Address: netip.MustParseAddrPort("192.0.2.5:2055"), Sent: 90, Looped: 80,
				LoopedFrom: netip.MustParseAddrPort("192.0.2.5:4000")}}
		}, "sinks", observe.Warning, "80 datagrams came again after they had been forwarded to c.example:2055 (from 192.0.2.5:4000)"},
		{"forward target is back", func(s *Status, p *past) {
			s.Listeners[0].Forward = []ForwardStatus{{Target: "c.example:2055", Address: netip.MustParseAddrPort("192.0.2.5:2055"), Sent: 90, Dropped: 10, Failed: 3}}
			p.status.Listeners[0].Forward = s.Listeners[0].Forward
		}, "", observe.OK, ""},
		{"silences lost", func(s *Status, _ *past) { s.Silences.Lost = "silences.json: damaged" }, "silence", observe.Warning, "cannot be read: silences.json: damaged"},
		{"silences not saved", func(s *Status, _ *past) { s.Silences.Unsaved = "no space left on device" }, "silence", observe.Warning, "not saved: no space left"},
		{"fsync fails", func(s *Status, _ *past) { s.Journal.SyncErrors, s.Journal.LastError = 1, "input/output error" },
			"spool", observe.Critical, "1 calls of fsync failed (input/output error): a power cut could lose events"},
		{"places not saved", func(s *Status, _ *past) { s.Journal.SaveErrors = 1 }, "spool", observe.Warning, "could not be saved 1 times"},
		{"reads fail", func(s *Status, _ *past) { s.Journal.ReadErrors = 2 }, "spool", observe.Warning, "2 reads failed"},
		{"journal damaged at the start", func(s *Status, _ *past) {
			s.Since, s.Journal.Opened.LostEvents = noon.Add(-time.Minute), 9
		}, "spool", observe.Warning, "9 events are lost"},
		{"events unreadable", func(s *Status, _ *past) { s.Sinks[1].Dropped, s.Sinks[1].Damaged = 3, 2 },
			"sinks", observe.Critical, "kafka has lost 3 events (2 of them could not be read in the journal: look for a broken disk)"},
		{"hit log does not rotate", func(s *Status, _ *past) {
			s.Sinks[0].Own = OwnStatus{Trouble: map[string]uint64{"file_errors": 1}, Error: "rename: permission denied"}
		}, "sinks", observe.Warning, "jsonlog: 1 errors with its files, the last: rename: permission denied"},
		{"entry in quarantine", func(s *Status, _ *past) {
			s.Intel.Quarantined = []quarantine.Quarantined{{Prefix: netip.MustParsePrefix("198.51.100.0/24")}}
		}, "feeds", observe.Warning, "198.51.100.0/24"},
		{"set full", func(s *Status, _ *past) { s.Intel.Feeds[0].Refused = map[lookup.Reason]int{lookup.ReasonOverCap: 7} },
			"feeds", observe.Warning, "7 entries are not listed, the set is full (drop): raise intel.max_indicators"},
		{"all is lost", func(s *Status, _ *past) {
			s.Listeners[0].KernelDrops = 1000
			s.Listeners[0].Datagrams = 1000
		}, "loss", observe.Critical, "(100 %)"},
		{"work that has stalled", func(s *Status, _ *past) { s.Stalled = []Stalled{{Work: "saving templates", Seconds: 30}} },
			"workers", observe.Warning, "saving templates has stalled for 30s"},
		{"no room for a history", func(s *Status, _ *past) { s.History.Off = "the file system has only 40 MB" }, "history", observe.Warning, "no contacts are kept: the file system has only 40 MB"},
		{"incidents off", func(s *Status, _ *past) { s.Incidents.Enabled = false }, "incidents", observe.OK, "no incidents are kept (incidents.enabled)"},
		{"database of incidents gone", func(s *Status, _ *past) { s.Incidents.Trouble = "connection refused" }, "incidents", observe.Warning, "does not take anything since"},
		{"incidents behind", func(s *Status, _ *past) { s.Incidents.Pending = 100_001 }, "incidents", observe.Warning, "100001 events wait for the database of incidents"},
		{"incidents late", func(s *Status, _ *past) { s.Incidents.Waiting, s.Incidents.Last = 1, noon.Add(-16*time.Minute) }, "incidents", observe.Warning, "the last transaction of the incidents is 16m0s old"},
		{"incidents full", func(s *Status, p *past) { s.Incidents.Over = p.status.Incidents.Over + 3 }, "incidents", observe.Warning, "3 incidents were removed to make room: raise incidents.max"},
		{"incidents damaged", func(s *Status, _ *past) { s.Incidents.Damaged, s.Incidents.AsideAs = 1, "x.bad" }, "incidents", observe.Warning, "was damaged and has begun anew; what was in it is in x.bad"},
		{"hours that the incidents never got", func(s *Status, p *past) { s.Incidents.Unwritten = p.status.Incidents.Unwritten + 3 }, "incidents", observe.Warning, "reports will know nothing of 3 hours"},
		{"incidents damaged in an earlier run", func(s *Status, _ *past) { s.Incidents.AsideAs = "x.bad" }, "incidents", observe.Warning, "what was in it is in x.bad"},
		{"events lost before the incidents", func(s *Status, p *past) { s.Incidents.Dropped = p.status.Incidents.Dropped + 3 }, "incidents", observe.Critical, "3 events were lost before the database of incidents had them"},
		{"history off", func(s *Status, _ *past) { s.History.Enabled = false }, "history", observe.OK, "no contacts are kept (history.enabled)"},
		{"disk of the history hangs", func(s *Status, _ *past) { s.History.Disk = "sync x: no answer for 9s" }, "history", observe.Warning, "does not answer (sync x: no answer for 9s)"},
		{"history cannot be written", func(s *Status, _ *past) {
			s.History.Files.Trouble = "contacts cannot be written: x; make room"
		}, "history", observe.Warning, "contacts cannot be written: x; make room"},
		{"retro-hunt fails", func(s *Status, _ *past) { s.Retro.Failing, s.Retro.LastError = true, "x" }, "history", observe.Warning, "new entries cannot be searched for in the history (x)"},
		{"retro-hunt waits", func(s *Status, _ *past) { s.Retro.WaitingSince, s.Retro.Entries = noon.Add(-2*time.Hour), 7 }, "history", observe.Warning, "7 new entries have been waiting for 2h0m0s"},
		{"history damaged", func(s *Status, _ *past) { s.History.Files.Bad = 2 }, "history", observe.Warning, "2 files of the history are damaged"},
		{"history unmerged", func(s *Status, _ *past) { s.History.Files.Waiting = 101 }, "history", observe.Warning, "101 files of the history wait to be merged"},
		{"history of transit", func(s *Status, p *past) {
			s.History.Recorded.Kept, s.History.Recorded.Transit = p.status.History.Recorded.Kept+1000, p.status.History.Recorded.Transit+310
		}, "history", observe.Warning, "31 % of the flows have no end in 'home'"},
		{"history of little transit", func(s *Status, p *past) {
			s.History.Recorded.Kept, s.History.Recorded.Transit = p.status.History.Recorded.Kept+1000, p.status.History.Recorded.Transit+290
		}, "history", observe.OK, "contacts are kept"},
		{"a rule that is not valid", func(s *Status, _ *past) { s.Rules.Bad, s.Rules.Invalid = 1, []string{"own.yml:3:9: unknown key"} }, "rules", observe.Warning, "1 rules are left out: own.yml:3:9: unknown key"},
		{"a rule in quarantine", func(s *Status, _ *past) { s.Rules.Quiet = []string{"loud"} }, "rules", observe.Warning, "quiet for an hour: loud"},
		{"rules cannot save", func(s *Status, _ *past) { s.Rules.Trouble = "no space left on device" }, "rules", observe.Warning, "no space left on device"},
		{"what rules remembered is lost", func(s *Status, _ *past) { s.Rules.Damaged = "cut" }, "rules", observe.Warning, "they have begun anew"},
		{"too many groups", func(s *Status, _ *past) { s.Rules.Dropped = 5 }, "rules", observe.Warning, "raise rules.max_groups"},
		{"hours that rules missed", func(s *Status, _ *past) { s.Rules.Omitted = 5 }, "rules", observe.Warning, "5 contacts were not judged"},
		{"a file that rules cannot read", func(s *Status, _ *past) { s.Rules.Unread = 1 }, "rules", observe.Warning, "could not be read"},
		{"events lost before the rules", func(s *Status, _ *past) { s.Rules.Lost = 7 }, "rules", observe.Critical, "7 events were lost before rules"},
		{"rules", func(s *Status, _ *past) { s.Rules.On = 13 }, "rules", observe.OK, "13 rules are on"},
		{"correlator stalled", func(s *Status, _ *past) { s.Hits.Beat = noon.Add(-7 * time.Second) }, "workers", observe.Warning, "the correlator has not turned"},
		{"worker stalled", func(s *Status, _ *past) { s.Listeners[0].Beat = noon.Add(-time.Minute) }, "workers", observe.Critical, "udp 127.0.0.1:2055 has not turned for 1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, before := well(), well()
			p := past{limits: configs.DefaultHealth(), caps: decode.DefaultLimits(), date: noon, status: before,
				failing: map[string]time.Duration{}, habits: map[netip.Addr]habit{}}
			tt.pull(&s, &p)
			list := findings(&s, &p, noon)
			if len(list) != 14 {
				t.Fatalf("%d findings", len(list))
			}
			for _, f := range list {
				switch {
				case f.Text == "":
					t.Errorf("%s says nothing", f.Check)
				case f.Check != tt.check && f.State != observe.OK:
					t.Errorf("%+v", f)
				case f.Check == tt.check && (f.State != tt.state || !strings.Contains(f.Text, tt.says)):
					t.Errorf("%+v, want %v with %q", f, tt.state, tt.says)
				}
			}
		})
	}
}

// problem counts something that decoders refuse.
func problem(r decode.Reason) func(*Status, *past) {
	return func(s *Status, _ *past) { s.Decoded.Problems = map[decode.Reason]uint64{r: 5} }
}

// TestPercent: shares are read by people.
func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{
		100: "100", 99.96: "100", 12.34: "12", 9.96: "10", 9.4: "9.4", 2.5: "2.5", 1: "1", 0.98: "1", 0.5: "0.5", 0.123: "0.12", 0.0994: "0.1", 0.0123: "0.012", 0.0001: "less than 0.001",
	} {
		if got := percent(share); got != want {
			t.Errorf("%v: %s, want %s", share, got, want)
		}
	}
}

// TestHealthWatch: each change of a check is logged once, the window forgets, and the
// usual pauses of an exporter are learned.
func TestHealthWatch(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJudge(&past{limits: configs.DefaultHealth()})
	h := j.watch(zap.New(core))
	at := func(d time.Duration, change func(*Status)) {
		now := noon.Add(d)
		s := well()
		s.Since, s.Listeners[0].Beat, s.Canary.LastSeen = noon.Add(-time.Hour), now, now
		s.Canary.Sinks, s.Canary.Listeners, s.Hits.Beat, s.Intel.Feeds[0].Taken, s.Exporters.List[0].LastSeen = nil, nil, now, now, now
		change(&s)
		j.status, j.now = &s, now
		h.look(now)
	}
	var drops uint64
	for d := time.Duration(0); d < 10*time.Minute; d += healthEvery {
		at(d, func(s *Status) {
			if d >= time.Minute {
				drops = 5000
			}
			s.Listeners[0].KernelDrops, s.Listeners[0].Datagrams = drops, 10_000*uint64(d.Seconds())
		})
	}
	var said []string
	for _, e := range logs.TakeAll() {
		said = append(said, fmt.Sprintf("%s %s", e.Level, e.Message))
	}
	if len(said) != 2 || !strings.Contains(said[0], "warn 5000 datagrams dropped") || !strings.Contains(said[1], "info OK again") {
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
	if p := j.exporters.habits[exporter1].usual(); p < 3*time.Minute || p > 4*time.Minute {
		t.Errorf("the usual pause is %v", p)
	}
	if n := logs.Len(); n != 2*habitPauses {
		t.Errorf("logged %v", logs.All())
	}
}

// TestHabit: pauses are forgotten after a day, and breakdowns now and then are no habit.
func TestHabit(t *testing.T) {
	var h habit
	for day := range 10 {
		at := noon.Add(time.Duration(day) * 24 * time.Hour)
		h = h.since(at.Add(-habitMemory)).with(3*time.Hour, at)
		if h.usual() != 0 {
			t.Fatalf("on day %d %v is usual", day, h.usual())
		}
	}
	for i, length := range []time.Duration{9, 1, 8, 2, 7, 3} {
		at := noon.Add(248*time.Hour + time.Duration(i)*time.Minute)
		h = h.since(at.Add(-habitMemory)).with(length*time.Minute, at)
	}
	if len(h) != habitPauses || h.usual() != 7*time.Minute {
		t.Errorf("%v", h)
	}
	if h = h.since(noon.Add(300 * time.Hour)); len(h) != 0 || h.usual() != 0 {
		t.Errorf("after days still %v", h)
	}
}

// TestHealthNews: one thing more that is not well is news though the state is as bad as
// before; one thing less, or the same with other words, is none.
func TestHealthNews(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJudge(&past{limits: configs.DefaultHealth()})
	h := j.watch(zap.New(core))
	for i, failing := range [][]string{{}, {"kafka"}, {"kafka"}, {"kafka", "jsonlog"}, {"jsonlog"}, {}} {
		now := noon.Add(time.Duration(i) * healthEvery)
		s := well()
		s.Hits.Beat, s.Listeners[0].Beat = now, now
		for j := range s.Sinks {
			s.Sinks[j].Failing = slices.Contains(failing, s.Sinks[j].Name)
			s.Sinks[j].Pending = uint64(i)
		}
		j.status, j.now = &s, now
		h.look(now)
	}
	var said []string
	for _, e := range logs.TakeAll() {
		said = append(said, fmt.Sprintf("%s %s %v", e.Level, e.Message, e.ContextMap()["check"]))
	}
	want := []string{
		"warn kafka cannot deliver (1 events wait):  sinks",
		"warn jsonlog cannot deliver (3 events wait): ; kafka cannot deliver (3 events wait):  sinks",
		"info OK again: 2 sinks deliver sinks",
	}
	if !slices.Equal(said, want) {
		t.Errorf("logged %q", said)
	}
}

// TestHealthLate: what was found long ago says nothing, and that is said.
func TestHealthLate(t *testing.T) {
	j := newJudge(&past{limits: configs.DefaultHealth()})
	h := j.watch(zap.NewNop())
	if list := h.findings(noon); list != nil {
		t.Errorf("before the first look: %+v", list)
	}
	s := well()
	j.status, j.now = &s, noon
	h.look(noon)
	for after, want := range map[time.Duration]observe.State{time.Minute: observe.OK, 61 * time.Second: observe.Critical} {
		for _, f := range h.findings(noon.Add(after)) {
			if f.Check == "workers" && (f.State != want || f.Least != want) {
				t.Errorf("after %s: %+v", after, f)
			}
		}
	}
}

// TestBadPieces: a piece of a feed that stays bad for as long as a feed may be old is a
// warning that names it.
func TestBadPieces(t *testing.T) {
	p := &past{date: noon}
	p.limits.FeedAge = 48 * time.Hour
	for age, warns := range map[time.Duration]bool{time.Minute: false, 47 * time.Hour: false, 49 * time.Hour: true} {
		s := &Status{InstanceStatus: InstanceStatus{Since: noon}}
		s.Intel.Indicators = 1
		s.Intel.Feeds = []fetch.Status{{Name: "f", Taken: noon, IntervalSeconds: 24 * 3600, BadPieces: 2,
			Bad: []source.Piece{{Name: "event 1", Why: "HTTP 404", Since: noon.Add(-age)}, {Name: "event 2", Since: noon}}}}
		check := &feedCheck{limits: p.limits, intel: func() IntelStatus { return s.Intel }, otherwise: func() bool { return false },
			date: func() time.Time { return p.date }, since: func() time.Time { return s.Since }}
		f := check.state(noon)
		if got := f.State == observe.Warning; got != warns || warns && !strings.Contains(f.Text, "f (2, the first is event 1: HTTP 404)") {
			t.Errorf("after %v: %+v", age, f)
		}
	}
}
