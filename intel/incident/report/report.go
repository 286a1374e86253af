package report

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Rows of the parts of a report that are lists.
const (
	MaxRows   = 20
	maxPlaces = 10
	maxDays   = 400
)

// MaxPeriod is the longest time of one report.
const MaxPeriod = maxDays * 24 * time.Hour

// A Source answers what a report asks; see intel/incident/store.
type Source interface {
	Period(ctx context.Context, from, until time.Time) (*incident.Period, error)
	List(ctx context.Context, q incident.Query) (incident.Page[incident.Incident], error)
	Hosts(ctx context.Context, q incident.Query) (incident.Page[incident.HostRow], error)
	Get(ctx context.Context, offender netip.Addr) (*incident.Incident, error)
}

// Options are what a report is about.
type Options struct {
	Sensor string
	// From is included, Until is not.
	From, Until time.Time
	// MaxTLP is the most restricted label of the Traffic Light Protocol that may be shown;
	// see intel.TLPRank.
	MaxTLP string
	// Now is when the report is made, and gives the time zone of its dates.
	Now time.Time
	// Findings are what the checks of the running instance find now; nil = none was asked.
	Findings []observe.Finding
}

// Validate reports which option is not allowed.
func (o *Options) Validate() error {
	switch {
	case !o.From.Before(o.Until):
		return fmt.Errorf("since: %s is not before until, %s", o.From.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	case o.Until.Sub(o.From) > MaxPeriod:
		return fmt.Errorf("since: a report has %d days at most", maxDays)
	}
	if err := validTLP(o.MaxTLP); err != nil {
		return fmt.Errorf("max-tlp: %w", err)
	}
	return nil
}

// A Report is what happened in a period. Its JSON has the words of the events.
type Report struct {
	Sensor string    `json:"sensor"`
	Made   time.Time `json:"made"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	MaxTLP string    `json:"max_tlp"`

	Alive Alive `json:"alive"`
	// Attention are incidents of severity high and critical that nobody has looked at.
	Attention List[incident.Incident] `json:"attention"`
	Hosts     List[incident.HostRow]  `json:"hosts"`
	New       List[incident.Incident] `json:"new"`
	// Persistent are those that were known before, those with the most days first.
	Persistent List[incident.Incident] `json:"persistent"`
	Figures    Figures                 `json:"figures"`
	// Withheld is how many of the rows above were left out, as only listings know of them
	// that are more restricted than MaxTLP.
	Withheld int `json:"withheld"`

	zone *time.Location
}

// A List is the beginning of a longer list.
type List[T any] struct {
	Rows  []T `json:"rows"`
	Total int `json:"total"` // of the list; with More there are more
	// More is set when there are more than Total.
	More bool `json:"more,omitempty"`
	// Withheld is how many rows are left out here, see Report.Withheld.
	Withheld int `json:"withheld,omitempty"`
}

// rest is how many rows of the list are not here because there are so many.
func (l *List[T]) rest() int { return max(l.Total-len(l.Rows)-l.Withheld, 0) }

// Make asks a source for everything that a report has.
func Make(ctx context.Context, s Source, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p, err := s.Period(ctx, o.From, o.Until)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Sensor: o.Sensor, Made: o.Now, From: o.From, Until: o.Until, MaxTLP: o.MaxTLP, zone: o.Now.Location(),
		Alive: aliveIn(p, o), Figures: figuresOf(p),
	}
	within := incident.Filter{FirstBefore: o.Until.Add(-time.Second), LastAfter: o.From}
	waiting, fresh, before := within, within, within
	waiting.MinSeverity, waiting.States = event.High, []incident.State{incident.New, incident.Open}
	fresh.FirstAfter = o.From
	before.FirstBefore = o.From.Add(-time.Second)
	censor := &censor{source: s, most: o.MaxTLP, known: map[netip.Addr]string{}}
	for _, part := range []struct {
		list   *List[incident.Incident]
		filter incident.Filter
		sort   incident.Sort
	}{{&r.Attention, waiting, incident.ByRank}, {&r.New, fresh, incident.ByRank}, {&r.Persistent, before, incident.ByDays}} {
		page, err := s.List(ctx, incident.Query{Filter: part.filter, Sort: part.sort, Descending: true, Limit: MaxRows})
		if err != nil {
			return nil, err
		}
		*part.list = List[incident.Incident]{Total: page.Total, More: page.More}
		if part.list.Rows, err = censor.incidents(ctx, page.Rows); err != nil {
			return nil, err
		}
		part.list.Withheld = len(page.Rows) - len(part.list.Rows)
	}
	hosts, err := s.Hosts(ctx, incident.Query{Filter: within, Descending: true, Limit: MaxRows})
	if err != nil {
		return nil, err
	}
	r.Hosts = List[incident.HostRow]{Rows: hosts.Rows, Total: hosts.Total, More: hosts.More}
	if err := censor.hosts(ctx, r.Hosts.Rows); err != nil {
		return nil, err
	}
	r.Withheld = censor.withheld()
	return r, nil
}
