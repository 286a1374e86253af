package intel

import "net/netip"

// The widest prefixes that a feed may list.
const (
	minBits4 = 8
	minBits6 = 19
)

// guards stand between the feeds and a table, and the table keeps them: the
// allowlist stops single addresses of listed prefixes too. The zero value guards
// nothing but what needs no policy.
type guards struct {
	allow, home *Networks
	lists       []*Warninglist // these stop nothing before a look-up
	embedding   *Embedding
}

// judge gives the guard that stops p, in the order of precedence; Reason is empty
// when none does. The width comes first: an entry as wide as that says nothing of
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
	if by, ok := g.allow.covering(p); ok {
		return Suppression{Reason: ReasonAllow, By: by}
	}
	if by, ok := g.home.overlapping(p); ok {
		return Suppression{Reason: ReasonHome, By: by}
	}
	if by, name, ok := g.special(p); ok {
		return Suppression{Reason: ReasonSpecialPurpose, By: by, Name: name}
	}
	return Suppression{}
}

// special is specialOf with the operator's own prefixes for NAT64.
func (g *guards) special(p netip.Prefix) (by netip.Prefix, name string, overlaps bool) {
	if by, ok := g.embedding.covering(p); ok {
		return by, "IPv4-IPv6 translation", true
	}
	return specialOf(p)
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
	if !a.IsValid() || specialAddr(a) {
		return false
	}
	if a.Is6() {
		if _, own := g.embedding.covering(netip.PrefixFrom(a, 128)); own {
			return false
		}
	}
	if g.home != nil && g.home.Contains(a) || g.allow != nil && g.allow.Contains(a) {
		return false
	}
	return g.warned(a, ClassInfrastructure) == nil
}

// Unlisted gives the forms of an address, unmapped, that a block list elsewhere may be
// consulted for: the address itself, and the IPv4 address in it (see Embedding), if each is
// Outside; an invalid one is none. There are none when the table has an entry for either.
// What the operator allows of either form is no question for the IPv4 address, as in Find.
func (t *Table) Unlisted(a netip.Addr) (forms [2]netip.Addr) {
	if t.Contains(a) {
		return forms
	}
	if a.Is6() {
		if in, ok := t.Embedded(a); ok && t.Outside(in) && !t.allowed(a) {
			if t.Contains(in) {
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
