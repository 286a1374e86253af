package compact

import (
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// The binary form of an event is one byte, the version of the form, and its fields
// one after another: numbers as in protobuf (base 128), texts and lists behind their
// lengths. What is absent costs one byte. Within a version one rule keeps the form
// readable: fields are added at the end, of the event, of the indicator or of the rule, and never
// removed. A reader takes what is missing at the end for zero and leaves alone what
// it does not know. A change that breaks this rule needs a new version, and the old
// fields stay readable beside the new ones.
const (
	// version is the version that is written. Version 1 had no byte of its own.
	version = 2
	// maxText bounds one text.
	maxText = 32 << 10
	// Max is the size of the largest event in bytes, up to a few more for the ends
	// of its lists. What is longer is cut: a text at its end, a list by its last entries,
	// the least important indicators.
	Max = 1 << 20
	// maxFlat bounds all that comes before the indicators, maxBehind what comes behind them.
	maxFlat   = Max / 2
	maxBehind = 7*maxText + maxRule + 256
)

// An Error is why bytes are not an event.
type Error struct {
	Offset int // in bytes from the beginning of the event
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("not an event: %s at byte %d", e.Reason, e.Offset)
}

// Append appends e in its binary form and reports whether something was cut, see
// [Max]. It allocates nothing but room in b.
func Append(b []byte, e *event.Event) (_ []byte, cut bool) {
	c := coder{b: append(b, version), begin: len(b), writes: true}
	c.event(e)
	return c.b, c.cut
}

// Decode reads what [Append] wrote, in this version or a later one that
// added fields. The event shares nothing with b. Errors are of type [*Error].
func Decode(b []byte) (event.Event, error) {
	if len(b) == 0 || b[0] != version {
		return event.Event{}, &Error{0, "unknown version"}
	}
	return decode(b, 1)
}

// Decode1 reads version 1 of the form, which has no byte for the version.
func Decode1(b []byte) (event.Event, error) { return decode(b, 0) }

func decode(b []byte, from int) (e event.Event, err error) {
	c := coder{s: string(b[from:])}
	c.event(&e)
	if c.bad != "" {
		return event.Event{}, &Error{len(b) - c.left, c.bad}
	}
	return e, nil
}

// A coder writes one field after another behind b, or reads it off the front of s: one
// list of fields serves both ways, so that the order cannot differ. It is one type with
// two modes, as calls of an interface cost more than the work.
type coder struct {
	writes bool

	// When it writes:
	b     []byte
	begin int  // of the event within b
	cut   bool // something had no room

	// When it reads. Behind the end everything is zero; what breaks off in its middle
	// makes it bad, and all that follows zero.
	s      string
	behind int    // what comes behind s, while s is one indicator alone
	bad    string // what was wrong, empty = nothing
	left   int    // what was left to read there
}

// event passes every field. New ones go to its end.
func (c *coder) event(e *event.Event) {
	c.id(&e.ID)
	text(c, &e.Kind)
	c.time(&e.Time)
	text(c, &e.Sensor)
	c.flags(&e.HasPorts, &e.HasProtocol, &e.Blocked, &e.HasIf)
	// the flow
	c.addr(&e.Src)
	c.addr(&e.Dst)
	number(c, &e.SrcPort)
	number(c, &e.DstPort)
	number(c, &e.Protocol)
	c.addr(&e.NATSrc)
	c.addr(&e.NATDst)
	number(c, &e.NATSrcPort)
	number(c, &e.NATDstPort)
	c.addr(&e.InnerSrc)
	c.addr(&e.InnerDst)
	// the finding
	c.addr(&e.Offender)
	c.addr(&e.Local)
	number(c, &e.Role)
	text(c, &e.Direction)
	text(c, &e.Answered)
	number(c, &e.Severity)
	number(c, &e.Score)
	text(c, &e.Reason)
	text(c, &e.IntelVersion)
	// counters and times
	number(c, &e.Flows)
	number(c, &e.Packets)
	number(c, &e.Bytes)
	number(c, &e.PacketsRaw)
	number(c, &e.BytesRaw)
	number(c, &e.PacketsBack)
	number(c, &e.BytesBack)
	number(c, &e.TCPFlags)
	number(c, &e.Sampling)
	c.time(&e.Start)
	c.time(&e.End)
	text(c, &e.Clock)
	// the exporter
	c.addr(&e.Exporter)
	text(c, &e.ExporterName)
	number(c, &e.Domain)
	number(c, &e.Version)
	number(c, &e.InIf)
	number(c, &e.OutIf)
	text(c, &e.CommunityID)
	text(c, &e.Alert)
	c.addrs(&e.Exporters)
	c.indicators(&e.Indicators)
	c.contact(e)
}

// contact passes what came after the first version.
func (c *coder) contact(e *event.Event) {
	c.id(&e.Contact)
	number(c, &e.Seq)
	number(c, &e.ServicePort)
	c.time(&e.ContactFirstSeen)
	c.flags(&e.Last, &e.Refused, &e.Folded, &e.PortsCapped, &e.HostsCapped)
	number(c, &e.Ports)
	number(c, &e.Hosts)
	c.addr(&e.Embedded)
	text(c, &e.SamplingFrom)
	number(c, &e.MoreIndicators)
	number(c, &e.MoreExporters)
	c.unknown(&e.Unknown)
	text(c, &e.Site)
	c.flags(&e.Retro)
	number(c, &e.Days)
	text(c, &e.Silenced)
	text(c, &e.Country)
	number(c, &e.ASNumber)
	text(c, &e.ASName)
	c.unknownOfPlace(&e.Unknown)
	c.rule(&e.Rule)
	c.unknownOfRule(&e.Unknown)
}

// indicator passes every field of an indicator. New ones go to its end.
func (c *coder) indicator(i *event.Indicator) {
	c.prefix(&i.Prefix)
	number(c, &i.Port)
	text(c, &i.Feed)
	number(c, &i.Score)
	text(c, &i.Category)
	text(c, &i.Ref)
	text(c, &i.Description)
	text(c, &i.NativeID)
	text(c, &i.TLP)
	c.time(&i.FirstSeen)
	c.time(&i.LastSeen)
	c.time(&i.Expires)
}
