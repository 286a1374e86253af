package detect

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/window"
)

// An Alert is what a rule has found in one group.
type Alert struct {
	// ID is of version 8, made of the rule, the group, the window and how often the count has
	// doubled: a replay makes the same.
	ID   uuid.UUID
	Rule *rule.Rule
	// Group are the fields that the rule groups by, with their values.
	Group []Pair
	// Update is set when the group was alerted before and has doubled since.
	Update bool
	// Count is what was counted, Failure its standard error as a part of it, 0 = exact.
	Count   uint64
	Failure float64
	// Threshold is what Count had to reach, Usual what is usual, where the rule compares with that.
	Threshold, Usual uint64
	// From and To are the window; To is the time of receipt of the latest observation.
	From, To time.Time
	// Sources, Targets and Ports are the most frequent of the window, at most 8 each.
	Sources, Targets, Ports []Share
	// Histogram is how many values were seen so many times, by times.
	Histogram []Bar
	// Interval and Spread are of a rule of type regular.
	Interval time.Duration
	Spread   float64
	// TLP is the rank of the most restricted label of all listings that the group has met, see
	// intel.TLPRank; 0 = none.
	TLP uint8
	// Outside and Inside are the ends, where the alert is about one: zero = several.
	Outside, Inside rule.Value
}

// A Pair is a field and its value as text.
type Pair struct{ Field, Value string }

// A Share is a value and how many flows it had.
type Share struct {
	Value string
	Count uint64
}

// A Bar is how many values were seen so many times.
type Bar struct{ Times, Values uint64 }

// String gives field=value field=value.
func pairs(list []Pair) string {
	parts := make([]string, len(list))
	for i, p := range list {
		parts[i] = p.Field + "=" + p.Value
	}
	return strings.Join(parts, " ")
}

// alert makes the alert of a group.
func (w *watch) alert(e *Engine, g *group, m *measured, update bool) Alert {
	a := Alert{
		Rule: w.rule, Group: w.pairs(e, &g.key), Update: update, Count: m.n, Failure: m.failure,
		Threshold: m.threshold, Usual: m.usual, Spread: m.spread, TLP: g.tlp,
		Interval: time.Duration(m.interval * float64(time.Second)), To: time.Unix(int64(max(e.newest, e.latest)), 0).UTC(),
	}
	a.From = a.To.Add(-w.rule.Correlation.Timespan)
	a.ID = identify(w.rule.Name, pairs(a.Group), g.window, g.doubled)
	for i, f := range w.rule.Correlation.GroupBy {
		switch f.Name {
		case "outside", "offender":
			a.Outside = g.key[i]
		case "inside", "local":
			a.Inside = g.key[i]
		}
	}
	if g.evidence != nil {
		g.evidence.show(&a)
	}
	if t := w.rule.Correlation.Type; t == rule.ValueCount || t == rule.Rise {
		w.showValues(e, g, &a)
	}
	return a
}

func (w *watch) pairs(e *Engine, k *key) (list []Pair) {
	for i, f := range w.rule.Correlation.GroupBy {
		list = append(list, Pair{f.Name, f.Format(k[i], e.texts.text)})
	}
	return list
}

// identify makes the id of an alert (RFC 9562, section 5.8).
func identify(name, group string, slot uint32, doubled uint8) (id uuid.UUID) {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(group))
	h.Write(binary.BigEndian.AppendUint32([]byte{0}, slot))
	h.Write([]byte{doubled})
	copy(id[:], h.Sum(nil))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id
}

const mostShares = 8

// showValues shows the values that were counted, and how often each was seen.
func (w *watch) showValues(e *Engine, g *group, a *Alert) {
	f := w.rule.Correlation.Condition.Field
	seen, scale := g.distinct.Values(e.newest/w.slot, w.span)
	shares := make([]Share, 0, mostShares)
	times := make(map[uint64]uint64)
	for i, s := range seen {
		times[uint64(s.Count)] += scale
		if i < mostShares {
			shares = append(shares, Share{f.Format(s.Value, e.texts.text), uint64(s.Count)})
		}
	}
	for n, values := range times {
		a.Histogram = append(a.Histogram, Bar{n, values})
	}
	slices.SortFunc(a.Histogram, func(x, y Bar) int { return cmp.Compare(x.Times, y.Times) })
	switch f.Name {
	case "outside", "offender":
		a.Sources = shares
	case "inside", "local":
		a.Targets = shares
	case "service_port":
		a.Ports = shares
	}
}

// An evidence has the most frequent ends and ports of a group (the space-saving algorithm of
// Metwally, 2005). It is there only for groups that have come half the way.
type evidence struct{ sources, targets, ports heavy }

const evidenceBytes = 640 // measured

type heavy struct {
	n    int
	list [mostShares]struct {
		value rule.Value
		count uint64
	}
}

func (h *heavy) add(v rule.Value, n uint64) {
	least := 0
	for i := range h.n {
		if h.list[i].value == v {
			h.list[i].count = flow.Sum(h.list[i].count, n)
			return
		}
		if h.list[i].count < h.list[least].count {
			least = i
		}
	}
	if h.n < mostShares {
		least = h.n
		h.n++
	}
	h.list[least].value = v
	h.list[least].count = flow.Sum(h.list[least].count, n)
}

