package rule

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Value is that of a field, in the form in which it is compared and counted: an address as
// it is, a number in Lo, a text as its number in the dictionary of the engine.
type Value = flow.Addr6

// A Kind is the kind of values that a field has.
type Kind uint8

// The kinds of fields.
const (
	Address Kind = iota
	Number
	Text // any text: names of sites and feeds, categories, countries
	Word // one of a few words
	YesNo
	Protocol
)

// A Field is one property of an observation. Its names are those of events; the ends of
// contacts are outside and inside.
type Field struct {
	Name string
	Kind Kind
	// Hits, Contacts and Logins are where there is such a field.
	Hits, Contacts, Logins bool
	// Group is whether observations can be grouped by it, and its values counted.
	Group bool
	Words []string // of a Word, by value
	Help  string

	id id
}

type id uint8

const (
	idOutside id = iota
	idInside
	idSite
	idProtocol
	idServicePort
	idDirection
	idAnswered
	idBlocked
	idRefused
	idExporter
	idSeverity
	idScore
	idFeed
	idCategory
	idCountry
	idAS
	idSource
	idHost
	idService
	idUser
	idOutcome
	idFlows
	idBytesOut
	idBytesIn
	idPacketsOut
	idPacketsIn
)

// Fields are all fields there are. Observations have none of logins yet: their values are zero.
var Fields = []*Field{
	{Name: "offender", id: idOutside, Kind: Address, Hits: true, Group: true, Help: "the listed address"},
	{Name: "local", id: idInside, Kind: Address, Hits: true, Group: true, Help: "the other end, ours"},
	{Name: "outside", id: idOutside, Kind: Address, Contacts: true, Group: true, Help: "the foreign end"},
	{Name: "inside", id: idInside, Kind: Address, Contacts: true, Group: true, Help: "our end"},
	{Name: "site", id: idSite, Kind: Text, Hits: true, Contacts: true, Group: true, Help: "site of the exporter, and so of our end"},
	{Name: "exporter", id: idExporter, Kind: Address, Hits: true, Contacts: true, Group: true, Help: "the device that exported the flow"},
	{Name: "protocol", id: idProtocol, Kind: Protocol, Hits: true, Contacts: true, Group: true, Help: "IANA keyword or number: tcp"},
	{Name: "service_port", id: idServicePort, Kind: Number, Hits: true, Contacts: true, Group: true, Help: "port of the service, 0 = none"},
	{Name: "direction", id: idDirection, Kind: Word, Words: []string{"outbound", "inbound", "unknown", "transit", "internal"}, Hits: true, Contacts: true, Group: true, Help: "who opened it: outbound = one of ours"},
	{Name: "answered", id: idAnswered, Kind: Word, Words: []string{"no", "yes", "unknown"}, Hits: true, Contacts: true, Help: "whether there was an answer; a refusal is none"},
	{Name: "blocked", id: idBlocked, Kind: YesNo, Hits: true, Contacts: true, Help: "a firewall on the way blocked it"},
	{Name: "refused", id: idRefused, Kind: YesNo, Hits: true, Contacts: true, Help: "the answer was a refusal"},
	{Name: "severity", id: idSeverity, Kind: Word, Words: []string{"low", "medium", "high", "critical"}, Hits: true, Help: "of the event"},
	{Name: "score", id: idScore, Kind: Number, Hits: true, Help: "of the event, 0 to 100"},
	{Name: "feed", id: idFeed, Kind: Text, Hits: true, Group: true, Help: "feed of the best listing"},
	{Name: "category", id: idCategory, Kind: Text, Hits: true, Group: true, Help: "category of the best listing"},
	{Name: "country", id: idCountry, Kind: Text, Hits: true, Group: true, Help: "country of the offender, two letters"},
	{Name: "as", id: idAS, Kind: Number, Hits: true, Group: true, Help: "number of the offender's autonomous system"},
	{Name: "source", id: idSource, Kind: Address, Logins: true, Group: true, Help: "the address that tried to log in"},
	{Name: "host", id: idHost, Kind: Text, Logins: true, Group: true, Help: "the host that it tried"},
	{Name: "service", id: idService, Kind: Text, Logins: true, Group: true, Help: "what it tried there: sshd, dovecot"},
	{Name: "user", id: idUser, Kind: Text, Logins: true, Group: true, Help: "the account that it tried"},
	{Name: "outcome", id: idOutcome, Kind: Word, Words: []string{"failed", "accepted", "postponed"}, Logins: true, Help: "what came of it"},
	{Name: "flows", id: idFlows, Kind: Number, Hits: true, Contacts: true, Help: "flows since the last event, or of the interval"},
	{Name: "bytes_out", id: idBytesOut, Kind: Number, Hits: true, Contacts: true, Help: "bytes that we sent, likewise"},
	{Name: "bytes_in", id: idBytesIn, Kind: Number, Hits: true, Contacts: true, Help: "bytes that we received, likewise"},
	{Name: "packets_out", id: idPacketsOut, Kind: Number, Hits: true, Contacts: true, Help: "packets that we sent, likewise"},
	{Name: "packets_in", id: idPacketsIn, Kind: Number, Hits: true, Contacts: true, Help: "packets that we received, likewise"},
}

// Has reports whether observations of this kind have the field.
func (f *Field) Has(o Over) bool {
	return o == Hits && f.Hits || o == Contacts && f.Contacts || o == Logins && f.Logins
}

