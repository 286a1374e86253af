package report

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
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

// A Source has what a report shows; see intel/incident/store.
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
	// Silences are those that were in force in the period.
	Silences []Silence
	// Count counts in the history the attempts that rules have found; nil = there is no history.
	Count func(ctx context.Context, service AttackedService, from, until time.Time) (*Attempts, error)
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
	// Attention are incidents of severity high and critical that have not been looked at yet.
	Attention List[incident.Incident] `json:"attention"`
	// Older are those of them that were last seen before the period.
	Older     int                     `json:"older"`
	OlderMore bool                    `json:"older_more,omitempty"` // there are more than Older
	Hosts     List[incident.HostRow]  `json:"hosts"`
	New       List[incident.Incident] `json:"new"`
	// Persistent are those that were known before, those with the most days first.
	Persistent List[incident.Incident] `json:"persistent"`
	// Rules are what rules have found, the most severe first. MoreRules are further alerts.
	Rules     []RuleAlert `json:"rules"`
	MoreRules int         `json:"more_rules,omitempty"`
	Figures   Figures     `json:"figures"`
	Silences  []Silence   `json:"silences,omitempty"`
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

// Make reads everything that a report has from a source.
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
		Alive: aliveIn(p, o), Figures: figuresOf(p, intel.TLPRank(o.MaxTLP)),
	}
	c := newCensor(s, &o)
	if err := r.incidents(ctx, c); err != nil {
		return nil, err
	}
	hosts, err := s.Hosts(ctx, incident.Query{Filter: c.within, Descending: true, Limit: MaxRows})
	if err != nil {
		return nil, err
	}
	r.Hosts = List[incident.HostRow]{Rows: hosts.Rows, Total: hosts.Total, More: hosts.More}
	if err := c.hosts(ctx, r.Hosts.Rows); err != nil {
		return nil, err
	}
	r.rules(ctx, p, &o)
	if r.Silences, err = c.silences(ctx, o.Silences); err != nil {
		return nil, err
	}
	r.Withheld = c.withheld()
	return r, nil
}

// incidents fills the lists of incidents.
func (r *Report) incidents(ctx context.Context, c *censor) (err error) {
	waiting, fresh, before := c.within, c.within, c.within
	waiting.MinSeverity, waiting.States = event.High, []incident.State{incident.New, incident.Open}
	fresh.FirstAfter = r.From
	before.FirstBefore = r.From.Add(-time.Second)
	if r.Attention, err = c.list(ctx, waiting, incident.ByRank, false); err != nil {
		return err
	}
	if r.New, err = c.list(ctx, fresh, incident.ByRank, true); err != nil {
		return err
	}
	if r.Persistent, err = c.list(ctx, before, incident.ByDays, true); err != nil {
		return err
	}
	// These are counted by their days, as in the figures: others were there before and after
	// the period, and not in it.
	r.New.Total, r.New.More = r.Figures.New, false
	r.Persistent.Total, r.Persistent.More = r.Figures.Returned, false
	older := incident.Filter{MinSeverity: waiting.MinSeverity, States: waiting.States, LastBefore: r.From.Add(-time.Second)}
	page, err := c.source.List(ctx, incident.Query{Filter: older, Sort: incident.ByRank, Descending: true, Limit: 1})
	r.Older, r.OlderMore = page.Total, page.More
	return err
}
