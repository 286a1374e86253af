// Package eventtest has the sample events of tests in all packages: a hit, an alert and an alert of a rule with
// every field filled, and hostile text for each place where text from outside can stand. It
// is imported by tests alone.
package eventtest

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// At is the time of receipt of every event made here.
var At = time.Date(2026, 11, 20, 23, 0, 0, 123_456_789, time.UTC)

// Hit is the event that the documentation of the native form shows.
func Hit() event.Event {
	offender := netip.MustParseAddr("203.0.113.9")
	local := netip.MustParseAddr("10.0.0.5")
	return event.Event{
		Kind: event.KindHit, ID: uuid.MustParse("0192f7c0-1234-7abc-8def-0123456789ab"), Time: At, Sensor: "pi-oslo",
		Src: local, Dst: offender, SrcPort: 51515, DstPort: 443, HasPorts: true, Protocol: 6, HasProtocol: true,
		Offender: offender, Local: local, Role: flow.SideDst, Direction: event.Outbound, Answered: event.AnsweredYes,
		Severity: event.Critical, Score: 95, Reason: "c2 listed by feodo (90), otx (75); outbound, answered",
		Indicators: []event.Indicator{
			{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Feed: "feodo", Score: 90, Category: "c2",
				Ref: "https://example.net/9", TLP: "white", FirstSeen: At.Add(-48 * time.Hour), LastSeen: At.Add(-time.Hour)},
			{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Feed: "otx", Score: 75, Category: "c2", NativeID: "pulse-1"},
		},
		IntelVersion: "7f3a", Flows: 1, Packets: 5, Bytes: 1234, PacketsRaw: 5, BytesRaw: 1234, PacketsBack: 4, BytesBack: 5210,
		TCPFlags: 0x1b, Sampling: 1, Start: At.Add(-2 * time.Second), End: At.Add(-time.Second), Clock: "ok",
		Exporter: netip.MustParseAddr("192.0.2.1"), ExporterName: "edge-1", Version: flow.V9,
		InIf: 1, OutIf: 2, HasIf: true, NATSrc: netip.MustParseAddr("198.51.100.7"), CommunityID: "1:abc=",
	}
}

// Alert is an alert about one of our own addresses.
func Alert() event.Event {
	own := netip.MustParseAddr("198.51.100.7")
	return event.Event{
		Kind: event.KindAlert, ID: uuid.MustParse("0192f7c0-1234-7abc-8def-0123456789ab"), Time: At, Sensor: "pi-oslo",
		Alert: "own_address_listed", Severity: event.High, Reason: "our 198.51.100.7 is listed by otx", Offender: own,
		Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(own, 32), Feed: "otx", Score: 75, Category: "c2"}},
	}
}

// RuleAlert is an alert of a correlation rule: a swarm.
func RuleAlert() event.Event {
	return event.Event{
		Kind: event.KindAlert, ID: uuid.MustParse("0192f7c0-1234-8abc-8def-0123456789ab"), Time: At, Sensor: "pi-oslo",
		Alert: "rule_swarm", Severity: event.High, Score: 72, Local: netip.MustParseAddr("192.0.2.25"), Site: "oslo",
		Reason: "swarm: 89 sources tried 192.0.2.25 tcp/25 at oslo within 6h, usual 28, none more than 8 times",
		Rule:   Swarm(),
	}
}

// Swarm is the evidence of RuleAlert.
func Swarm() *event.Rule {
	return &event.Rule{
		Name: "swarm", Title: "Many sources, few tries each, one service", Type: "rise",
		Group: []event.RuleField{{Field: "inside", Value: "192.0.2.25"}, {Field: "site", Value: "oslo"}, {Field: "protocol", Value: "tcp"}, {Field: "service_port", Value: "25"}},
		Count: 89, Threshold: 84, Usual: 28, Error: 0.0625, From: At.Add(-6 * time.Hour), To: At,
		Sources:   []event.RuleShare{{Value: "198.51.100.7", Count: 8}, {Value: "2001:db8::9", Count: 7}},
		Targets:   []event.RuleShare{{Value: "192.0.2.25", Count: 141}},
		Ports:     []event.RulePort{{Port: 25, Count: 141}},
		Histogram: []event.RuleBar{{Times: 1, Values: 60}, {Times: 2, Values: 20}, {Times: 7, Values: 9}}, OrMore: true,
		Stop: []string{`nft add rule inet filter input ip daddr 192.0.2.25 tcp dport 25 ct count over 20 drop comment "swarm"`},
	}
}

// Hostile are texts that feeds could send.
var Hostile = []string{
	`","srcip":"8.8.8.8","x":"`,
	"line\nbreak\r\n{\"integration\":\"flowsnitch\"",
	"nul\x00 bell\a esc\x1b[31m del\x7f csi\u009b31m",
	"bad utf8 \xff\xfe\xc3 \xed\xa0\x80",
	"sep\u2028arators\u2029 bidi\u202e\u2066 bom\ufeff",
	"emoji 👩‍👩‍👧 \U0001f4a9 \U000e0001",
	`back\slash\ and "quotes" ` + "`ticks` <script>&amp;",
	strings.Repeat("A", 10_000),
	strings.Repeat("\x01", 10_000),
	strings.Repeat("\U000e0001", 3_000),
	strings.Repeat("é", 5_000),
	" | = ] ; , CEF:0|x",
}

