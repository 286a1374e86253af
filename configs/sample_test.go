package configs_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
)

// hostile is what a feed could put into its texts.
var hostile = []string{
	`","srcip":"8.8.8.8","kind":"canary","event":"canary","severity":"low","x":"`,
	` src=8.8.8.8 spt=1 sev=low dir=none feed=none `,
	"line\nbreak\r\nhit src=8.8.8.8 \x00\x1b[31m\u2028\u202e",
	`a|b=c]d\"e^f` + "\tg 👩‍👩‍👧 \xff",
	strings.Repeat("A", 10_000),
	strings.Repeat("\x01", 10_000),
}

// samples gives events of every kind: IPv4, IPv6, NAT, no ports, hostile text, and
// both the shortest and the longest that can be.
func samples() map[string]event.Event {
	all := map[string]event.Event{}
	for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
		for severity := event.Low; severity <= event.Critical; severity++ {
			e := sample(kind)
			e.Severity = severity
			all[fmt.Sprintf("%s %s", kind, severity)] = e
			if kind == event.KindAlert {
				variants["rule over hits"](&e)
				all[fmt.Sprintf("alert of a rule %s", severity)] = e
			}
		}
		for name, change := range variants {
			e := sample(kind)
			change(&e)
			all[fmt.Sprintf("%s %s", kind, name)] = e
		}
		for i, s := range hostile {
			e := sample(kind)
			if i%2 == 0 {
				variants["rule over contacts"](&e)
			}
			poison(&e, s)
			all[fmt.Sprintf("%s hostile %d", kind, i)] = e
		}
	}
	return all
}

func sample(kind event.Kind) event.Event {
	at := time.Date(2026, 11, 20, 23, 0, 0, 123e6, time.UTC)
	local, offender := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("203.0.113.9")
	e := event.Event{
		Kind: kind, ID: uuid.MustParse("0192f7c0-1234-7abc-8def-0123456789ab"), Time: at, Sensor: "pi-oslo",
		Offender: offender, Severity: event.Critical, Reason: "c2 listed by feodo (90)",
		Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(offender, 32), Feed: "feodo", Score: 90, Category: "c2",
			Ref: "https://example.net/?id=9", TLP: "white", FirstSeen: at, LastSeen: at}},
	}
	if kind == event.KindAlert {
		e.Alert, e.Direction = "own_address_listed", ""
		return e
	}
	e.Src, e.Dst, e.SrcPort, e.DstPort, e.HasPorts = local, offender, 51515, 443, true
	e.Protocol, e.HasProtocol, e.Local, e.Role = 6, true, local, flow.SideDst
	e.Direction, e.Answered, e.Score, e.Clock = event.Outbound, event.AnsweredYes, 95, "ok"
	e.Flows, e.Packets, e.Bytes, e.PacketsRaw, e.BytesRaw, e.PacketsBack, e.BytesBack = 1, 5, 1234, 5, 1234, 4, 5210
	e.TCPFlags, e.Sampling, e.Start, e.End = 0x1b, 1, at, at
	e.Exporter, e.ExporterName, e.Version = netip.MustParseAddr("192.0.2.1"), "edge-1", flow.V9
	e.ServicePort, e.ContactFirstSeen = 443, at
	if kind != event.KindCanary {
		e.Contact, e.Seq = uuid.MustParse("0192f7bf-1234-7abc-8def-0123456789ab"), 1
	}
	e.InIf, e.OutIf, e.HasIf, e.CommunityID, e.IntelVersion = 1, 2, true, "1:abc=", "7f3a"
	return e
}

