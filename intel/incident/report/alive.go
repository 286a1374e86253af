package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// maxTexts bounds the findings and the gaps that a report names.
const maxTexts = 8

// pulseDue is how long after the beginning of an hour its pulse may be missing, fullHour how
// many minutes of an hour must be there: pulses are taken every minute and written every two, or every 15.
const (
	pulseDue = 17 * time.Minute
	fullHour = 55
)

// Alive is what is known of the program in the period: a report of a blind week must not
// look like one of a quiet week.
type Alive struct {
	Hours int `json:"hours"` // of the period that have passed, begun ones included
	// Unknown hours have no pulse: the program did not run, or could not write. Blind
	// hours have no flow.
	Unknown int `json:"unknown_hours"`
	Blind   int `json:"blind_hours"`
	// Missing are minutes of other hours in which the program did not run, in Partly hours.
	Missing int    `json:"missing_minutes"`
	Partly  int    `json:"partly_hours"`
	Flows   uint64 `json:"flows"`
	Lost    uint64 `json:"lost"`
	// Gaps are the unknown and the blind hours, joined.
	Gaps     []Gap `json:"gaps,omitempty"`
	MoreGaps int   `json:"more_gaps,omitempty"`
	// Troubles are what checks found, the most frequent first.
	Troubles []Trouble `json:"troubles,omitempty"`
	// Now is what the checks of the running instance find; Asked whether there was one.
	Asked bool              `json:"asked"`
	Now   []observe.Finding `json:"now,omitempty"`
}

// A Gap is a time of which nothing is known, or in which no flow came.
type Gap struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	Blind bool      `json:"blind"`
}

// A Trouble is what a check found in so many hours.
type Trouble struct {
	Text  string    `json:"text"`
	Hours int       `json:"hours"`
	Last  time.Time `json:"last"`
}

// Good reports whether the period was seen in full.
func (a *Alive) Good() bool { return a.Hours > 0 && a.Unknown+a.Blind+a.Partly == 0 && a.Lost == 0 }

// aliveIn sums up the pulses of a period.
func aliveIn(p *incident.Period, o Options) Alive {
	a := Alive{Asked: o.Findings != nil}
	for _, f := range o.Findings {
		if f.State > observe.OK {
			a.Now = append(a.Now, f)
		}
	}
	pulses := map[time.Time]*incident.HourPulse{}
	troubles := map[string]*Trouble{}
	for i := range p.Pulses {
		h := &p.Pulses[i]
		pulses[h.Hour.UTC()] = h
		a.Flows += h.Flows
		a.Lost += h.Lost
		for _, text := range h.Findings {
			if troubles[text] == nil {
				troubles[text] = &Trouble{Text: text}
			}
			troubles[text].Hours++
			troubles[text].Last = h.Hour
		}
	}
	until := o.Until
	if o.Now.Before(until) {
		until = o.Now
	}
	for hour := o.From.UTC().Truncate(time.Hour); hour.Before(until); hour = hour.Add(time.Hour) {
		p := pulses[hour]
		if p == nil && a.Asked && o.Now.Sub(hour) < pulseDue {
			continue // the running instance has not written it yet
		}
		a.hour(hour, p)
		if whole := !hour.Before(o.From) && !hour.Add(time.Hour).After(until); whole && p != nil && p.Minutes < fullHour {
			a.Partly++
			a.Missing += 60 - p.Minutes
		}
	}
	if len(a.Gaps) > maxTexts {
		slices.SortFunc(a.Gaps, func(x, y Gap) int { return cmp.Compare(y.Until.Sub(y.From), x.Until.Sub(x.From)) })
		a.MoreGaps = len(a.Gaps) - maxTexts
		a.Gaps = a.Gaps[:maxTexts]
		slices.SortFunc(a.Gaps, func(x, y Gap) int { return x.From.Compare(y.From) })
	}
	for _, t := range troubles {
		a.Troubles = append(a.Troubles, *t)
	}
	slices.SortFunc(a.Troubles, func(x, y Trouble) int { return cmp.Or(y.Hours-x.Hours, cmp.Compare(x.Text, y.Text)) })
	a.Troubles = a.Troubles[:min(len(a.Troubles), maxTexts)]
	return a
}

// hour counts one hour, nil for one without a pulse.
func (a *Alive) hour(at time.Time, p *incident.HourPulse) {
	a.Hours++
	gap := Gap{at, at.Add(time.Hour), p != nil}
	switch {
	case p == nil:
		a.Unknown++
	case p.Flows == 0:
		a.Blind++
	default:
		return
	}
	if n := len(a.Gaps); n > 0 && a.Gaps[n-1].Until.Equal(at) && a.Gaps[n-1].Blind == gap.Blind {
		a.Gaps[n-1].Until = gap.Until
		return
	}
	a.Gaps = append(a.Gaps, gap)
}
