package lookup

import (
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel"
)

// The widest prefixes that a feed may list.
const (
	minBits4 = 8
	minBits6 = 19
)

// guards stand between the feeds and a table, and the table keeps them: the
// allowlist stops single addresses of listed prefixes too. The zero value guards
// nothing but what needs no policy.
type guards struct {
	allow, home *intel.Networks
	lists       []*intel.Warninglist // these stop nothing before a look-up
	embedding   *intel.Embedding
}

// judge gives the guard that stops p, in the order of precedence; Reason is empty
// when none does. The width comes first: an entry as wide as that means nothing about
// the networks it swallows.
func (g *guards) judge(p netip.Prefix, o Origin) Suppression {
	switch {
	case p.Bits() == 0:
		return Suppression{Reason: ReasonDefaultRoute}
	case o == OriginOperator:
		return Suppression{}
	case tooWide(p):
		return Suppression{Reason: ReasonTooWide}
	}
	if by, ok := g.allow.Covering(p); ok {
		return Suppression{Reason: ReasonAllow, By: by}
	}
	if by, ok := g.home.Overlapping(p); ok {
		return Suppression{Reason: ReasonHome, By: by}
	}
	if by, name, ok := g.special(p); ok {
		return Suppression{Reason: ReasonSpecialPurpose, By: by, Name: name}
	}
	return Suppression{}
}

// special is SpecialRange with the operator's own prefixes for NAT64.
func (g *guards) special(p netip.Prefix) (by netip.Prefix, name string, overlaps bool) {
	if by, ok := g.embedding.Covering(p); ok {
		return by, "IPv4-IPv6 translation", true
	}
	return intel.SpecialRange(p)
}

func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < minBits4
	}
	return p.Bits() < minBits6
}

// Outside reports whether a feed could list the address, unmapped, and make it a hit: it
// is nobody's private or reserved space, none of ours, not allowed and no
// infrastructure. It is the judgement on a prefix of one address, but quick enough to
// be asked for the addresses of every flow.
func (t *Table) Outside(a netip.Addr) bool {
	g := &t.guards
	if !a.IsValid() || intel.IsSpecial(a) {
		return false
	}
	if a.Is6() {
		if _, own := g.embedding.Covering(netip.PrefixFrom(a, 128)); own {
			return false
		}
	}
	if g.home != nil && g.home.Contains(a) || g.allow != nil && g.allow.Contains(a) {
		return false
	}
	return g.warned(a, intel.ClassInfrastructure) == nil
}

// warned gives the first list of a class that has the address.
func (g *guards) warned(a netip.Addr, class intel.Class) *intel.Warninglist {
	for _, w := range g.lists {
		if w.Class == class && w.Contains(a) {
			return w
		}
	}
	return nil
}

// touching gives the lists that overlap p, for people.
func (g *guards) touching(p netip.Prefix) []Suppression {
	var out []Suppression
	for _, w := range g.lists {
		if by, ok := w.Overlapping(p); ok {
			out = append(out, Suppression{
				Indicator: intel.Indicator{Prefix: p}, Reason: Reason(w.Class), By: by, Name: w.Name,
			})
		}
	}
	return out
}

// count notes for each list that it touches an entry of a feed.
func (g *guards) count(p netip.Prefix, entries []int) {
	for i, w := range g.lists {
		if w.Overlaps(p) {
			entries[i]++
		}
	}
}

// sharedFactor is what a listing in shared space counts, as 1/sharedFactor.
const sharedFactor = 2

// weigh changes what the listings of an address say by the lists that have it. The
// operator's own word stays as it is; own reports which that is.
func (g *guards) weigh(a netip.Addr, list []intel.Indicator, own []bool) {
	if len(g.lists) == 0 {
		return
	}
	halve := g.warned(a, intel.ClassShared) != nil && !corroborated(list)
	label := g.label(a)
	for i := range list {
		if own[i] {
			continue
		}
		if halve && list[i].Port == 0 {
			list[i].Score = max(list[i].Score/sharedFactor, 1)
		}
		if label != "" && !worseThanScanning(list[i].Category) {
			list[i].Category = label
		}
	}
}

// label gives the category that the lists know better than the feeds.
func (g *guards) label(a netip.Addr) string {
	switch {
	case g.warned(a, intel.ClassSinkhole) != nil:
		return string(intel.ClassSinkhole)
	case g.warned(a, intel.ClassScanner) != nil:
		return string(intel.ClassScanner)
	}
	return ""
}

// worseThanScanning are the categories that a benign label must not hide. A sinkhole
// was a c2 once, and the feeds may not know that it is none any more: but who talks
// to it is infected all the same.
func worseThanScanning(category string) bool { return category == "c2" || category == "malware" }

// corroborated reports whether two feeds or more list the address.
func corroborated(list []intel.Indicator) bool {
	return slices.ContainsFunc(list, func(i intel.Indicator) bool { return i.Feed != list[0].Feed })
}

// Unlisted gives the forms of an address, unmapped, that a block list elsewhere may be
// consulted for: the address itself, and the IPv4 address in it (see Embedding), if each is
// Outside; an invalid one is none. There are none when the table has an entry for either.
// What the operator allows of either form is no question for the IPv4 address, as in Find.
func (t *Table) Unlisted(a netip.Addr) (forms [2]netip.Addr) {
	if t.set.Contains(a) {
		return forms
	}
	if a.Is6() {
		if in, ok := t.Embedded(a); ok && t.Outside(in) && !t.allowed(a) {
			if t.set.Contains(in) {
				return forms
			}
			forms[1] = in
		}
	}
	if t.Outside(a) {
		forms[0] = a
	}
	return forms
}
