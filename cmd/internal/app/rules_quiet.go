package app

import (
	"context"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// A RuleQuiet is what correlation rules do not judge: what is silenced, and offenders whose
// incident is a false alarm.
type RuleQuiet struct {
	book        *silence.Book
	falseAlarms map[netip.Addr]bool
}

// NewRuleQuiet makes it of silences, and of what [FalseAlarms] gives.
func NewRuleQuiet(book *silence.Book, falseAlarms map[netip.Addr]bool) *RuleQuiet {
	return &RuleQuiet{book, falseAlarms}
}

// Stamp marks an event that a silence fits, see [silence.Book.Stamp]. A mark that it has stays.
func (q *RuleQuiet) Stamp(e *event.Event) {
	if e.Silenced == "" {
		q.book.Stamp(e)
	}
}

// IsFalseAlarm reports whether the incident of an offender is a false alarm.
func (q *RuleQuiet) IsFalseAlarm(a netip.Addr) bool { return q.falseAlarms[a] }

// IsQuiet reports whether everything of an address outside is silenced, or its incident is a
// false alarm.
func (q *RuleQuiet) IsQuiet(a netip.Addr) bool {
	return q.falseAlarms[a] || slices.ContainsFunc(q.book.Match(netip.PrefixFrom(a, a.BitLen())), func(s silence.Silence) bool {
		return s.OffenderOnly()
	})
}

// mostFalse is how many false alarms are taken at most.
const mostFalse = 100_000

// FalseAlarms gives the offenders whose incident is a false alarm, from pages of incidents.
func FalseAlarms(ctx context.Context, page func(context.Context, incident.Query) (incident.Page[incident.Incident], error)) (map[netip.Addr]bool, error) {
	all := make(map[netip.Addr]bool)
	err := eachFalseAlarm(ctx, page, func(a netip.Addr) bool {
		all[a] = true
		return len(all) < mostFalse
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// eachFalseAlarm calls take for each offender whose incident is a false alarm, until it gives
// false.
func eachFalseAlarm(ctx context.Context, page func(context.Context, incident.Query) (incident.Page[incident.Incident], error), take func(netip.Addr) bool) error {
	q := incident.Query{Filter: incident.Filter{States: []incident.State{incident.FalseAlarm}}, Limit: incident.MaxLimit}
	for {
		p, err := page(ctx, q)
		if err != nil {
			return err
		}
		for i := range p.Rows {
			if !take(p.Rows[i].Offender) {
				return nil
			}
		}
		if q.After = p.Next; q.After == "" {
			return nil
		}
	}
}
