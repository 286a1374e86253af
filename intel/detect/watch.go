package detect

import (
	"math"
	"math/bits"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/window"
)

// A watch is one rule at work.
type watch struct {
	rule    *rule.Rule
	by      []*rule.Field // what groups are made by
	slot    uint32        // s
	span    uint32        // slots of a window
	groups  map[key]*group
	most    int      // groups since the map was made
	bytes   int      // of the groups
	made    int      // alerts since the owner of the engine took them
	changed []*group // over contacts: since they were judged; over hours those not judged yet
	refs    []*watch
	held    bool // for the observation at work: where held, and so did the condition
}

// A group is what a rule knows of the observations that have the same values.
type group struct {
	key      key
	sums     window.Sums
	distinct window.Distinct
	track    window.Track
	pace     window.Pace
	usual    window.Usual
	met      []uint32 // time at which each rule of a temporal one held last; 0 = never
	evidence *evidence
	last     uint32 // slot of the last observation
	bytes    int    // as counted in the engine
	changed  bool   // it is in watch.changed
	gone     bool   // it was removed
	alerted  uint32 // time of the last alert; 0 = none
	window   uint32 // slot of that alert
	doubled  uint8  // how often it has doubled since
	tlp      uint8  // the most restricted of all observations, see rule.Observation
}

const groupBytes = 480 // of a group with its place in the map, measured

func newWatch(r *rule.Rule, before []*watch) *watch {
	c := &r.Correlation
	w := &watch{rule: r, by: c.GroupBy, groups: make(map[key]*group), slot: 1}
	seconds := uint32(c.Timespan.Seconds())
	switch {
	case c.Type == rule.Lockstep:
		w.by = append(slices.Clone(c.GroupBy), outside)
	case r.Over == rule.Contacts:
		w.slot = hour
	case seconds > slotsPerWindow && c.Type != rule.Regular:
		w.slot = (seconds + slotsPerWindow - 1) / slotsPerWindow
	}
	w.span = max(seconds/w.slot, 1)
	for _, name := range c.Rules {
		for _, o := range before {
			if o.rule.Name == name {
				w.refs = append(w.refs, o)
			}
		}
	}
	return w
}

var outside = rule.FieldNamed("outside", rule.Contacts)

// takes counts an observation, if where holds for it.
func (w *watch) takes(e *Engine, o *rule.Observation) {
	w.held = false
	if !w.fits(e, o) {
		return
	}
	c := &w.rule.Correlation
	switch {
	case c.Type == rule.Base:
		w.held = true
		return
	case len(w.refs) > 0 && !slices.ContainsFunc(w.refs, func(r *watch) bool { return r.held }):
		return
	}
	g := w.group(e, o)
	w.count(e, g, o)
	g.last, g.tlp = max(g.last, o.Time/w.slot), max(g.tlp, o.TLP)
	w.account(e, g)
	if !g.changed {
		g.changed = true
		w.changed = append(w.changed, g)
	}
	if w.rule.Over == rule.Hits {
		w.judgeChanged(e, true)
	} else if c.Monotone() && c.Type != rule.Lockstep {
		w.held = w.measure(e, g).holds
	}
}

// fits reports whether where holds for an observation.
func (w *watch) fits(e *Engine, o *rule.Observation) bool {
	for i := range w.rule.Where {
		if !w.rule.Where[i].Holds(o, e.texts.text) {
			return false
		}
	}
	return true
}

// group finds the group of an observation, or makes it.
func (w *watch) group(e *Engine, o *rule.Observation) *group {
	var k key
	for i, f := range w.by {
		k[i] = f.Of(o)
	}
	g := w.groups[k]
	if g == nil {
		g = &group{key: k}
		w.add(e, g)
	}
	return g
}

// add adds a group.
func (w *watch) add(e *Engine, g *group) {
	w.groups[g.key] = g
	w.most = max(w.most, len(w.groups))
	e.stats.Groups++
}

// count adds an observation to a group.
func (w *watch) count(e *Engine, g *group, o *rule.Observation) {
	c, slot := &w.rule.Correlation, o.Time/w.slot
	flows := max(o.Flows, 1)
	switch c.Type {
	case rule.EventCount:
		w.sum(g, o, flows)
	case rule.ValueSum:
		w.sum(g, o, c.Condition.Field.Number(o))
	case rule.ValueCount, rule.Rise:
		w.countValue(e, g, o, slot, flows)
	case rule.Lockstep:
		oldest := e.oldest(w.kept())
		for _, at := range []uint32{o.First, o.Last} {
			g.track.Add(window.Touch{At: at, Port: o.ServicePort, Protocol: o.Protocol}, oldest)
		}
	case rule.Regular:
		g.pace.Add(o.Last, uint32(min(flows, math.MaxUint32)), uint32(c.Timespan.Seconds()))
	case rule.Temporal, rule.TemporalOrdered:
		w.meet(g, o.Time)
	}
	if g.evidence != nil {
		g.evidence.add(o)
	}
}

