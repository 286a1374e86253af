package lookup

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
)

// stopped is an entry that a guard kept out of the table.
type stopped struct {
	prefix netip.Prefix
	entry
}

// Explain tells what stops, or would stop, a listing of p: first the entries that
// were refused when the table was built and that cover p or lie within it, then the
// guards that p itself meets: allowlist, home networks, special-purpose space,
// warninglists and exclusions of feeds.
func (t *Table) Explain(p netip.Prefix) []Suppression {
	if !p.IsValid() {
		return nil
	}
	p = intel.Canonical(p)
	var out []Suppression
	for i := range t.stopped {
		if s := &t.stopped[i]; s.prefix.Overlaps(p) {
			out = append(out, t.whyStopped(s))
		}
	}
	out = append(out, t.guards.meet(p)...)
	return append(out, t.exclusions(p)...)
}

// whyStopped asks the guards again.
func (t *Table) whyStopped(s *stopped) Suppression {
	if r := s.reason(); r != "" {
		return Suppression{Indicator: t.indicator(s.prefix, &s.entry), Reason: r}
	}
	why := t.guards.judge(s.prefix, s.origin())
	if why.Reason == "" {
		why.Reason = ReasonOverCap // no guard minds it
	}
	why.Indicator = t.indicator(s.prefix, &s.entry)
	return why
}

// meet gives every guard that p overlaps.
func (g *guards) meet(p netip.Prefix) []Suppression {
	var out []Suppression
	add := func(r Reason, by netip.Prefix, name string, ok bool) {
		if ok {
			out = append(out, Suppression{Indicator: intel.Indicator{Prefix: p}, Reason: r, By: by, Name: name})
		}
	}
	if g.allow != nil {
		by, ok := g.allow.Overlapping(p)
		add(ReasonAllow, by, "", ok)
	}
	if g.home != nil {
		by, ok := g.home.Overlapping(p)
		add(ReasonHome, by, "", ok)
	}
	by, name, ok := g.special(p)
	add(ReasonSpecialPurpose, by, name, ok)
	return append(out, g.touching(p)...)
}

// exclusions gives the exclusions of feeds that cover p or lie within it, at most as
// many as Listings gives.
func (t *Table) exclusions(p netip.Prefix) []Suppression {
	var out []Suppression
	if t.exclude == nil {
		return out
	}
	add := func(by netip.Prefix, feeds []uint32) bool {
		for _, f := range feeds {
			ind := intel.Indicator{Prefix: p, Feed: t.feeds[f].Feed}
			out = append(out, Suppression{Indicator: ind, Reason: ReasonExcluded, By: by})
		}
		return len(out) < maxListings
	}
	for by, feeds := range t.exclude.Supernets(p) {
		if !add(by, feeds) {
			return out
		}
	}
	for by, feeds := range t.exclude.Subnets(p) {
		if by != p && !add(by, feeds) {
			return out
		}
	}
	return out
}
