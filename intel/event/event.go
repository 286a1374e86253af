package event

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Kind is what an event is.
type Kind string

// The kinds of events.
const (
	KindHit    Kind = "hit"    // the first hit of a contact, sent at once
	KindUpdate Kind = "update" // what has changed in a contact since the last event
	KindAlert  Kind = "alert"  // something the operator must know
	KindCanary Kind = "canary" // a flow sent on purpose to prove the pipe
)

// Direction of a contact, seen from the home networks.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"  // the offender sends to us
	Outbound Direction = "outbound" // we send to the offender
	Internal Direction = "internal" // both ends are ours
	Transit  Direction = "transit"  // no end is ours
)

// Answered reports whether the other end answered.
type Answered string

// The values of Answered.
const (
	AnsweredYes     Answered = "yes"
	AnsweredNo      Answered = "no"
	AnsweredUnknown Answered = "unknown"
)

// Severity of an event, by its score.
type Severity uint8

// The severities: low below 30, medium below 60, high below 85, else critical.
const (
	Low Severity = iota
	Medium
	High
	Critical
)

// SeverityOf gives the severity of a score from 0 to 100.
func SeverityOf(score int) Severity {
	switch {
	case score >= 85:
		return Critical
	case score >= 60:
		return High
	case score >= 30:
		return Medium
	}
	return Low
}

var severities = [...]string{"low", "medium", "high", "critical"}

// String gives low, medium, high or critical.
func (s Severity) String() string { return severities[min(s, Critical)] }

// An Indicator is one listing of the offender as its feed gave it, with the evidence
// in force when the event was made.
type Indicator struct {
	Prefix netip.Prefix // masked, unmapped
	// Port is that of the listed end, where the listing is of address and port; 0 = any.
	Port uint16
	// Feed is the name of the feed.
	Feed string
	// Score is the confidence in the listing, 1 to 100.
	Score uint8
	// Category is what the address does, in lower case: c2, scan, bruteforce, ...
	Category string
	// Ref is a URL for people, Description the feed's own words: foreign text,
	// to be escaped wherever it goes.
	Ref         string
	Description string
	// NativeID is the feed's own id of the entry.
	NativeID string
	// TLP is white, green, amber or red, or empty.
	TLP string
	// FirstSeen, LastSeen and Expires are UTC with the resolution of a second; zero
	// when the feed has none.
	FirstSeen, LastSeen, Expires time.Time
}

// An Event is what leaves the correlator and goes to every sink. It holds no
// reference to anything that changes; slices in it are never written again.
type Event struct {
	Kind Kind
	ID   uuid.UUID // version 7, made once: what is delivered twice has it twice; 8 see Retro and Rule
	// Time is the time of receipt of the datagram that caused the event, unless it is Retro.
	Time   time.Time
	Sensor string

	// Contact is the id of the contact that a hit or an update belongs to: version 7,
	// made once with the contact. Seq numbers its events from 1 on; Last marks the
	// event after which there are no more. All three are zero for alerts and canaries.
	Contact uuid.UUID
	Seq     uint32
	Last    bool

	// The flow as exported. Addresses are invalid and ports 0 when absent.
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	HasPorts         bool
	Protocol         uint8
	HasProtocol      bool

	Offender, Local netip.Addr
	// Site is where the exporter is, and so Local: an address of ours names a host only
	// together with its site. Empty = none.
	Site      string
	Role      flow.Side // where the offender stands
	Direction Direction
	Answered  Answered
	Blocked   bool
	// Refused is set when the contact was answered by refusals alone: a TCP reset or an
	// ICMP unreachable. Answered is never yes then.
	Refused  bool
	Severity Severity
	Score    uint8
	// Silenced is the id of the silence in force for it when the event was made; empty =
	// none. Sinks leave out such events, unless they are configured to take them.
	Silenced string
	// Embedded is the IPv4 address within Offender, where it is what is listed: NAT64,
	// 6to4, Teredo and the like.
	Embedded netip.Addr
	// Country of Offender: two letters of ISO 3166-1; empty = not known.
	Country string
	// ASNumber and ASName are the autonomous system that announces Offender, and the
	// organisation that has it: foreign text. 0 and empty = not known.
	ASNumber uint32
	ASName   string
	// ServicePort is that of the contact; 0 = no port, or more than one.
	ServicePort uint16
	// ContactFirstSeen is the time of receipt of the contact's first flow.
	ContactFirstSeen time.Time
	// Folded is set when the contact stands for many: a scan by one offender. Ports and
	// Hosts are the distinct service ports and local addresses in it, 0 when it is not
	// folded. Counts are exact as long as Capped is not set; with it there are more.
	Folded                   bool
	Ports, Hosts             uint32
	PortsCapped, HostsCapped bool
	// Retro is set in a hit that happened before its address was listed: it was found in the
	// history when the listing came. Then Time, ContactFirstSeen, Start, End and the counters
	// are of all flows of the contact that had met no listing, and Time is that of the last.
	// Such an event comes once, has an id of version 8, which is made of the listed prefix and
	// the contact, and is the only one of its contact.
	Retro bool
	// Days is on how many days, by UTC, there were flows of such a contact; 0 = not Retro.
	Days uint32
	// Reason explains to people in one line why this is an event and how bad it is.
	Reason string

	// Indicators are all listings of the offender, the best first.
	Indicators   []Indicator
	IntelVersion string

	// Counters, scaled by Sampling; the raw ones beside them. For an update they
	// are the totals of the contact. The Back counters are the opposite direction.
	Flows                  uint64
	Packets, Bytes         uint64
	PacketsRaw, BytesRaw   uint64
	PacketsBack, BytesBack uint64
	TCPFlags               uint16
	// Sampling is the rate in force: 1 of Sampling packets; 0 = unknown.
	Sampling uint32
	// SamplingFrom is the part of the exporter that the rate was announced for ("interface
	// 10"); empty when that is all of it, or the rate is unknown.
	SamplingFrom string
	Start, End   time.Time
	// Clock is "ok", "suspect" or "unsynced".
	Clock string

	Exporter     netip.Addr
	ExporterName string
	// Exporters are all that saw the contact, when there is more than one.
	Exporters []netip.Addr
	Domain    uint32
	Version   flow.Version
	InIf      uint32
	OutIf     uint32
	HasIf     bool

	// Addresses after translation and of the inner packet, where exported.
	NATSrc, NATDst         netip.Addr
	NATSrcPort, NATDstPort uint16
	InnerSrc, InnerDst     netip.Addr

	CommunityID string

	// Alert is the machine-readable name of an alert ("own_address_listed"), of one that a
	// rule has raised RulePrefix and the rule's name ("rule_swarm").
	Alert string
	// Rule is the evidence of an alert that a correlation rule has raised; nil = it is none.
	Rule *Rule

	// MoreIndicators and MoreExporters are how many had no room in the line that the event
	// was read from, beside those that are here.
	MoreIndicators, MoreExporters uint32
	// Unknown is what the line had beside all this; nil = nothing. It is never changed.
	Unknown *Unknown
}