// sum adds a number to the sums of a group, spread evenly over the slots since the last event
// of the contact: an update has an hour in it.
func (w *watch) sum(g *group, o *rule.Observation, n uint64) {
	slot := o.Time / w.slot
	first := slot
	if o.Since != 0 && o.Since < o.Time {
		first = min(o.Since/w.slot+1, slot)
	}
	slots, part := uint64(slot-first)+1, n/(uint64(slot-first)+1)
	rest := n % slots
	for at := max(first, slot-min(slot, w.span-1)); at <= slot; at++ {
		k := uint64(at - first) // a rest of less than one a slot is spread evenly as well
		if m := part + (k+1)*rest/slots - k*rest/slots; m > 0 {
			g.sums.Add(at, m, w.span)
		}
	}
}

// countValue counts the value of the field; of a folded observation that has none, what is
// known of how many they are.
func (w *watch) countValue(e *Engine, g *group, o *rule.Observation, slot uint32, flows uint64) {
	c := &w.rule.Correlation
	f := c.Condition.Field
	v := f.Of(o)
	if folded := foldedValues(f, o); folded > 0 {
		g.distinct.AddFolded(folded, slot, w.span)
		if v == (rule.Value{}) {
			return
		}
	}
	g.distinct.Add(v, slot, uint32(min(flows, math.MaxUint32)), w.span, e.cfg.Seed)
}

// foldedValues is how many distinct values of a field a folded observation stands for.
func foldedValues(f *rule.Field, o *rule.Observation) uint32 {
	switch f.Name {
	case "local":
		return o.Hosts
	case "service_port":
		return o.Ports
	case "inside":
		if o.Inside == (rule.Value{}) {
			return uint32(min(o.Folded, math.MaxUint32))
		}
	}
	return 0
}

// meet notes which rules hold. In an ordered rule one counts only after the one before it.
func (w *watch) meet(g *group, now uint32) {
	if g.met == nil {
		g.met = make([]uint32, len(w.refs))
	}
	ordered := w.rule.Correlation.Type == rule.TemporalOrdered
	for i := len(w.refs) - 1; i >= 0; i-- {
		if !w.refs[i].held {
			continue
		}
		if !ordered {
			g.met[i] = now
			continue
		}
		// met is when the chain up to here began; the latest beginning lasts longest.
		switch {
		case i == 0:
			g.met[0] = now
		case g.met[i-1] != 0:
			g.met[i] = max(g.met[i], g.met[i-1])
		}
	}
}

// oldest is the time at which a window of so many seconds begins.
func (e *Engine) oldest(seconds uint32) uint32 {
	if e.newest < seconds {
		return 0
	}
	return e.newest - seconds
}

// account brings the count of bytes up to date.
func (w *watch) account(e *Engine, g *group) {
	n := groupBytes + g.sums.Bytes() + g.distinct.Bytes() + g.track.Bytes() + g.usual.Bytes() + 4*cap(g.met)
	if g.evidence != nil {
		n += evidenceBytes
	}
	e.stats.Bytes += n - g.bytes
	w.bytes += n - g.bytes
	g.bytes = n
}

// judgeChanged judges the groups that have changed. Over contacts, counts that do not only
// grow are judged when the hour is complete.
func (w *watch) judgeChanged(e *Engine, complete bool) {
	if !complete && !w.rule.Correlation.Monotone() {
		return
	}
	if w.rule.Correlation.Type == rule.Lockstep {
		w.judgeSteps(e)
		return
	}
	if w.rule.Over == rule.Contacts { // alerts in an order of their own, whatever that of the rows
		slices.SortFunc(w.changed, func(a, b *group) int { return a.key.compare(&b.key) })
	}
	for _, g := range w.changed {
		g.changed = false
		w.judge(e, g)
	}
	w.changed = w.changed[:0]
}

// compare orders keys.
func (k *key) compare(o *key) int {
	for i := range k {
		if c := k[i].Compare(o[i]); c != 0 {
			return c
		}
	}
	return 0
}

// A measured is what a group has in its window.
type measured struct {
	n         uint64
	failure   float64 // standard error as a part of n; 0 = exact
	holds     bool
	threshold uint64
	usual     uint64
	spread    float64
	interval  float64
}