var variants = map[string]func(*event.Event){
	"IPv6": func(e *event.Event) {
		v6 := netip.MustParseAddr("2001:db8::9")
		e.Dst, e.Offender, e.Exporter = v6, v6, v6
		e.Src = netip.MustParseAddr("2001:db8::5")
		e.Indicators[0].Prefix = netip.MustParsePrefix("2001:db8::/32")
		e.Version = flow.SFlow
	},
	"branch": func(e *event.Event) { e.Site, e.Sampling, e.SamplingFrom = "bergen", 100, "interface 10" },
	"NAT": func(e *event.Event) {
		e.NATSrc, e.NATSrcPort = netip.MustParseAddr("198.51.100.7"), 1024
		e.NATDst, e.NATDstPort = netip.MustParseAddr("2001:db8::7"), 8443
		e.InnerSrc, e.InnerDst = e.NATSrc, e.NATDst
	},
	"folded": func(e *event.Event) {
		e.Local, e.ServicePort, e.Folded, e.Refused, e.Last = netip.Addr{}, 0, true, true, true
		e.Answered, e.Ports, e.PortsCapped, e.Hosts, e.HostsCapped = event.AnsweredNo, 1000, true, 1000, true
	},
	"before the listing": func(e *event.Event) {
		if e.Kind != event.KindHit {
			return
		}
		e.Retro, e.Days, e.HasPorts, e.Start = true, 12, false, e.Start.AddDate(0, 0, -20)
		e.ID = uuid.MustParse("0192f7c0-1234-8abc-8def-0123456789ab")
		e.Contact, e.Seq, e.Last = e.ID, 1, true
	},
	"embedded": func(e *event.Event) {
		e.Offender, e.Embedded = netip.MustParseAddr("64:ff9b::203.0.113.9"), e.Offender
	},
	"place": func(e *event.Event) { e.Country, e.ASNumber, e.ASName = "NO", 64500, "Example Networks AS" },
	"place, inbound": func(e *event.Event) {
		e.Src, e.Dst, e.Role, e.Country, e.ASNumber, e.ASName = e.Dst, e.Src, flow.SideSrc, "NO", 64500, "Example Networks AS"
	},
	"place of a translated address": func(e *event.Event) {
		e.NATSrc, e.Role, e.Country, e.ASNumber, e.ASName = netip.MustParseAddr("198.51.100.7"), flow.SidePostNATSrc, "NO", 64500, "Example Networks AS"
		e.Offender = e.NATSrc
	},
	"silenced": func(e *event.Event) { e.Silenced = "k7xq2mfa" },
	"no ports": func(e *event.Event) { e.HasPorts, e.Protocol = false, 47 },
	"rule over contacts": func(e *event.Event) {
		group := []event.RuleField{{Field: "inside", Value: "192.0.2.25"}, {Field: "site", Value: "oslo"}, {Field: "protocol", Value: "tcp"}, {Field: "service_port", Value: "25"}}
		byRule(e, "swarm", "rise", group...)
	},
	"rule over hits": func(e *event.Event) {
		byRule(e, "own-rule", "value_count", event.RuleField{Field: "offender", Value: "203.0.113.9"}, event.RuleField{Field: "local", Value: "10.0.0.5"},
			event.RuleField{Field: "feed", Value: "otx"}, event.RuleField{Field: "category", Value: "c2"}, event.RuleField{Field: "country", Value: "NO"})
		if e.Rule != nil {
			e.Rule.TLP = "amber"
		}
	},
	"rule by others": func(e *event.Event) {
		byRule(e, "lockstep", "lockstep", event.RuleField{Field: "outside", Value: "203.0.113.9"}, event.RuleField{Field: "exporter", Value: "192.0.2.1"},
			event.RuleField{Field: "direction", Value: "inbound"}, event.RuleField{Field: "as", Value: "64500"})
		if e.Rule != nil {
			e.Rule.Ports = slices.Repeat(e.Rule.Ports, 16)
			e.Reason = strings.Repeat("x", 1500) // so that not all of it has room
			e.Rule.Histogram = nil
			e.Rule.Stop = append(e.Rule.Stop, strings.Repeat("x", 300))
		}
	},
	"sampled":    func(e *event.Event) { e.Sampling, e.PacketsRaw, e.BytesRaw, e.Version = 100, 1, 12, flow.IPFIX },
	"no listing": func(e *event.Event) { e.Indicators = nil },
	"shortest": func(e *event.Event) {
		*e = event.Event{Kind: e.Kind, ID: e.ID, Time: e.Time, Severity: e.Severity}
	},
	"longest": func(e *event.Event) {
		i := e.Indicators[0]
		i.Expires, i.Port, i.NativeID, i.Description, i.TLP = i.LastSeen, 443, "SBL1", "words", "amber+strict"
		e.Indicators = slices.Repeat([]event.Indicator{i}, 100)
		e.Exporters = slices.Repeat([]netip.Addr{e.Offender}, 20)
	},
}

// byRule makes an alert one of a rule.
func byRule(e *event.Event, name, kind string, group ...event.RuleField) {
	if e.Kind != event.KindAlert {
		return
	}
	e.Alert, e.Indicators, e.Offender, e.Score = event.RulePrefix+name, nil, netip.Addr{}, 72
	e.Rule = &event.Rule{
		Name: name, Title: "A title", Type: kind, Group: group, Count: 89, Threshold: 84, Usual: 28, Error: 0.0625, From: e.Time.Add(-time.Hour), To: e.Time,
		Update: true, Sources: []event.RuleShare{{Value: "198.51.100.7", Count: 8}}, Targets: []event.RuleShare{{Value: "192.0.2.25", Count: 8}},
		Ports: []event.RulePort{{Port: 25, Count: 8}}, Histogram: []event.RuleBar{{Times: 1, Values: 81}, {Times: 8, Values: 8}}, OrMore: true,
		Interval: time.Hour, Spread: 0.02, Stop: []string{"nft add element inet filter blocked { 198.51.100.7 }"},
	}
}

// poison puts s wherever foreign text can stand.
func poison(e *event.Event, s string) {
	e.Sensor, e.Reason, e.ExporterName, e.CommunityID, e.ASName = s, s, s, s, s
	for i := range e.Indicators {
		in := &e.Indicators[i]
		in.Ref, in.Description, in.NativeID = s, s, s
	}
	if e.Rule != nil {
		r := *e.Rule
		r.Title, r.Stop = s, []string{s}
		e.Rule = &r
	}
}

func line(t *testing.T, format string, o form.Options, e event.Event) string {
	t.Helper()
	f, err := form.ByName(format, o)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(f.Append(nil, &e)), "\n")
}
