package intel

import (
	"iter"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Networks is an immutable set of prefixes that asks no evidence: the home
// networks, the operator's allowlist. The zero value is the empty set. It must
// not be copied; readers need no lock.
type Networks struct{ set bart.Lite }

// NewNetworks makes the set of prefixes. Host bits are ignored, IPv4-mapped
// prefixes are IPv4, invalid ones are skipped.
func NewNetworks(prefixes []netip.Prefix) *Networks {
	n := new(Networks)
	for _, p := range prefixes {
		n.set.Insert(Canonical(p))
	}
	return n
}

// DefaultHome gives the networks that are ours when the operator names none:
// private use (RFC 1918, RFC 4193), and link-local space (RFC 3927, RFC 4291), whose
// addresses are on our own wires by definition. The shared space 100.64.0.0/10 (RFC
// 6598) is not among them: behind a carrier's NAT it is the carrier's and its other
// customers', and a carrier knows its own networks and names them.
func DefaultHome() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("fe80::/10"),
	}
}

// Contains reports whether a is in one of the networks. An IPv4-mapped address is
// taken as IPv4, a zone is ignored, an invalid address is in none.
func (n *Networks) Contains(a netip.Addr) bool { return n.set.Contains(a.Unmap()) }

// Len gives the number of distinct prefixes in the set.
func (n *Networks) Len() int { return n.set.Size() }

// Covering gives the longest prefix of the set that covers all of p.
func (n *Networks) Covering(p netip.Prefix) (netip.Prefix, bool) {
	return n.set.LookupPrefixLPM(p)
}

// Overlapping gives a prefix of the set that shares addresses with p: the longest
// that covers p, else the first one inside p.
func (n *Networks) Overlapping(p netip.Prefix) (netip.Prefix, bool) {
	if !n.set.OverlapsPrefix(p) {
		return netip.Prefix{}, false
	}
	if by, ok := n.Covering(p); ok {
		return by, true
	}
	for by := range n.set.Subnets(p) {
		return by, true
	}
	return netip.Prefix{}, false
}

// Prefixes gives all prefixes of the set, in no order.
func (n *Networks) Prefixes() iter.Seq[netip.Prefix] { return n.set.All() }

// Within gives the prefixes of the set that lie in p, p itself included, in order.
func (n *Networks) Within(p netip.Prefix) iter.Seq[netip.Prefix] { return n.set.Subnets(p) }