// measure counts what is in the window of a group that ends now.
func (w *watch) measure(e *Engine, g *group) (m measured) {
	c := &w.rule.Correlation
	now := e.newest / w.slot
	m.threshold = c.Condition.Min
	switch c.Type {
	case rule.EventCount, rule.ValueSum:
		m.n = g.sums.Sum(now, w.span)
		m.holds = c.Condition.Holds(m.n)
	case rule.ValueCount, rule.Rise:
		least, most := uint64(0), uint64(math.MaxUint64)
		if !c.Each.IsZero() {
			least, most = c.Each.Min, c.Each.Max
		}
		m.n, m.failure = g.distinct.Count(now, w.span, least, most)
		m.holds = c.Condition.Holds(m.n)
		if c.Type == rule.Rise {
			w.measureRise(e, g, &m)
		}
	case rule.Regular:
		m.n = g.pace.Flows()
		var ok bool
		m.interval, m.spread, ok = g.pace.Spread()
		m.holds = ok && c.Condition.Holds(m.n) && m.spread <= c.Spread
	case rule.Temporal, rule.TemporalOrdered:
		w.measureTemporal(e, g, &m)
	}
	return m
}

// measureRise compares with what is usual.
func (w *watch) measureRise(e *Engine, g *group, m *measured) {
	c := &w.rule.Correlation
	window, perDay := w.windowOfDay(e)
	known := int(e.newest-min(e.since, e.newest)) / 86400
	if known < coldDays {
		if c.Cold > 0 {
			m.threshold = max(m.threshold, c.Cold)
		}
	} else {
		m.usual = uint64(g.usual.Median(window, perDay, known))
		m.threshold = max(m.threshold, uint64(math.Ceil(c.Times*float64(m.usual))))
	}
	m.holds = c.Condition.Holds(m.n) && m.n >= m.threshold
}

// windowOfDay is the number of the window that a rule of type rise is in, since 1970, and how
// many there are in a day.
func (w *watch) windowOfDay(e *Engine) (window, perDay uint32) {
	seconds := uint32(w.rule.Correlation.Timespan.Seconds())
	return e.newest / seconds, 86400 / seconds
}

// coldDays is how many days must be known before there is something usual.
const coldDays = 3

// measureTemporal sees whether all rules have held within the window.
func (w *watch) measureTemporal(e *Engine, g *group, m *measured) {
	oldest := e.oldest(uint32(w.rule.Correlation.Timespan.Seconds()))
	m.threshold = uint64(len(w.refs))
	met := g.met
	if w.rule.Correlation.Type == rule.TemporalOrdered {
		met = g.met[len(g.met)-1:] // the whole chain; its last rule must hold now
		m.holds = met[0] != 0 && met[0] >= oldest && w.refs[len(w.refs)-1].held
		m.n = uint64(len(w.refs))
		return
	}
	for _, at := range met {
		if at != 0 && at >= oldest {
			m.n++
		}
	}
	m.holds = m.n == m.threshold
}

// judge raises an alert when the condition of a group holds.
func (w *watch) judge(e *Engine, g *group) {
	m := w.measure(e, g)
	w.held = m.holds
	if c := &w.rule.Correlation; c.Type == rule.Rise {
		window, perDay := w.windowOfDay(e)
		g.usual.Note(window, uint32(min(m.n, math.MaxUint32)), uint32(float64(c.Condition.Min)/c.Times), perDay)
	}
	if !m.holds || !w.rule.Generate {
		if g.evidence == nil && m.n >= m.threshold/2 && w.rule.Generate {
			g.evidence = &evidence{}
			w.account(e, g)
		}
		return
	}
	w.raise(e, g, &m)
}

// mostAtOnce is how many alerts of a rule wait for the owner of the engine. A rule that has so
// many is quarantined anyway, and each takes a kilobyte.
const mostAtOnce = 1000

// raise makes an alert: the first of a cool-down, or one that has doubled.
func (w *watch) raise(e *Engine, g *group, m *measured) {
	again, doubled := w.cools(e, g), doublings(m)
	if again {
		if doubled <= g.doubled || w.rule.Correlation.Type == rule.Temporal || w.rule.Correlation.Type == rule.TemporalOrdered {
			return
		}
		e.stats.Updates++
	} else {
		g.alerted, g.window = e.newest, e.newest/w.slot
		e.stats.Alerts++
	}
	g.doubled = doubled
	if w.made++; w.made > mostAtOnce {
		e.stats.Excess++
		return
	}
	e.alerts = append(e.alerts, w.alert(e, g, m, again))
}

// doublings is how often the threshold can be doubled up to what was counted.
func doublings(m *measured) uint8 {
	return uint8(max(bits.Len64(m.n/max(m.threshold, 1)), 1) - 1)
}