func (h *heavy) shares(format func(rule.Value) string) (list []Share) {
	for _, x := range h.list[:h.n] {
		if x.value != (rule.Value{}) {
			list = append(list, Share{format(x.value), x.count})
		}
	}
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return list
}

func (x *evidence) add(o *rule.Observation) {
	n := max(o.Flows, 1)
	x.sources.add(o.Outside, n)
	x.targets.add(o.Inside, n)
	x.ports.add(rule.Value{Lo: uint64(o.ServicePort)}, n)
}

func (x *evidence) show(a *Alert) {
	address := func(v rule.Value) string { return v.Addr().Unmap().String() }
	a.Sources, a.Targets = x.sources.shares(address), x.targets.shares(address)
	a.Ports = x.ports.shares(func(v rule.Value) string { return strconv.FormatUint(v.Lo, 10) })
}

// judgeSteps finds addresses that touch the same ports of a host in the same seconds. Only
// those that have touched enough ports are compared, and of a host at most mostPartners.
func (w *watch) judgeSteps(e *Engine) {
	c := &w.rule.Correlation
	oldest := e.oldest(w.kept())
	least := int(min(c.Condition.Min, math.MaxInt32))
	changed := make(map[key]bool)
	for _, g := range w.changed {
		g.changed = false
		if g.track.Ports(oldest) >= least {
			changed[w.host(g)] = true
		}
	}
	w.changed = w.changed[:0]
	if len(changed) == 0 {
		return
	}
	tracks := make(map[key][]*group)
	for _, g := range w.groups {
		if k := w.host(g); changed[k] && g.track.Ports(oldest) >= least {
			tracks[k] = append(tracks[k], g)
		}
	}
	hosts := make([]key, 0, len(tracks))
	for k := range tracks {
		hosts = append(hosts, k)
	}
	slices.SortFunc(hosts, func(a, b key) int { return a.compare(&b) })
	for _, k := range hosts {
		w.judgeHost(e, k, tracks[k], oldest)
	}
}

const mostPartners = 64

// kept is for how many seconds touches are kept: a window and an hour, which is the longest
// time between two looks at them, so that each window is seen whole.
func (w *watch) kept() uint32 { return uint32(w.rule.Correlation.Timespan.Seconds()) + hour }

// host is the key of a group without the address outside.
func (w *watch) host(g *group) key {
	k := g.key
	k[len(w.by)-1] = rule.Value{}
	return k
}

// judgeHost compares all that touch one host.
func (w *watch) judgeHost(e *Engine, k key, all []*group, oldest uint32) {
	c := &w.rule.Correlation
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.track.Ports(oldest), a.track.Ports(oldest)), a.key.compare(&b.key))
	})
	all = all[:min(len(all), mostPartners)]
	within := uint32(c.Within.Seconds())
	steps := make(map[*group]uint64)
	var ports []window.Touch
	var most uint64
	for i, a := range all {
		for _, b := range all[:i] {
			shared := window.InStep(&a.track, &b.track, within, oldest, uint32(c.Timespan.Seconds()), func(shared, fewest int) bool {
				return c.Condition.Holds(uint64(shared)) && float64(shared) >= c.Share*float64(fewest)
			})
			n := uint64(len(shared))
			if n == 0 {
				continue
			}
			steps[a], steps[b] = max(steps[a], n), max(steps[b], n)
			if n > most {
				most, ports = n, shared
			}
		}
	}
	if most == 0 {
		return
	}
	first := w.firstOf(steps)
	m := measured{n: most, threshold: c.Condition.Min, holds: true}
	before := len(e.alerts)
	w.raise(e, first, &m)
	for g := range steps {
		for i := before; i < len(e.alerts); i++ {
			e.alerts[i].TLP = max(e.alerts[i].TLP, g.tlp)
		}
	}
	for g := range steps { // whoever is in step belongs to this alert for as long
		g.alerted, g.window, g.doubled = first.alerted, first.window, first.doubled
	}
	for i := before; i < len(e.alerts); i++ {
		w.showSteps(e, &e.alerts[i], steps, ports)
	}
}

// firstOf is the group that carries the alert of a host: one that was alerted, else the first.
func (w *watch) firstOf(steps map[*group]uint64) (first *group) {
	for g := range steps {
		if first == nil || g.alerted > first.alerted || g.alerted == first.alerted && g.key.compare(&first.key) < 0 {
			first = g
		}
	}
	return first
}

// showSteps shows who was in step, and where.
func (w *watch) showSteps(e *Engine, a *Alert, steps map[*group]uint64, ports []window.Touch) {
	a.Sources, a.Ports = nil, nil
	for g, n := range steps {
		a.Sources = append(a.Sources, Share{g.key[len(w.by)-1].Addr().Unmap().String(), n})
	}
	slices.SortFunc(a.Sources, func(x, y Share) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), strings.Compare(x.Value, y.Value))
	})
	a.Sources = a.Sources[:min(len(a.Sources), mostShares)]
	for _, t := range ports[:min(len(ports), 2*mostShares)] {
		a.Ports = append(a.Ports, Share{strconv.Itoa(int(t.Port)), 1})
	}
}