// Unknown holds the keys of a line that this version does not know, those of one object
// each: "key":value,"key":value, in one line of JSON that is safe to print. They are
// written again where they stood, as long as there is room.
type Unknown struct {
	Top, Body, NAT, Inner, Geo, AS, Rule string
	// Indicators are those of each indicator, which may be fewer than the indicators.
	Indicators []string
}

// Empty reports whether there is no key.
func (u *Unknown) Empty() bool {
	return u == nil || u.Top == "" && u.Body == "" && u.NAT == "" && u.Inner == "" && u.Geo == "" && u.AS == "" && u.Rule == "" && len(u.Indicators) == 0
}

// Size is an upper bound of the bytes that they take.
func (u *Unknown) Size() int {
	n := len(u.Top) + len(u.Body) + len(u.NAT) + len(u.Inner) + len(u.Geo) + len(u.AS) + len(u.Rule) + 16
	for _, s := range u.Indicators {
		n += len(s) + 4
	}
	return n
}

// Listings is how many indicators there are of the offender, see [Event.MoreIndicators].
func (e *Event) Listings() uint64 { return uint64(len(e.Indicators)) + uint64(e.MoreIndicators) }

// HasAS reports whether anything is known of the autonomous system of the offender.
func (e *Event) HasAS() bool { return e.ASNumber != 0 || e.ASName != "" }

// RaisedBy gives the rule that has raised an alert; nil = none has.
func (e *Event) RaisedBy() *Rule {
	if e.Kind != KindAlert {
		return nil
	}
	return e.Rule
}

// IsEnd reports whether the offender is the source or the destination of the flow as
// exported, and not a translated or an inner address; never both. Alerts have no ends.
func (e *Event) IsEnd() (src, dst bool) {
	if e.Kind == KindAlert || !e.Offender.IsValid() {
		return false, false
	}
	src = e.Offender == e.Src && (e.Role.IsSrc() || e.Offender != e.Dst)
	return src, !src && e.Offender == e.Dst
}

// Ends are the two ends of a flow, in the order in which a form names them.
type Ends struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Ends gives the ends as exported.
func (e *Event) Ends() Ends { return Ends{e.Src, e.Dst, e.SrcPort, e.DstPort} }

// OffenderFirst gives the ends with the listed address as the source, for readers
// that block what stands there. An offender that is a translated or an inner address
// takes the place of the end it belongs to.
func (e *Event) OffenderFirst() Ends {
	t := e.Ends()
	if !e.Offender.IsValid() || e.Kind == KindAlert {
		return t // the address that an alert is about may be our own
	}
	if !e.Role.IsSrc() {
		t = Ends{t.Dst, t.Src, t.DstPort, t.SrcPort}
	}
	t.Src = e.Offender
	switch e.Role {
	case flow.SidePostNATSrc:
		t.SrcPort = cmp.Or(e.NATSrcPort, t.SrcPort)
	case flow.SidePostNATDst:
		t.SrcPort = cmp.Or(e.NATDstPort, t.SrcPort)
	}
	return t
}