// Poison puts s wherever text can stand.
func Poison(e *event.Event, s string) {
	e.Sensor, e.Reason, e.Clock, e.ExporterName, e.CommunityID = s, s, s, s, s
	e.IntelVersion, e.Alert, e.Site, e.SamplingFrom = s, s, s, s
	e.Silenced, e.Country, e.ASName = s, s, s
	e.Direction, e.Answered = event.Direction(s), event.Answered(s)
	list := make([]event.Indicator, len(e.Indicators))
	for i := range list {
		list[i] = e.Indicators[i]
		list[i].Feed, list[i].Category, list[i].Ref, list[i].TLP = s, s, s, s
		list[i].Description, list[i].NativeID = s, s
	}
	e.Indicators = list
	if e.Rule != nil {
		e.Rule = poisoned(*e.Rule, s)
	}
}

// poisoned gives the evidence of a rule with s as every text.
func poisoned(r event.Rule, s string) *event.Rule {
	r.Name, r.Title, r.Type = s, s, s
	r.Group, r.Sources, r.Targets, r.Stop = slices.Clone(r.Group), slices.Clone(r.Sources), slices.Clone(r.Targets), slices.Clone(r.Stop)
	if r.TLP != "" { // so that no key is there that was not
		r.TLP = s
	}
	for i := range r.Group {
		r.Group[i].Value = s
	}
	for i := range r.Sources {
		r.Sources[i].Value = s
	}
	for i := range r.Targets {
		r.Targets[i].Value = s
	}
	for i := range r.Stop {
		r.Stop[i] = s
	}
	return &r
}

// Longest is an event with every field set to what takes most room.
func Longest() event.Event {
	v6 := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")
	e := Hit()
	e.Kind = event.KindUpdate
	e.Src, e.Dst, e.Offender, e.Local, e.Exporter = v6, v6, v6, v6, v6
	e.NATSrc, e.NATDst, e.InnerSrc, e.InnerDst = v6, v6, v6, v6
	e.SrcPort, e.DstPort, e.NATSrcPort, e.NATDstPort = 65535, 65535, 65535, 65535
	e.Site, e.SamplingFrom = "oslo", "interface 1"
	e.Contact, e.Seq, e.Last, e.ServicePort, e.ContactFirstSeen = e.ID, 1<<32-1, true, 65535, At
	e.Refused, e.Folded, e.PortsCapped, e.HostsCapped, e.Ports, e.Hosts, e.Embedded = true, true, true, true, 1<<32-1, 1<<32-1, v6
	e.Retro, e.Days = true, 1<<32-1
	e.Silenced, e.Country, e.ASNumber, e.ASName = "k7xq2mfa", "NO", 1<<32-1, "EXAMPLE-NET Example Networks AS"
	const most = 1<<64 - 1
	e.Flows, e.Packets, e.Bytes, e.PacketsRaw, e.BytesRaw, e.PacketsBack, e.BytesBack = most, most, most, most-1, most-1, most, most
	e.Protocol, e.Role, e.Version, e.TCPFlags, e.Sampling = 134, flow.SideInnerSrc, flow.SFlow, 0xffff, 1<<32-1
	e.Domain, e.InIf, e.OutIf, e.Score = 1<<32-1, 1<<32-1, 1<<32-1, 255
	e.Exporters = make([]netip.Addr, 10_000)
	for i := range e.Exporters {
		e.Exporters[i] = v6
	}
	one := event.Indicator{Prefix: netip.PrefixFrom(v6, 128), Port: 65535, Score: 100, FirstSeen: At, LastSeen: At, Expires: At}
	e.Indicators = make([]event.Indicator, 1000)
	for i := range e.Indicators {
		e.Indicators[i] = one
	}
	e.Rule = longestRule(v6.String())
	return e
}

func longestRule(address string) *event.Rule {
	const most = 1<<64 - 1
	r := &event.Rule{
		Name: "swarm", Title: "Many sources", Type: "temporal_ordered", Count: most, Threshold: most, Usual: most, Error: 1e9, From: At, To: At, Update: true,
		Interval: 1<<63 - 1, Spread: 123456789.1234, OrMore: true, LeftOut: 1<<32 - 1, TLP: "amber+strict",
	}
	for i := range event.MaxRuleGroup {
		r.Group = append(r.Group, event.RuleField{Field: strings.Repeat("x", 23) + string(rune('a'+i)), Value: address})
	}
	for range event.MaxRuleShares {
		r.Sources = append(r.Sources, event.RuleShare{Value: address, Count: most})
	}
	r.Targets = r.Sources
	for range event.MaxRulePorts {
		r.Ports = append(r.Ports, event.RulePort{Port: 65535, Count: most})
	}
	for range event.MaxRuleBars {
		r.Histogram = append(r.Histogram, event.RuleBar{Times: most, Values: most})
	}
	for range event.MaxRuleStop {
		r.Stop = append(r.Stop, strings.Repeat("x", 200))
	}
	return r
}
