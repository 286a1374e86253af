package syslog

import (
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
)

var at = time.Date(2026, 11, 2, 23, 0, 0, 123_456_789, time.UTC)

// hit is an ordinary event that fits into a datagram: one listing, no translation.
func hit() event.Event {
	e := eventtest.Hit()
	e.Time, e.NATSrc, e.CommunityID, e.IntelVersion, e.HasIf = at, netip.Addr{}, "", "", false
	best := e.Indicators[0]
	e.Indicators = []event.Indicator{{Prefix: best.Prefix, Feed: best.Feed, Score: best.Score, Category: best.Category, Ref: best.Ref}}
	return e
}

// longest is an event with every field set to what takes most room.
func longest() event.Event {
	e := eventtest.Longest()
	e.Kind = event.KindCanary
	eventtest.Poison(&e, strings.Repeat("W", 10_000))
	return e
}

// hostile are texts that feeds could send.
var hostile = append([]string{
	"line\nbreak\r\n<13>1 - - - - - - forged",
	`back\slash\ "quotes" ] x="y" ]`,
	strings.Repeat("]", 5_000),
	" | = ] ; , CEF:0|x src=8.8.8.8",
}, eventtest.Hostile...)

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
		eventtest.Poison(&e, s)
		eventtest.Poison(&l, s)
		list = append(list, e, l)
	}
	return list
}
