package compact

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

const (
	// maxRuleText bounds a text of a rule, maxRule all of it: behind the indicators there is
	// not much room.
	maxRuleText = 1 << 10
	maxRule     = (4 + 2*event.MaxRuleGroup + 2*event.MaxRuleShares + event.MaxRuleStop) * (maxRuleText + 32)
)

// rule passes 0 for none, else 1 and the fields behind their length in four bytes, little
// endian, so that later versions can add some.
func (c *coder) rule(r **event.Rule) {
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
		*r = new(event.Rule)
		c.inner(n, "a rule breaks off", func() { c.ruleFields(*r) })
	}
}

// ruleFields passes every field of a rule. New ones go to its end.
func (c *coder) ruleFields(r *event.Rule) {
	ruleText(c, &r.Name)
	ruleText(c, &r.Title)
	ruleText(c, &r.Type)
	for i, n := 0, length(c, r.Group, event.MaxRuleGroup); next(c, &r.Group, i, n); i++ {
		ruleText(c, &r.Group[i].Field)
		ruleText(c, &r.Group[i].Value)
	}
	number(c, &r.Count)
	number(c, &r.Threshold)
	number(c, &r.Usual)
	c.real(&r.Error)
	c.time(&r.From)
	c.time(&r.To)
	c.flags(&r.Update, &r.OrMore)
	c.shares(&r.Sources)
	c.shares(&r.Targets)
	for i, n := 0, length(c, r.Ports, event.MaxRulePorts); next(c, &r.Ports, i, n); i++ {
		number(c, &r.Ports[i].Port)
		number(c, &r.Ports[i].Count)
	}
	for i, n := 0, length(c, r.Histogram, event.MaxRuleBars); next(c, &r.Histogram, i, n); i++ {
		number(c, &r.Histogram[i].Times)
		number(c, &r.Histogram[i].Values)
	}
	c.span(&r.Interval)
	c.real(&r.Spread)
	for i, n := 0, length(c, r.Stop, event.MaxRuleStop); next(c, &r.Stop, i, n); i++ {
		ruleText(c, &r.Stop[i])
	}
	number(c, &r.LeftOut)
	ruleText(c, &r.TLP)
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

func (c *coder) shares(list *[]event.RuleShare) {
	for i, n := 0, length(c, *list, event.MaxRuleShares); next(c, list, i, n); i++ {
		ruleText(c, &(*list)[i].Value)
		number(c, &(*list)[i].Count)
	}
}

// length passes how many elements a list has, of which it writes at most most.
func length[T any](c *coder, list []T, most int) int {
	n := uint64(len(list))
	if c.writes && n > uint64(most) {
		n, c.cut = uint64(most), true
	}
	number(c, &n)
	return int(min(n, math.MaxInt))
}

// next reports whether the ith of n elements is to be passed, and makes it when it is read. A
// function for each element would make the coder escape to the heap.
func next[T any](c *coder, list *[]T, i, n int) bool {
	if i >= n || !c.writes && c.s == "" { // each has a byte at least
		return false
	}
	if !c.writes {
		*list = append(*list, *new(T))
	}
	return true
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
func (c *coder) unknownOfRule(u **event.Unknown) {
	var keys string
	if c.writes && *u != nil && (*u).Size() <= maxText {
		keys = (*u).Rule
	}
	if text(c, &keys); c.writes || keys == "" {
		return
	}
	if *u == nil {
		*u = new(event.Unknown)
	}
	(*u).Rule = keys
}
