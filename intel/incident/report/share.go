package report

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// TLPs are the labels that MaxTLP may have, the least restricted first.
var TLPs = []string{"clear", "green", "amber", "amber+strict", "red"}

// DefaultTLP is what a report may show unless the operator allows more.
const DefaultTLP = "green"

func validTLP(label string) error {
	if !slices.Contains(TLPs, label) {
		return fmt.Errorf("%q is not a label; use %s", label, strings.Join(TLPs, ", "))
	}
	return nil
}

// maxPages is how many pages of a list are read where rows have to be left out.
const maxPages = 5

// A censor looks at offenders one by one, and takes out what only restricted listings know.
type censor struct {
	source Source
	most   int             // rank of the most restricted label that may be shown
	within incident.Filter // of the period
	from   int32           // its first day, UTC
	until  int32           // its last one
	known  map[netip.Addr]judgement
}

// A judgement is what a report may have of an offender.
type judgement struct {
	reason string // in place of its own; empty = its own
	hidden bool   // only restricted listings know it
	gone   bool   // it was forgotten meanwhile
	absent bool   // it had no contact on the days of the period
}

func newCensor(s Source, o *Options) *censor {
	return &censor{
		source: s, most: intel.TLPRank(o.MaxTLP), known: map[netip.Addr]judgement{},
		within: incident.Filter{FirstBefore: o.Until.Add(-time.Second), LastAfter: o.From},
		from:   incident.DayOf(o.From), until: incident.DayOf(o.Until.Add(-time.Second)),
	}
}

// judge looks at an offender.
func (c *censor) judge(ctx context.Context, offender netip.Addr) (judgement, error) {
	if j, ok := c.known[offender]; ok {
		return j, nil
	}
	i, err := c.source.Get(ctx, offender)
	j := judgement{gone: errors.Is(err, incident.ErrUnknown)}
	switch {
	case j.gone:
	case err != nil:
		return j, err
	default:
		j.reason, j.hidden = reasonWithin(i.Listings, c.most)
		j.absent = !slices.ContainsFunc(i.Daily, func(d incident.Day) bool { return d.Day >= c.from && d.Day <= c.until })
	}
	c.known[offender] = j
	return j, nil
}

// list gives the first rows that a filter chooses and that may be shown. With daily they had
// contact in the period, not only before and after it.
func (c *censor) list(ctx context.Context, f incident.Filter, sort incident.Sort, daily bool) (list List[incident.Incident], err error) {
	q := incident.Query{Filter: f, Sort: sort, Descending: true, Limit: MaxRows}
	for n := range maxPages {
		page, err := c.source.List(ctx, q)
		if err != nil {
			return list, err
		}
		if n == 0 {
			list.Total, list.More = page.Total, page.More
		}
		for _, i := range page.Rows {
			j, err := c.judge(ctx, i.Offender)
			switch {
			case err != nil:
				return list, err
			case j.gone, daily && j.absent:
				continue
			case j.hidden:
				list.Withheld++
				continue
			case j.reason != "":
				i.Reason = j.reason
			}
			if list.Rows = append(list.Rows, i); len(list.Rows) == MaxRows {
				return list, nil
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return list, nil
}

// reasonWithin makes a reason of the listings up to a rank; empty if that is all of them.
// Where it is none of them, the offender is hidden.
func reasonWithin(listings []incident.Listing, most int) (reason string, hidden bool) {
	var parts []string
	restricted := false
	for i := range listings {
		l := &listings[i]
		if intel.TLPRank(l.TLP) > most {
			restricted = true
			continue
		}
		what := l.Category
		if what == "" {
			what = "listed"
		}
		parts = append(parts, fmt.Sprintf("%s by %s (%d)", what, l.Feed, l.Score))
	}
	if !restricted {
		return "", false
	}
	return strings.Join(parts[:min(len(parts), 3)], ", "), len(parts) == 0
}

// hosts takes offenders out of the rows of hosts.
func (c *censor) hosts(ctx context.Context, rows []incident.HostRow) error {
	for n := range rows {
		shown := rows[n].Top[:0:0]
		for _, offender := range rows[n].Top {
			j, err := c.judge(ctx, offender)
			if err != nil {
				return err
			}
			if !j.hidden && !j.gone {
				shown = append(shown, offender)
			}
		}
		rows[n].Top = shown
	}
	return nil
}

// silences takes offenders out of silences.
func (c *censor) silences(ctx context.Context, all []Silence) ([]Silence, error) {
	all = slices.Clone(all)
	for n := range all {
		s := &all[n]
		if !s.Offender.IsValid() {
			continue
		}
		j, err := c.judge(ctx, s.Offender)
		if err != nil {
			return nil, err
		}
		if j.hidden {
			s.Offender, s.What = netip.Addr{}, "an offender that may not be named"
		}
	}
	return all, nil
}

// withheld is how many offenders were left out.
func (c *censor) withheld() (n int) {
	for _, j := range c.known {
		if j.hidden {
			n++
		}
	}
	return n
}
