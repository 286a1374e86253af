package incident

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Verdict is what people have found out about the incidents that a feed listed.
type Verdict struct {
	Feed      string `json:"feed"`
	Confirmed int    `json:"confirmed"`    // taken or closed
	False     int    `json:"false_alarms"` // false alarms
	Open      int    `json:"not_judged"`   // not judged yet
}

// A Period is everything that a report counts of the time from From on and before Until.
type Period struct {
	From, Until time.Time

	// Offenders with contact in the period. New are those of them that were never seen
	// before it, Known the others.
	Offenders, New, Known int
	// Before are the offenders that were first seen before the period.
	Before int
	Hosts  int // of ours
	Sums
	Severities [event.Critical + 1]int // offenders by worst severity
	States     [FalseAlarm + 1]int     // offenders by state

	// Attempts is how many offenders made how many flows in the period, rarest first.
	Attempts  []Bucket
	Days      []DaySum   // each day of the period with contact, the oldest first
	Countries []PlaceSum // the most offenders first; "" = unknown
	Networks  []PlaceSum // autonomous systems, likewise
	Feeds     []FeedSum  // by name
	Alerts    []AlertSum // the most frequent first
	// Raised is what rules have found, at most MaxRaised, the most severe first. MoreRaised
	// is how many alerts of others there are.
	Raised     []Raised
	MoreRaised int
	Pulses     []HourPulse // the oldest first; hours that are missing are unknown
	// Silenced are events that a silence kept from the sinks, of offenders with contact in
	// the period.
	Silenced, SilencedOffenders uint64
}

// A Bucket of a histogram: how many offenders made From to To flows.
type Bucket struct {
	From, To  uint64 // included; To 0 = no end
	Offenders int
}

// A DaySum is what happened on one day.
type DaySum struct {
	Day
	Offenders int
}

// A PlaceSum is what came from a country or an autonomous system.
type PlaceSum struct {
	Country   string
	ASNumber  uint32
	ASName    string
	Offenders int
	Flows     uint64
}

// A FeedSum is what a feed was good for.
type FeedSum struct {
	Feed      string
	Offenders int // that it listed, with contact in the period
	Unique    int // of these, that no other feed listed
	Flows     uint64
	Verdict   Verdict // of all time
}

// An AlertSum is how often an alert came.
type AlertSum struct {
	Name        string
	Count       int
	Severity    event.Severity // the worst
	First, Last time.Time
	Reason      string // of the last
	Offender    netip.Addr
	TLP         string // of the last: the label of what Name, Reason and Offender give away
}

// MaxRaised is how many groups a Period has of what rules have found.
const MaxRaised = 500

// A Raised is what a rule has found in one group: the alert with the greatest count.
type Raised struct {
	Alert
	Times       int // alerts of the rule about this group, those because the count doubled included
	First, Last time.Time
}

// An HourPulse is the pulse of one hour.
type HourPulse struct {
	Hour time.Time
	Pulse
}

// Worsts are the words of Pulse.Worst, by number.
var Worsts = [...]string{"ok", "warning", "critical"}
