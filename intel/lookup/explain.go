package lookup

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup/listings"
)

// Explain returns what stops, or would stop, a listing of p: first the entries that
// were refused when the table was built and that cover p or lie within it, then the
// guards that p itself meets: allowlist, home networks, special-purpose space,
// warninglists and exclusions of feeds.
func (t *Table) Explain(p netip.Prefix) []Suppression {
	if !p.IsValid() {
		return nil
	}
	p = intel.Canonical(p)
	var out []Suppression
	for refused, e := range t.set.Aside {
		if refused.Overlaps(p) {
			out = append(out, t.whyRefused(refused, e))
		}
	}
	out = append(out, t.guards.meet(p)...)
	return append(out, t.exclusions(p)...)
}

// readerReasons are those for which the reader of a feed keeps an entry out, by the mark
// that the entry is set aside with; 0 = a guard has refused it.
var readerReasons = [...]Reason{"", ReasonExpired, ReasonOffline, ReasonLowScore}

// whyRefused gives the reason of the reader, or that of the guards, which judge again.
func (t *Table) whyRefused(p netip.Prefix, e *listings.Entry) Suppression {
	why := Suppression{Reason: readerReasons[e.Mark()]}
	if why.Reason == "" {
		why = t.guards.judge(p, OriginFeed)
	}
	if why.Reason == "" {
		why.Reason = ReasonOverCap // no guard stops it
	}
	why.Indicator = t.set.Indicator(p, e)
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
		return len(out) < listings.MaxListings
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
