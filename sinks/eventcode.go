package sinks

import (
	"errors"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// The journal keeps an event as one byte, the version of the form, and its fields
// one after another: numbers as in protobuf (base 128), texts and lists behind their
// lengths. What is absent costs one byte. Within a version one rule keeps the form
// readable: fields are added at the end, of the event or of the indicator, and never
// removed. A reader takes what is missing at the end for zero and leaves alone what
// it does not know. A change that breaks this rule needs a new version, and the old
// fields stay readable beside the new ones.
const (
	// eventVersion is the version that is written. Version 1 had no byte of its own:
	// it is the payload of a record of version 1.
	eventVersion = 2
	// maxEventText bounds one text, maxEvent the whole. What is longer is cut: a text
	// at its end, a list by its last entries, the least important indicators.
	maxEventText = 32 << 10
	maxEvent     = 1 << 20
	// maxFlat bounds all that comes before the indicators, maxBehind what comes behind them.
	maxFlat   = maxEvent / 2
	maxBehind = maxEventText + 128
)

var errEventCode = errors.New("the bytes are not an event")

// A coder writes or reads one value after another. It gives back what it was
// given or has read, so that one list of fields serves both ways and the order
// cannot differ.
type coder interface {
	id(uuid.UUID) uuid.UUID
	number(uint64) uint64
	text(string) string
	time(time.Time) time.Time
	addr(netip.Addr) netip.Addr
	prefix(netip.Prefix) netip.Prefix
	addrs([]netip.Addr) []netip.Addr
	indicators([]event.Indicator) []event.Indicator
}

// appendEvent appends e in the journal's form. cut says that not all had room.
func appendEvent(b []byte, e *event.Event) (_ []byte, cut bool) {
	w := encoder{b: append(b, eventVersion), begin: len(b)}
	c := *e // the fields are assigned, and e is only lent
	eventFields(&w, &c)
	return w.b, w.cut
}

// decodeEvent reads what appendEvent wrote. The event shares nothing with b.
func decodeEvent(b []byte) (event.Event, error) {
	if len(b) == 0 || b[0] != eventVersion {
		return event.Event{}, errEventCode
	}
	return decodeFields(b[1:])
}

// decodeFields reads the fields of an event, which is all there is in version 1.
func decodeFields(b []byte) (event.Event, error) {
	r := decoder{s: string(b)}
	var e event.Event
	eventFields(&r, &e)
	if r.bad {
		return event.Event{}, errEventCode
	}
	return e, nil
}

// eventFields passes every field through c. New ones go to its end.
func eventFields(c coder, e *event.Event) {
	e.ID = c.id(e.ID)
	e.Kind = event.Kind(c.text(string(e.Kind)))
	e.Time = c.time(e.Time)
	e.Sensor = c.text(e.Sensor)
	flags(c, &e.HasPorts, &e.HasProtocol, &e.Blocked, &e.HasIf)
	flowFields(c, e)
	judgementFields(c, e)
	counterFields(c, e)
	originFields(c, e)
	e.CommunityID = c.text(e.CommunityID)
	e.Alert = c.text(e.Alert)
	e.Exporters = c.addrs(e.Exporters)
	e.Indicators = c.indicators(e.Indicators)
	contactFields(c, e)
}

// contactFields came after the first version.
func contactFields(c coder, e *event.Event) {
	e.Contact = c.id(e.Contact)
	e.Seq = number(c, e.Seq)
	e.ServicePort = number(c, e.ServicePort)
	e.ContactFirstSeen = c.time(e.ContactFirstSeen)
	flags(c, &e.Last, &e.Refused, &e.Folded, &e.PortsCapped, &e.HostsCapped)
	e.Ports, e.Hosts = number(c, e.Ports), number(c, e.Hosts)
	e.Embedded = c.addr(e.Embedded)
	e.SamplingFrom = c.text(e.SamplingFrom)
}

func flowFields(c coder, e *event.Event) {
	e.Src, e.Dst = c.addr(e.Src), c.addr(e.Dst)
	e.SrcPort, e.DstPort = number(c, e.SrcPort), number(c, e.DstPort)
	e.Protocol = number(c, e.Protocol)
	e.NATSrc, e.NATDst = c.addr(e.NATSrc), c.addr(e.NATDst)
	e.NATSrcPort, e.NATDstPort = number(c, e.NATSrcPort), number(c, e.NATDstPort)
	e.InnerSrc, e.InnerDst = c.addr(e.InnerSrc), c.addr(e.InnerDst)
}

func judgementFields(c coder, e *event.Event) {
	e.Offender, e.Local = c.addr(e.Offender), c.addr(e.Local)
	e.Role = flow.Side(number(c, uint8(e.Role)))
	e.Direction = event.Direction(c.text(string(e.Direction)))
	e.Answered = event.Answered(c.text(string(e.Answered)))
	e.Severity = event.Severity(number(c, uint8(e.Severity)))
	e.Score = number(c, e.Score)
	e.Reason = c.text(e.Reason)
	e.IntelVersion = c.text(e.IntelVersion)
}

func counterFields(c coder, e *event.Event) {
	e.Flows = number(c, e.Flows)
	e.Packets, e.Bytes = number(c, e.Packets), number(c, e.Bytes)
	e.PacketsRaw, e.BytesRaw = number(c, e.PacketsRaw), number(c, e.BytesRaw)
	e.PacketsBack, e.BytesBack = number(c, e.PacketsBack), number(c, e.BytesBack)
	e.TCPFlags = number(c, e.TCPFlags)
	e.Sampling = number(c, e.Sampling)
	e.Start, e.End = c.time(e.Start), c.time(e.End)
	e.Clock = c.text(e.Clock)
}

func originFields(c coder, e *event.Event) {
	e.Exporter = c.addr(e.Exporter)
	e.ExporterName = c.text(e.ExporterName)
	e.Domain = number(c, e.Domain)
	e.Version = flow.Version(number(c, uint8(e.Version)))
	e.InIf, e.OutIf = number(c, e.InIf), number(c, e.OutIf)
}

// indicatorFields passes every field of an indicator through c. New ones go to
// its end.
func indicatorFields(c coder, i *event.Indicator) {
	i.Prefix = c.prefix(i.Prefix)
	i.Port = number(c, i.Port)
	i.Feed = c.text(i.Feed)
	i.Score = number(c, i.Score)
	i.Category = c.text(i.Category)
	i.Ref = c.text(i.Ref)
	i.Description = c.text(i.Description)
	i.NativeID = c.text(i.NativeID)
	i.TLP = c.text(i.TLP)
	i.FirstSeen, i.LastSeen, i.Expires = c.time(i.FirstSeen), c.time(i.LastSeen), c.time(i.Expires)
}

// number passes a number of any width.
func number[T uint8 | uint16 | uint32 | uint64](c coder, n T) T { return T(c.number(uint64(n))) }

// flags passes bools as the bits of one number, the first as the lowest.
func flags(c coder, all ...*bool) {
	var bits uint64
	for i, set := range all {
		if *set {
			bits |= 1 << i
		}
	}
	bits = c.number(bits)
	for i, set := range all {
		*set = bits>>i&1 != 0
	}
}
