package syslog

import (
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

var at = time.Date(2026, 11, 2, 23, 0, 0, 123_456_789, time.UTC)

// hit is an ordinary event.
func hit() event.Event {
	offender, local := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("10.0.0.5")
	return event.Event{
		Kind: event.KindHit, ID: uuid.MustParse("0192f7c0-1234-7abc-8def-0123456789ab"), Time: at, Sensor: "pi-oslo",
		Src: local, Dst: offender, SrcPort: 51515, DstPort: 443, HasPorts: true, Protocol: 6, HasProtocol: true,
		Offender: offender, Local: local, Role: flow.SideDst, Direction: event.Outbound, Answered: event.AnsweredYes,
		Severity: event.Critical, Score: 95, Reason: "c2 listed by feodo (90); outbound, answered",
		Indicators: []event.Indicator{{
			Prefix: netip.MustParsePrefix("203.0.113.9/32"), Feed: "feodo", Score: 90, Category: "c2", Ref: "https://example.net/9",
		}},
		Flows: 1, Packets: 5, Bytes: 1234, PacketsRaw: 5, BytesRaw: 1234, Start: at, End: at, Clock: "ok",
		Exporter: netip.MustParseAddr("192.0.2.1"), ExporterName: "edge-1", Version: flow.V9,
	}
}

// longest is an event with every field set to what takes most room.
func longest() event.Event {
	v6 := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")
	e := hit()
	e.Kind = event.KindCanary
	e.Src, e.Dst, e.Offender, e.Local, e.Exporter = v6, v6, v6, v6, v6
	e.NATSrc, e.NATDst, e.InnerSrc, e.InnerDst = v6, v6, v6, v6
	e.SrcPort, e.DstPort, e.NATSrcPort, e.NATDstPort = 65535, 65535, 65535, 65535
	e.Contact, e.Seq, e.Last, e.ServicePort, e.ContactFirstSeen = e.ID, 1<<32-1, true, 65535, at
	e.Refused, e.Folded, e.PortsCapped, e.HostsCapped, e.Ports, e.Hosts, e.Embedded = true, true, true, true, 1<<32-1, 1<<32-1, v6
	const most = 1<<64 - 1
	e.Flows, e.Packets, e.Bytes, e.PacketsRaw, e.BytesRaw, e.PacketsBack, e.BytesBack = most, most, most, most-1, most-1, most, most
	e.Protocol, e.Role, e.Version, e.TCPFlags, e.Sampling = 134, flow.SideInnerSrc, flow.SFlow, 0xffff, 1<<32-1
	e.Domain, e.InIf, e.OutIf, e.HasIf, e.Score = 1<<32-1, 1<<32-1, 1<<32-1, true, 255
	e.Blocked = false
	one := e.Indicators[0]
	one.Prefix, one.Port, one.FirstSeen, one.LastSeen, one.Expires = netip.PrefixFrom(v6, 128), 65535, at, at, at
	e.Indicators = make([]event.Indicator, 50)
	e.Exporters = make([]netip.Addr, 50)
	for i := range e.Indicators {
		e.Indicators[i], e.Exporters[i] = one, v6
	}
	poison(&e, strings.Repeat("W", 10_000))
	return e
}

// hostile are texts that feeds could send.
var hostile = []string{
	`","srcip":"8.8.8.8","x":"`,
	"line\nbreak\r\n<13>1 - - - - - - forged",
	"nul\x00 bell\a esc\x1b[31m del\x7f csi\u009b31m",
	"bad utf8 \xff\xfe\xc3 \xed\xa0\x80",
	"sep\u2028arators\u2029 bidi\u202e\u2066 bom\ufeff",
	"emoji 👩‍👩‍👧 \U0001f4a9 \U000e0001",
	`back\slash\ "quotes" ] x="y" ]`,
	strings.Repeat("A", 10_000),
	strings.Repeat("\x01", 10_000),
	strings.Repeat("\U000e0001", 3_000),
	strings.Repeat("]", 5_000),
	" | = ] ; , CEF:0|x src=8.8.8.8",
}

// poison puts s wherever text can stand.
func poison(e *event.Event, s string) {
	e.Sensor, e.Reason, e.Clock, e.ExporterName, e.CommunityID = s, s, s, s, s
	e.IntelVersion, e.Alert = s, s
	e.Direction, e.Answered = event.Direction(s), event.Answered(s)
	list := make([]event.Indicator, len(e.Indicators))
	for i := range list {
		list[i] = e.Indicators[i]
		list[i].Feed, list[i].Category, list[i].Ref, list[i].TLP = s, s, s, s
		list[i].Description, list[i].NativeID = s, s
	}
	e.Indicators = list
}

// samples are events of every kind, with every text.
func samples() []event.Event {
	plain := hit()
	six := hit()
	six.Src, six.Offender = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::1")
	portless := hit()
	portless.HasPorts, portless.Protocol, portless.Kind = false, 1, event.KindUpdate
	alert := event.Event{Kind: event.KindAlert, Alert: "feed_held_back", Reason: "shrank", Severity: event.Medium, Time: at}
	list := []event.Event{plain, six, portless, alert, longest(), {}, {Kind: "something-else-and-long", Time: time.Unix(1<<60, 0)}}
	for _, s := range hostile {
		e, l := hit(), longest()
		poison(&e, s)
		poison(&l, s)
		list = append(list, e, l)
	}
	return list
}
