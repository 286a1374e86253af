package event

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	// maxRuleText bounds a text of a rule, maxRule all of it: behind the indicators there is
	// not much room.
	maxRuleText = 1 << 10
	maxRule     = (3 + 2*MaxRuleGroup + 2*MaxRuleShares + MaxRuleStop) * (maxRuleText + 32)
)

// rule passes 0 for none, else 1 and the fields behind their length in four bytes, little
// endian, so that later versions can add some.
func (c *coder) rule(r **Rule) {
	var there uint8
	if c.writes && *r != nil {
		there = 1
	}
	if number(c, &there); there == 0 {
		return
	}
	if c.writes {
		at := len(c.b)
		c.b = append(c.b, 0, 0, 0, 0)
		c.ruleFields(*r)
		binary.LittleEndian.PutUint32(c.b[at:], uint32(len(c.b)-at-4))
		return
	}
	if n, ok := c.size(); ok {
		*r = new(Rule)
		c.inner(n, "a rule breaks off", func() { c.ruleFields(*r) })
	}
}

// ruleFields passes every field of a rule. New ones go to its end.
func (c *coder) ruleFields(r *Rule) {
	ruleText(c, &r.Name)
	ruleText(c, &r.Title)
	ruleText(c, &r.Type)
	list(c, &r.Group, MaxRuleGroup, func(c *coder, f *RuleField) {
		ruleText(c, &f.Field)
		ruleText(c, &f.Value)
	})
	number(c, &r.Count)
	number(c, &r.Threshold)
	number(c, &r.Usual)
	c.real(&r.Error)
	c.time(&r.From)
	c.time(&r.To)
	c.flags(&r.Update, &r.OrMore)
	share := func(c *coder, s *RuleShare) {
		ruleText(c, &s.Value)
		number(c, &s.Count)
	}
	list(c, &r.Sources, MaxRuleShares, share)
	list(c, &r.Targets, MaxRuleShares, share)
	list(c, &r.Ports, MaxRulePorts, func(c *coder, p *RulePort) {
		number(c, &p.Port)
		number(c, &p.Count)
	})
	list(c, &r.Histogram, MaxRuleBars, func(c *coder, b *RuleBar) {
		number(c, &b.Times)
		number(c, &b.Values)
	})
	c.span(&r.Interval)
	c.real(&r.Spread)
	list(c, &r.Stop, MaxRuleStop, func(c *coder, s *string) { ruleText(c, s) })
	number(c, &r.LeftOut)
}

// ruleText passes a text of a rule.
func ruleText(c *coder, s *string) {
	if c.writes && len(*s) > maxRuleText {
		t := (*s)[:maxRuleText]
		c.cut = true
		text(c, &t)
		return
	}
	text(c, s)
}

// list passes how many elements there are, at most most, and each of them.
func list[T any](c *coder, all *[]T, most int, pass func(c *coder, one *T)) {
	n := uint64(len(*all))
	if c.writes && n > uint64(most) {
		n, c.cut = uint64(most), true
	}
	number(c, &n)
	for i := uint64(0); i < n; i++ {
		if !c.writes {
			if c.s == "" {
				break // each has a byte at least
			}
			*all = append(*all, *new(T))
		}
		pass(c, &(*all)[i])
	}
}

// real passes a number that is not whole, as the bits of IEEE 754.
func (c *coder) real(f *float64) {
	bits := math.Float64bits(*f)
	number(c, &bits)
	if c.writes {
		return
	}
	if *f = math.Float64frombits(bits); math.IsNaN(*f) || math.IsInf(*f, 0) {
		*f = 0
		c.fail("not a number")
	}
}

// span passes nanoseconds.
func (c *coder) span(d *time.Duration) {
	n := uint64(*d)
	if number(c, &n); !c.writes {
		*d = time.Duration(n)
	}
}

// unknownOfRule passes the unknown keys of a rule, which was not there yet when unknown was made.
func (c *coder) unknownOfRule(u **Unknown) {
	var keys string
	if c.writes && *u != nil && (*u).size() <= maxBinaryText {
		keys = (*u).Rule
	}
	if text(c, &keys); c.writes || keys == "" {
		return
	}
	if *u == nil {
		*u = new(Unknown)
	}
	(*u).Rule = keys
}
