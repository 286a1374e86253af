package rule

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// What a correlation has when it does not say.
const (
	defaultWithin = 2 * time.Second
	defaultShare  = 0.5
	defaultSpread = 0.15
	defaultTimes  = 3
)

// correlation reads correlation.
func (r *Rule) correlation(n ast.Node) *Error {
	b, err := blockOf(n, "correlation")
	if err != nil {
		return err
	}
	c := &r.Correlation
	c.Within, c.Share, c.Spread, c.Times = defaultWithin, defaultShare, defaultSpread, defaultTimes
	kind := 0
	if err := b.word(&kind, "type", types); err != nil {
		return err
	}
	if kind == 0 {
		return at(n, "type is missing; use %s", strings.Join(types[1:], ", "))
	}
	c.Type = Type(kind)
	if r.Over == Logins && c.Type == ValueSum {
		return at(b.of("type"), "value_sum is not valid over logins, of which nothing can be summed up; use event_count")
	}
	if err := b.duration(&c.Timespan, "timespan", minTimespan, MaxTimespan); err != nil {
		return err
	}
	if c.Timespan == 0 {
		return at(n, "timespan is missing, such as 10m")
	}
	for _, read := range []func(*block) *Error{r.groupBy, r.ofType, r.conditions, (*block).rest} {
		if err := read(b); err != nil {
			return err
		}
	}
	return r.fits(b)
}

// groupBy reads group-by.
func (r *Rule) groupBy(b *block) *Error {
	v := b.take("group-by")
	if v == nil {
		return nil
	}
	for _, n := range list(v) {
		s, err := scalar(n, "group-by")
		if err != nil {
			return err
		}
		f := FieldNamed(s, r.Over)
		if f == nil || !f.Group {
			return at(n, "group-by: %q is not valid over %s; use %s", show(s), r.Over, names(r.Over, func(f *Field) bool { return f.Group }))
		}
		for _, g := range r.Correlation.GroupBy {
			if g == f {
				return at(n, "group-by: %s is there twice", s)
			}
		}
		r.Correlation.GroupBy = append(r.Correlation.GroupBy, f)
	}
	if len(r.Correlation.GroupBy) > MaxGroupBy {
		return at(v, "group-by has %d fields; at most %d are allowed", len(r.Correlation.GroupBy), MaxGroupBy)
	}
	return nil
}

// ofType reads the keys that one type has.
func (r *Rule) ofType(b *block) *Error {
	c := &r.Correlation
	switch c.Type {
	case Temporal, TemporalOrdered:
		return r.refs(b)
	case Lockstep:
		if err := b.duration(&c.Within, "within", time.Second, time.Minute); err != nil {
			return err
		}
		return b.number(&c.Share, "share", 0.01, 1)
	case Regular:
		return b.number(&c.Spread, "spread", 0.001, 1)
	case Rise:
		cold := 0.0
		if err := b.number(&cold, "cold", 1, math.MaxUint32); err != nil {
			return err
		}
		c.Cold = uint64(cold)
		return b.number(&c.Times, "times", 1, 1000)
	}
	return nil
}

// refs reads the names of other rules.
func (r *Rule) refs(b *block) *Error {
	v := b.take("rules")
	if v == nil {
		return at(b.node, "rules is missing: the names of at least two rules")
	}
	for _, n := range list(v) {
		s, err := scalar(n, "rules")
		if err != nil {
			return err
		}
		if slices.Contains(r.Correlation.Rules, s) {
			return at(n, "rules: %s is there twice", show(s))
		}
		r.Correlation.Rules = append(r.Correlation.Rules, s)
	}
	if n := len(r.Correlation.Rules); n < 2 || n > MaxRefs {
		return at(v, "rules has %d names; from 2 to %d are allowed", n, MaxRefs)
	}
	return nil
}

