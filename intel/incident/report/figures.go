package report

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Figures are the counts of a period.
type Figures struct {
	Offenders int `json:"offenders"`
	New       int `json:"new"`
	// Returned are offenders with contact in the period that were known before; KnownBefore
	// are all that were.
	Returned    int            `json:"returned"`
	KnownBefore int            `json:"known_before"`
	Hosts       int            `json:"hosts"`
	Flows       uint64         `json:"flows"`
	BytesOut    uint64         `json:"bytes_out"`
	BytesIn     uint64         `json:"bytes_in"`
	Severities  map[string]int `json:"severities"`
	States      map[string]int `json:"states"`
	Attempts    []Bucket       `json:"attempts"`
	Days        []Day          `json:"days"`
	Countries   []Place        `json:"countries"`
	Networks    []Place        `json:"networks"`
	Alerts      []Alert        `json:"alerts"`
	Feeds       []Feed         `json:"feeds"`
	// Silenced are all events of these offenders that a silence kept back, also before the period.
	Silenced uint64 `json:"silenced"`
	Quiet    int    `json:"silenced_offenders"`
}

// A Bucket is how many offenders made From to To flows; To 0 = From or more.
type Bucket struct {
	From      uint64 `json:"from"`
	To        uint64 `json:"to,omitempty"`
	Offenders int    `json:"offenders"`
}

// A Day is what came on one day, UTC.
type Day struct {
	Day       string `json:"day"`
	Offenders int    `json:"offenders"`
	Flows     uint64 `json:"flows"`
	BytesOut  uint64 `json:"bytes_out"`
	BytesIn   uint64 `json:"bytes_in"`
}

// A Place is what came from a country or an autonomous system.
type Place struct {
	Country   string `json:"country,omitempty"`
	ASNumber  uint32 `json:"as_number,omitempty"`
	ASName    string `json:"as_name,omitempty"`
	Offenders int    `json:"offenders"`
	Flows     uint64 `json:"flows"`
}

// An Alert is how often a rule or the program itself raised an alert.
type Alert struct {
	Name     string     `json:"name"`
	Count    int        `json:"count"`
	Severity string     `json:"severity"`
	First    time.Time  `json:"first_seen"`
	Last     time.Time  `json:"last_seen"`
	Reason   string     `json:"reason"`
	Offender netip.Addr `json:"offender,omitzero"`
}

// A Feed is what a feed was good for.
type Feed struct {
	Feed       string `json:"feed"`
	Offenders  int    `json:"offenders"`
	Unique     int    `json:"unique"`
	Flows      uint64 `json:"flows"`
	Confirmed  int    `json:"confirmed"` // verdicts of all time
	FalseAlarm int    `json:"false_alarms"`
	NotJudged  int    `json:"not_judged"`
}

// A Silence is one that was in force in the period.
type Silence struct {
	ID       string     `json:"id"`
	What     string     `json:"what"`              // its conditions
	Offender netip.Addr `json:"offender,omitzero"` // if it is of one address
	Reason   string     `json:"reason"`
	Author   string     `json:"author"`
	Until    time.Time  `json:"until"`
	Events   uint64     `json:"events"` // that it has kept back, all of them
}

// figuresOf takes the counts of a period, and of alerts what listings up to a rank know.
func figuresOf(p *incident.Period, most int) Figures {
	f := Figures{
		Offenders: p.Offenders, New: p.New, Returned: p.Known, KnownBefore: p.Before, Hosts: p.Hosts,
		Flows: p.Flows, BytesOut: p.BytesOut, BytesIn: p.BytesIn,
		Severities: map[string]int{}, States: map[string]int{}, Silenced: p.Silenced, Quiet: int(p.SilencedOffenders),
	}
	for s, n := range p.Severities {
		f.Severities[event.Severity(s).String()] = n
	}
	for s, n := range p.States {
		f.States[incident.State(s).String()] = n
	}
	for _, b := range p.Attempts {
		f.Attempts = append(f.Attempts, Bucket(b))
	}
	for _, d := range p.Days {
		f.Days = append(f.Days, Day{d.Date(), d.Offenders, d.Flows, d.BytesOut, d.BytesIn})
	}
	f.Countries, f.Networks = places(p.Countries), places(p.Networks)
	for _, a := range p.Alerts {
		if intel.TLPRank(a.TLP) > most {
			a.Reason, a.Offender = restrictedReason, netip.Addr{}
		}
		f.Alerts = append(f.Alerts, Alert{a.Name, a.Count, a.Severity.String(), a.First, a.Last, a.Reason, a.Offender})
	}
	for _, s := range p.Feeds {
		f.Feeds = append(f.Feeds, Feed{s.Feed, s.Offenders, s.Unique, s.Flows, s.Verdict.Confirmed, s.Verdict.False, s.Verdict.Open})
	}
	return f
}

func places(sums []incident.PlaceSum) (list []Place) {
	for _, s := range sums {
		list = append(list, Place{s.Country, s.ASNumber, s.ASName, s.Offenders, s.Flows})
	}
	return list
}

// unknown is the name of no country and no network.
const unknown = "unknown"

// name gives a place for people.
func (p *Place) name() string {
	switch {
	case p.ASNumber != 0:
		return asName(p.ASNumber, p.ASName)
	case p.Country != "":
		return p.Country
	}
	return unknown
}
