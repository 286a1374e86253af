package eventtest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// HitOf is a plain hit of the nth offender, without an ID.
func HitOf(n int, severity event.Severity) event.Event {
	offender := netip.AddrFrom4([4]byte{203, 0, byte(113 + n/250), byte(1 + n%250)})
	e := Hit()
	e.ID, e.ExporterName, e.Time, e.Dst, e.Offender, e.Severity = uuid.Nil, "", e.Time.Truncate(time.Second), offender, offender, severity
	e.Reason, e.Indicators = "c2 listed by feodo (90); outbound, answered", e.Indicators[:1]
	best := &e.Indicators[0]
	best.Prefix, best.Description, best.FirstSeen, best.LastSeen = netip.PrefixFrom(offender, 32), "botnet", time.Time{}, time.Time{}
	return e
}

// AlertOf is an alert of a name, about one of our own addresses.
func AlertOf(name, reason string) event.Event {
	return event.Event{Kind: event.KindAlert, Alert: name, Reason: reason, Sensor: "pi-oslo", Severity: event.Medium,
		Offender: netip.MustParseAddr("198.51.100.7")}
}

// hostileToPeople is what feeds could say to people.
const hostileToPeople = "x`@channel <!here> <https://evil.example|click> \x1b[2J\r\nBcc: a@b\r\n.\r\n\u202e & *b* 👍"

// HostileHit is a hit with text that people must not get as it is.
func HostileHit() event.Event {
	e := HitOf(0, event.Critical)
	e.Reason, e.Sensor = hostileToPeople, "pi"
	in := &e.Indicators[0]
	in.Feed, in.Category, in.Ref, in.Description = hostileToPeople, hostileToPeople, hostileToPeople, hostileToPeople+strings.Repeat("A", 10_000)
	return e
}
