package incident

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A State is what people have made of an incident.
type State uint8

// The states. An incident is new until somebody takes or closes it. One that was closed is open
// again when the offender comes back; a false alarm stays one unless it gets worse.
const (
	New State = iota
	Open
	Taken
	Closed
	FalseAlarm
)

var states = [...]string{New: "new", Open: "open", Taken: "taken", Closed: "closed", FalseAlarm: "false_alarm"}

// String gives new, open, taken, closed or false_alarm.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// ParseState reads what String gives; a hyphen may stand for the underscore.
func ParseState(s string) (State, error) {
	for i, name := range states {
		if strings.ReplaceAll(s, "-", "_") == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no state; use %s", short(s), strings.Join(states[:], ", "))
}

// MaxHosts and MaxPorts are how many hosts and service ports of an incident are counted
// exactly.
const (
	MaxHosts = 1000
	MaxPorts = 1000
)

// A Host is an address of ours, which names a host only together with its site.
type Host struct {
	Site string     // empty = none
	Addr netip.Addr // unmapped, as all addresses here
}

// Sums are totals of traffic, scaled by sampling. Out is what our side sent.
type Sums struct{ Flows, PacketsOut, PacketsIn, BytesOut, BytesIn uint64 }

// Add adds other sums. Counters stay at the greatest number that a store can hold.
func (s *Sums) Add(o Sums) {
	s.Flows = plus(s.Flows, o.Flows)
	s.PacketsOut = plus(s.PacketsOut, o.PacketsOut)
	s.PacketsIn = plus(s.PacketsIn, o.PacketsIn)
	s.BytesOut = plus(s.BytesOut, o.BytesOut)
	s.BytesIn = plus(s.BytesIn, o.BytesIn)
}

// Bytes is what was sent both ways.
func (s *Sums) Bytes() uint64 { return plus(s.BytesOut, s.BytesIn) }

func plus(a, b uint64) uint64 {
	const most = math.MaxInt64
	return min(min(a, most)+min(b, most), most)
}

// A Service is a port of a protocol that contacts were made to.
type Service struct {
	Protocol uint8
	Port     uint16 // 0 = the protocol has no ports
	Flows    uint64
}

// A Listing is an entry of a feed that an offender was met by.
type Listing struct {
	Feed, Category string
	Indicator      netip.Prefix
	// Ref and Description are foreign text, without control characters.
	Ref, Description string
	TLP              string // white, green, amber or red, or empty
	Score            uint8  // 1 to 100
	First, Last      time.Time
}

// A HostShare is what one host of ours had to do with one offender.
type HostShare struct {
	Host
	Sums
	First, Last time.Time
	Days        int // with contact, by UTC
	Worst       event.Severity
	Called      bool // our host opened a contact that was answered
	Answered    bool // a contact was answered, whoever opened it
	// The directions of its contacts. One of ours opened what is outbound.
	Inbound, Outbound, Internal bool
}

// A Day has the sums of one day.
type Day struct {
	Day                      int32 // days since 1970-01-01, UTC
	Flows, BytesOut, BytesIn uint64
}

// Date gives the day as 2026-11-30.
func (d *Day) Date() string { return DateOf(d.Day).Format(time.DateOnly) }

// DayOf gives the day of a time: days since 1970-01-01, UTC.
func DayOf(t time.Time) int32 {
	s := t.Unix()
	if s < 0 {
		s -= 86_399
	}
	return int32(s / 86_400)
}

// DateOf gives the first second of a day.
func DateOf(day int32) time.Time { return time.Unix(int64(day)*86_400, 0).UTC() }

// An Incident is everything known of one offender. Times are whole seconds, UTC.
type Incident struct {
	ID       int64 // of the store; not kept when a store is written anew
	Offender netip.Addr

	State State
	Owner string    // who has taken it
	Since time.Time // of the state

	First, Last time.Time
	Days        int // with contact, by UTC
	Sums
	Contacts uint64
	// Hosts are distinct hosts of ours, exact to MaxHosts; MoreHosts is set when there are
	// more. Folded contacts count what they folded. Ports likewise.
	Hosts     int
	MoreHosts bool
	Ports     int
	MorePorts bool

	Worst  event.Severity
	Score  uint8  // of the worst event
	Reason string // of the worst event

	Called   bool // one of ours opened a contact that was answered
	Answered bool // a contact was answered, whoever opened it
	// The directions of its contacts.
	Inbound, Outbound, Internal, Transit bool
	Blocked                              bool // a firewall on the way blocked a flow
	Refused                              bool // a contact was refused
	Retro                                bool // a contact was found in the history, from before the listing
	Silenced                             uint64

	// Where the offender is, as a database of networks has it; empty and 0 = unknown.
	Country  string // two letters
	ASNumber uint32
	ASName   string

	Exporters []netip.Addr

	// What one incident has beside its row; nil in lists.
	Listings []Listing   // the best first
	HostList []HostShare // the worst first
	Services []Service   // the busiest first
	Daily    []Day       // the oldest first
	Notes    []Note      // the oldest first
	Audit    []Entry     // the oldest first
}

// A Note is what somebody wrote about an incident.
type Note struct {
	Time         time.Time
	Author, Text string
}

// An Entry is what was done with an incident, by whom. Entries are never changed.
type Entry struct {
	Time                time.Time
	Author, Act, Detail string
}

// A HostRow is one host of ours with all that it had to do with offenders.
type HostRow struct {
	HostShare // summed over all its offenders
	Offenders int
	// Top are the worst offenders of the host, the worst first, a few of them.
	Top []netip.Addr
}

// An Act is what people do with an incident.
type Act string

// The acts.
const (
	ActTake       Act = "take"        // somebody looks after it
	ActClose      Act = "close"       // it is dealt with
	ActReopen     Act = "reopen"      // it is not, after all
	ActFalseAlarm Act = "false_alarm" // it was none
	ActNote       Act = "note"        // what somebody knows of it
)

// Acts are all of them.
func Acts() []Act { return []Act{ActTake, ActClose, ActReopen, ActFalseAlarm, ActNote} }

// An Action is an act on one incident.
type Action struct {
	Act      Act
	Offender netip.Addr
	Author   string
	Text     string // the note, or why
	At       time.Time
	// Force takes an incident that somebody else has taken.
	Force bool
}

// A TakenError means that somebody else has taken an incident.
type TakenError struct {
	Offender netip.Addr
	Owner    string
	Since    time.Time
}

// Error gives who, and since when.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%s has been taken by %s, %s", e.Offender, short(e.Owner), e.Since.UTC().Format("2006-01-02 15:04 MST"))
}

// An Alert is an event of that kind as it is kept.
type Alert struct {
	ID           uuid.UUID
	Time         time.Time
	Name, Reason string
	Severity     event.Severity
	Offender     netip.Addr // invalid = none
	Host         netip.Addr // of ours that it is about; invalid = none, or several
	TLP          string     // the most restricted label of the listings that it is about
	Evidence     *Evidence  // what a rule has found; nil = no rule has raised it
}

// ErrUnknown means that there is no incident of the offender.
var ErrUnknown = errors.New("there is no incident of this address")

// A Pulse is what is known of the program itself in some minutes of one hour: what a report
// must show before all else, as nothing was seen while nothing was received.
type Pulse struct {
	Minutes           int    // alive
	Flows, Lost, Hits uint64 // in these minutes; Lost by all counters of losses
	Worst             string // of the findings of the checks: ok, warning, critical
	Findings          []string
}
