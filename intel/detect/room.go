package detect

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/window"
)

// A candidate is a group that may make room for others.
type candidate struct {
	rank uint64 // by progress, then by the time of the last observation
	tie  uint64 // of groups with the same rank; no order that a sender could use
	w    *watch
	g    *group
}

// compare orders candidates: the first goes first.
func (c candidate) compare(o candidate) int {
	switch {
	case c.rank != o.rank:
		return cmp.Compare(c.rank, o.rank)
	case c.tie != o.tie:
		return cmp.Compare(c.tie, o.tie)
	}
	return c.g.key.compare(&o.g.key)
}

// sweep makes room: groups whose window is empty go, and then those that have come least far.
// Each rule has an equal share of the room that others cannot take: whoever floods one rule
// does not blind the rest. It looks at every group, therefore a quarter goes at once.
func (e *Engine) sweep() {
	all := make([]candidate, 0, e.stats.Groups)
	rules := 0
	for _, w := range e.watches {
		if w.rule.Correlation.Type != rule.Base {
			rules++
		}
		for _, g := range w.groups {
			if w.empty(e, g) {
				e.remove(w, g)
			} else {
				all = append(all, candidate{w.rank(e, g), g.key.hash(e.cfg.Seed), w, g})
			}
		}
	}
	maxGroups, maxBytes := e.cfg.MaxGroups/4*3, e.cfg.MaxBytes/4*3
	groups, bytes := e.stats.Groups > maxGroups, e.stats.Bytes > maxBytes
	for step := len(all)/4 + 1; (groups || bytes) && len(all) > 0; {
		n := min(step, len(all))
		least(all, n)
		for _, c := range all[:n] {
			if groups && len(c.w.groups) > maxGroups/rules || bytes && c.w.bytes > maxBytes/rules {
				e.remove(c.w, c.g)
				e.stats.Dropped++
				groups, bytes = e.stats.Groups > maxGroups, e.stats.Bytes > maxBytes
			}
		}
		all = all[n:]
	}
	for _, w := range e.watches {
		w.tidy()
	}
}

// least puts the n least candidates in front, in their order: Hoare's quickselect, which is
// faster than to sort all. Candidates come in the random order of maps; any pivot is as good.
func least(all []candidate, n int) {
	for low, high := 0, len(all)-1; low < high; {
		pivot, i, j := all[low+(high-low)/2], low, high
		for i <= j {
			for all[i].compare(pivot) < 0 {
				i++
			}
			for all[j].compare(pivot) > 0 {
				j--
			}
			if i <= j {
				all[i], all[j] = all[j], all[i]
				i, j = i+1, j-1
			}
		}
		switch { // up to j are those before the pivot, from i on those behind it
		case n <= j:
			high = j
		case n > i:
			low = i
		default:
			low = high
		}
	}
	slices.SortFunc(all[:n], candidate.compare)
}

// tidy gives back the memory of groups that were removed: a map never shrinks, and grows when
// others come in their place.
func (w *watch) tidy() {
	w.changed = slices.DeleteFunc(w.changed, func(g *group) bool { return g.gone })
	if len(w.groups) < w.most/8*7 {
		groups := make(map[key]*group, len(w.groups))
		maps.Copy(groups, w.groups)
		w.groups, w.most = groups, len(groups)
	}
}

// rank puts groups in the order in which they may go.
func (w *watch) rank(e *Engine, g *group) uint64 {
	return uint64(math.Float32bits(float32(w.progress(e, g))))<<32 | uint64(g.last*w.slot)
}

// hash mixes a key.
func (k *key) hash(seed uint64) uint64 {
	for i := range k {
		hi, lo := bits.Mul64(k[i].Lo^seed, 0x9e3779b97f4a7c15)
		seed = hi ^ lo ^ k[i].Hi
		hi, lo = bits.Mul64(seed, 0xd6e8feb86659fd93)
		seed = hi ^ lo
	}
	return seed
}

// empty reports whether nothing of the group is needed any more.
func (w *watch) empty(e *Engine, g *group) bool {
	if g.changed {
		return false
	}
	quiet := e.newest - min(g.last*w.slot, e.newest)
	if quiet < uint32(w.rule.Correlation.Timespan.Seconds())+w.slot {
		return false
	}
	return !w.cools(e, g) && (g.usual.Last() == 0 || quiet > window.UsualDays*86400)
}

// cools reports whether a group was alerted, and its cool-down is not over.
func (w *watch) cools(e *Engine, g *group) bool {
	return g.alerted != 0 && e.newest-g.alerted < uint32(w.rule.Cooldown.Seconds())
}

// progress is how far a group has come towards its condition; from 1 on it holds.
func (w *watch) progress(e *Engine, g *group) float64 {
	c := &w.rule.Correlation
	switch {
	case w.cools(e, g):
		return math.MaxUint16 // else it would be alerted again at once
	case c.Type == rule.Lockstep:
		return float64(g.track.Ports(e.oldest(uint32(c.Timespan.Seconds())))) / float64(c.Condition.Min)
	}
	m := w.measure(e, g)
	p := float64(m.n) / float64(max(m.threshold, 1))
	if g.usual.Last() != 0 { // without what is usual the next usual day would look like a rise
		p = max(p, 0.5)
	}
	return p
}

// remove removes a group.
func (e *Engine) remove(w *watch, g *group) {
	delete(w.groups, g.key)
	e.stats.Groups--
	e.stats.Bytes -= g.bytes
	w.bytes -= g.bytes
	g.gone = true
}