// Summable reports whether the values of the field can be added up.
func (f *Field) Summable() bool { return f.id >= idFlows }

// most is the greatest value of the field, 2^64-1 where there is no limit.
func (f *Field) most() uint64 {
	switch {
	case f.Kind == Protocol:
		return math.MaxUint8
	case f.Kind == Word:
		return uint64(len(f.Words)) - 1
	case f.Kind == YesNo:
		return 1
	case f.id == idServicePort:
		return math.MaxUint16
	case f.id == idScore:
		return 100
	case f.id == idAS:
		return math.MaxUint32
	}
	return math.MaxUint64
}

// FieldNamed gives the field of a name that rules over something have; nil = there is none.
func FieldNamed(name string, over Over) *Field {
	for _, f := range Fields {
		if f.Name == name && f.Has(over) {
			return f
		}
	}
	return nil
}

// names lists the names of fields of which ok holds.
func names(over Over, ok func(*Field) bool) string {
	var list []string
	for _, f := range Fields {
		if f.Has(over) && ok(f) {
			list = append(list, f.Name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// An Observation is what a rule looks at: what a contact has had since the last event, or in
// one interval of the history.
type Observation struct {
	// Time is when it was received, in s since 1970 UTC; First and Last are the earliest start
	// and the latest end of its flows.
	Time, First, Last uint32
	// Since is from when on its flows are new: the last event of the contact; 0 = all are of
	// Time. A count in a window takes them as spread evenly over the time since then.
	Since           uint32
	Outside, Inside flow.Addr6 // Inside is zero where many were folded into one
	Exporter        flow.Addr6
	// Site, Feed, Category and Country are numbers in the dictionary of the engine.
	Site, Feed, Category, Country uint32
	AS                            uint32
	ServicePort                   uint16
	Protocol                      uint8
	Direction                     uint8 // as the words of the field
	Answered                      uint8 // likewise
	Severity                      event.Severity
	Score                         uint8
	// TLP is the rank of the most restricted label of the listings, see intel.TLPRank; 0 = none.
	TLP              uint8
	Blocked, Refused bool
	// Flows is how many; Folded how many contacts they are when those were not kept apart, 0 = one.
	Flows, Folded         uint64
	Hosts, Ports          uint32 // distinct ones of a folded hit
	BytesOut, BytesIn     uint64
	PacketsOut, PacketsIn uint64
}

// Of gives the value of the field.
func (f *Field) Of(o *Observation) Value {
	switch f.id {
	case idOutside:
		return o.Outside
	case idInside:
		return o.Inside
	case idExporter:
		return o.Exporter
	}
	return Value{Lo: f.Number(o)}
}

// Number gives the value of a field that is not an address.
func (f *Field) Number(o *Observation) uint64 {
	switch f.id {
	case idSite:
		return uint64(o.Site)
	case idProtocol:
		return uint64(o.Protocol)
	case idServicePort:
		return uint64(o.ServicePort)
	case idDirection:
		return uint64(o.Direction)
	case idAnswered:
		return uint64(o.Answered)
	case idBlocked:
		return bit(o.Blocked)
	case idRefused:
		return bit(o.Refused)
	case idSeverity:
		return uint64(o.Severity)
	case idScore:
		return uint64(o.Score)
	case idFeed:
		return uint64(o.Feed)
	case idCategory:
		return uint64(o.Category)
	case idCountry:
		return uint64(o.Country)
	case idAS:
		return uint64(o.AS)
	case idFlows:
		return o.Flows
	case idBytesOut:
		return o.BytesOut
	case idBytesIn:
		return o.BytesIn
	case idPacketsOut:
		return o.PacketsOut
	case idPacketsIn:
		return o.PacketsIn
	}
	return 0
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Format gives a value of the field as people and rules write it. text gives the texts of the
// dictionary by number.
func (f *Field) Format(v Value, text func(uint32) string) string {
	switch f.Kind {
	case Address:
		if v == (Value{}) {
			return "many"
		}
		return v.Addr().Unmap().String()
	case Text:
		return text(uint32(min(v.Lo, math.MaxUint32)))
	case Word:
		if v.Lo < uint64(len(f.Words)) {
			return f.Words[v.Lo]
		}
	case YesNo:
		return []string{"no", "yes"}[min(v.Lo, 1)]
	case Protocol:
		return flow.ProtocolName(uint8(v.Lo))
	}
	return strconv.FormatUint(v.Lo, 10)
}

// A Test is one line of where: a field and what it must be.
type Test struct {
	Field    *Field
	Not      bool
	Numbers  []uint64
	Prefixes []netip.Prefix
	Texts    []string
	Range    Condition // of a number
}

// Holds reports whether the test holds. text gives the texts of the dictionary by number.
func (t *Test) Holds(o *Observation, text func(uint32) string) bool {
	return t.is(o, text) != t.Not
}

func (t *Test) is(o *Observation, text func(uint32) string) bool {
	switch t.Field.Kind {
	case Address:
		v := t.Field.Of(o)
		if v == (Value{}) {
			return false
		}
		a := v.Addr().Unmap()
		return slices.ContainsFunc(t.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	case Text:
		return slices.Contains(t.Texts, text(uint32(t.Field.Number(o))))
	}
	n := t.Field.Number(o)
	if !t.Range.IsZero() {
		return t.Range.Holds(n)
	}
	return slices.Contains(t.Numbers, n)
}
