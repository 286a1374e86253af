package detect

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/state"
)

// stateVersion is that of the form of the state; another one is not read.
const stateVersion = 1

// Save gives the state of the engine, between two observations.
func (e *Engine) Save() []byte { return e.Append(nil) }

// Append appends the state of the engine to b.
func (e *Engine) Append(b []byte) []byte {
	c := state.Writer(slices.Grow(b, e.saved+e.saved/8))
	version := uint8(stateVersion)
	c.Uint8(&version)
	e.code(c)
	for _, w := range e.watches {
		name, print := w.rule.Name, fingerprint(w.rule)
		c.Text(&name)
		c.Uint64(&print)
		c.Part(func(c *state.Coder) { w.save(c) })
	}
	all := c.Bytes()
	e.saved = len(all) - len(b)
	return all
}

// save writes the groups of a rule, in an order of their own: the same state is the same bytes.
func (w *watch) save(c *state.Coder) {
	c.Len(len(w.groups), 1)
	for _, g := range slices.SortedFunc(maps.Values(w.groups), func(a, b *group) int { return a.key.compare(&b.key) }) {
		g.code(c, w)
	}
}

// Restore takes up a state that Save gave. Rules that are new, or have changed since, begin
// anew; those that have gone are forgotten. After an error the engine is as New made it.
func (e *Engine) Restore(b []byte) error {
	c, err := state.Reader(b)
	if err != nil {
		return err
	}
	var version uint8
	if c.Uint8(&version); version != stateVersion {
		return fmt.Errorf("state of version %d; this program reads version %d", version, stateVersion)
	}
	fresh := New(e.cfg)
	fresh.code(c)
	byName := make(map[string]*watch)
	for _, w := range fresh.watches {
		byName[w.rule.Name] = w
	}
	for c.More() {
		var name string
		var print uint64
		c.Text(&name)
		c.Uint64(&print)
		var part func(*state.Coder)
		if w := byName[name]; w != nil && print == fingerprint(w.rule) {
			part = func(c *state.Coder) { w.restore(fresh, c) }
		}
		c.Part(part)
	}
	if err := c.Err(); err != nil {
		return err
	}
	*e = *fresh
	return nil
}

// Adopt takes up other rules. Those that count the same as before go on, and so do the counters.
func (e *Engine) Adopt(rules []*rule.Rule) error {
	cfg := e.cfg
	cfg.Rules = rules
	next := New(cfg)
	if err := next.Restore(e.Save()); err != nil {
		return err
	}
	past := e.stats
	past.Groups, past.Bytes = next.stats.Groups, next.stats.Bytes
	next.stats, next.alerts = past, e.alerts
	*e = *next
	return nil
}

// code codes what all rules share.
func (e *Engine) code(c *state.Coder) {
	c.Uint64(&e.cfg.Seed)
	c.Uint32(&e.newest)
	c.Uint32(&e.latest)
	c.Uint32(&e.since)
	state.List(c, &e.texts.list, 1, func(s *string) { c.Text(s) })
	if c.Reads() {
		if len(e.texts.list) < 2 || len(e.texts.list) > maxTexts {
			e.texts = newTexts()
			c.Fail()
		}
		for i, s := range e.texts.list {
			e.texts.numbers[s] = uint32(i)
			e.texts.bytes += len(s)
		}
	}
}

// restore reads the groups of a rule.
func (w *watch) restore(e *Engine, c *state.Coder) {
	for range c.Len(0, 16) {
		g := &group{}
		g.code(c, w)
		if w.groups[g.key] != nil {
			c.Fail() // also when one rule is there twice
		}
		if c.Failed() {
			return
		}
		w.add(e, g)
		w.account(e, g)
	}
}

// code codes a group.
func (g *group) code(c *state.Coder, w *watch) {
	for i := range w.by {
		c.Address(&g.key[i])
	}
	c.Uint32(&g.last)
	c.Uint32(&g.alerted)
	c.Uint32(&g.window)
	c.Uint8(&g.doubled)
	c.Uint8(&g.tlp)
	g.sums.Code(c)
	g.distinct.Code(c)
	g.track.Code(c)
	g.pace.Code(c)
	g.usual.Code(c)
	state.List(c, &g.met, 1, func(v *uint32) { c.Uint32(v) })
	if len(g.met) != len(w.refs) {
		c.Fail()
	}
	there := g.evidence != nil
	if c.Bool(&there); there {
		if c.Reads() {
			g.evidence = &evidence{}
		}
		for _, h := range []*heavy{&g.evidence.sources, &g.evidence.targets, &g.evidence.ports} {
			h.code(c)
		}
	}
}

// code codes the most frequent values.
func (h *heavy) code(c *state.Coder) {
	n := c.Len(h.n, 17)
	if n > len(h.list) {
		c.Fail()
		n = 0
	}
	h.n = n
	for i := range h.n {
		c.Address(&h.list[i].value)
		c.Uint64(&h.list[i].count)
	}
}

// fingerprint differs for rules of the same name that count something else.
func fingerprint(r *rule.Rule) uint64 {
	h := fnv.New64a()
	c := &r.Correlation
	fmt.Fprintf(h, "%d %d %v %v %v %v", r.Over, c.Type, c.Rules, c.Timespan, c.Within, c.Condition.String())
	for _, f := range append(slices.Clone(c.GroupBy), c.Condition.Field) {
		if f != nil {
			fmt.Fprintf(h, " %s", f.Name)
		}
	}
	for _, t := range r.Where {
		fmt.Fprintf(h, " %s %v %v %v %v %v", t.Field.Name, t.Not, t.Numbers, t.Prefixes, t.Texts, t.Range.String())
	}
	return h.Sum64()
}