// conditions reads condition and each.
func (r *Rule) conditions(b *block) *Error {
	c := &r.Correlation
	if v := b.take("condition"); v != nil {
		inner, err := blockOf(v, "condition")
		if err != nil {
			return err
		}
		var name string
		if err := inner.text(&name, "field", MaxName); err != nil {
			return err
		}
		if c.Condition, err = condition(inner); err != nil {
			return err
		}
		if name != "" {
			if c.Condition.Field = FieldNamed(name, r.Over); c.Condition.Field == nil {
				return at(v, "condition: field %q is not known over %s; use %s", show(name), r.Over, names(r.Over, r.countable))
			}
		}
	}
	if c.Type == ValueCount || c.Type == Rise {
		if v := b.take("each"); v != nil {
			inner, err := blockOf(v, "each")
			if err != nil {
				return err
			}
			if c.Each, err = condition(inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// countable reports whether the type of the rule can count the field.
func (r *Rule) countable(f *Field) bool {
	switch r.Correlation.Type {
	case ValueCount, Rise:
		return f.Group
	case ValueSum:
		return f.Summable()
	}
	return false
}

// fits checks what a correlation must have besides.
func (r *Rule) fits(b *block) *Error {
	for _, check := range []func(*block) *Error{r.counts, r.holds, r.lasts, r.ofOwn} {
		if err := check(b); err != nil {
			return err
		}
	}
	return nil
}

// counts checks the field that is counted.
func (r *Rule) counts(b *block) *Error {
	c := &r.Correlation
	f := c.Condition.Field
	switch c.Type {
	case ValueCount, Rise, ValueSum:
	default:
		if f != nil {
			return at(b.of("condition"), "condition: %s takes no field", c.Type)
		}
		return nil
	}
	if f == nil {
		return at(b.of("condition"), "condition: field is missing; use %s", names(r.Over, r.countable))
	}
	if !r.countable(f) {
		return at(b.of("condition"), "condition: %s cannot count %s; use %s", c.Type, f.Name, names(r.Over, r.countable))
	}
	if c.Type == ValueSum {
		return nil
	}
	for _, g := range c.GroupBy {
		if g == f {
			return at(b.of("condition"), "condition: %s is in group-by: each group has one of it", f.Name)
		}
	}
	if most := f.most(); most < math.MaxUint64 && c.Condition.Min > most+1 {
		return at(b.of("condition"), "condition: %s never holds: %s has %d values", c.Condition.text, f.Name, most+1)
	}
	switch {
	case c.Each.IsZero():
	case c.Each.Max == 0:
		return at(b.of("each"), "each: %s never holds", c.Each.text)
	case c.Each.Min <= 1 && c.Each.Open():
		return at(b.of("each"), "each: %s always holds; leave it out", c.Each.text)
	}
	return nil
}

// holds refuses a condition that always holds.
func (r *Rule) holds(b *block) *Error {
	c := &r.Correlation
	switch {
	case c.Type == Temporal || c.Type == TemporalOrdered:
		if !c.Condition.IsZero() {
			return at(b.of("condition"), "condition: %s takes none: all of its rules must hold", c.Type)
		}
	case c.Condition.IsZero():
		return at(b.of("condition"), "condition is missing, such as {gte: 10}")
	case c.Condition.Min <= 1 && c.Condition.Open():
		return at(b.of("condition"), "condition: %s holds for the first flow already", c.Condition.text)
	case c.Condition.Min == 0:
		return at(b.of("condition"), "condition: %s holds without any flow; give a least number, too", c.Condition.text)
	}
	return nil
}

// lasts checks the timespan.
func (r *Rule) lasts(b *block) *Error {
	c := &r.Correlation
	switch {
	case r.Over == Contacts && c.Type != Lockstep && c.Timespan%time.Hour != 0:
		return at(b.of("timespan"), "timespan: %s is not valid over contacts, which are counted by the hour; use whole hours", Short(c.Timespan))
	case c.Type == Lockstep && c.Timespan > 24*time.Hour:
		return at(b.of("timespan"), "timespan: %s is not valid for lockstep; use 1d at most", Short(c.Timespan))
	case c.Type == Rise && (c.Timespan < time.Hour || (24*time.Hour)%c.Timespan != 0):
		return at(b.of("timespan"), "timespan: %s is not valid for rise, which compares with the same window of other days; use 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d", Short(c.Timespan))
	case c.Type == TemporalOrdered && r.Over == Contacts:
		return at(b.of("type"), "temporal_ordered is not valid over contacts: within an hour there is no order; use temporal")
	}
	return nil
}

// ofOwn checks the types that are not Sigma's.
func (r *Rule) ofOwn(b *block) *Error {
	c := &r.Correlation
	switch c.Type {
	case Lockstep:
		if r.Over != Contacts || c.Condition.Min < 3 || !c.Condition.Open() {
			return at(b.of("type"), "lockstep needs over: contacts and a condition of at least 3 without a greatest number")
		}
		if c.Condition.Min > MaxSteps {
			return at(b.of("condition"), "condition: %s never holds: of each address %d ports are remembered", c.Condition.text, MaxSteps)
		}
		for _, g := range c.GroupBy {
			if g.id == idOutside {
				return at(b.of("group-by"), "group-by: lockstep compares addresses outside; %s cannot be in it", g.Name)
			}
		}
	case Regular:
		if r.Over != Hits || c.Condition.Min < 3 {
			return at(b.of("type"), "regular needs over: hits and a condition of at least 3")
		}
	}
	return nil
}
