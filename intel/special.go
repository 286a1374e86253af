package intel

import (
	"net/netip"
	"slices"
	"sync"

	"go4.org/netipx"
)

// A specialRange is one line of the IANA special-purpose address registries.
type specialRange struct {
	prefix netip.Prefix
	name   string
}

// globalUnicast6 is all that IANA has given out of IPv6 (RFC 4291, 2.4): whatever
// lies outside is nobody's address on the Internet.
var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// special4 and special6 follow the IANA registries of RFC 6890. The three AS112 and
// AMT networks are globally reachable, but a service that stands everywhere is
// nobody's address. Ranges within others come first, so that the best name wins.
var (
	special4 = []specialRange{
		special("0.0.0.0/8", "this network"),
		special("10.0.0.0/8", "private use"),
		special("100.64.0.0/10", "shared address space"),
		special("127.0.0.0/8", "loopback"),
		special("169.254.0.0/16", "link local"),
		special("172.16.0.0/12", "private use"),
		special("192.0.0.0/24", "IETF protocol assignments"),
		special("192.0.2.0/24", "documentation"),
		special("192.31.196.0/24", "AS112"),
		special("192.52.193.0/24", "AMT"),
		special("192.88.99.0/24", "6to4 relay anycast"),
		special("192.168.0.0/16", "private use"),
		special("192.175.48.0/24", "AS112"),
		special("198.18.0.0/15", "benchmarking"),
		special("198.51.100.0/24", "documentation"),
		special("203.0.113.0/24", "documentation"),
		special("224.0.0.0/4", "multicast"),
		special("255.255.255.255/32", "limited broadcast"),
		special("240.0.0.0/4", "reserved"),
	}
	special6 = []specialRange{
		special("::/128", "unspecified"),
		special("::1/128", "loopback"),
		special("::ffff:0:0/96", "IPv4-mapped"),
		special("64:ff9b::/96", "IPv4-IPv6 translation"),
		special("64:ff9b:1::/48", "IPv4-IPv6 translation"),
		special("100::/64", "discard only"),
		special("2001::/32", "Teredo"),
		special("2001:2::/48", "benchmarking"),
		special("2001:10::/28", "ORCHID"),
		special("2001:20::/28", "ORCHIDv2"),
		special("2001::/23", "IETF protocol assignments"),
		special("2001:db8::/32", "documentation"),
		special("2002::/16", "6to4"),
		special("2620:4f:8000::/48", "AS112"),
		special("3fff::/20", "documentation"),
		special("5f00::/16", "segment routing SIDs"),
		special("fc00::/7", "unique local"),
		special("fe80::/10", "link local"),
		special("fec0::/10", "site local"),
		special("ff00::/8", "multicast"),
	}
	// usable lie within the ranges above and are addresses like all others.
	usable = []netip.Prefix{
		netip.MustParsePrefix("192.0.0.9/32"),
		netip.MustParsePrefix("192.0.0.10/32"),
		netip.MustParsePrefix("2001:1::1/128"),
		netip.MustParsePrefix("2001:1::2/128"),
		netip.MustParsePrefix("2001:1::3/128"),
		netip.MustParsePrefix("2001:3::/32"),
		netip.MustParsePrefix("2001:4:112::/48"),
	}
)

func special(prefix, name string) specialRange {
	return specialRange{netip.MustParsePrefix(prefix), name}
}

// SpecialPurpose reports whether p overlaps, not only begins in, address space that
// no host on the Internet has for its own: the IANA special-purpose registries
// (RFC 6890) without their globally usable parts, and all IPv6 outside 2000::/3.
// name is what the space is for.
func SpecialPurpose(p netip.Prefix) (name string, overlaps bool) {
	_, name, overlaps = SpecialRange(p)
	return name, overlaps
}

// SpecialRange is SpecialPurpose with the range that p overlaps.
func SpecialRange(p netip.Prefix) (by netip.Prefix, name string, overlaps bool) {
	ranges := special4
	if p.Addr().Is6() {
		ranges = special6
	}
	for _, r := range ranges {
		if r.prefix.Overlaps(p) && !isUsable(p) {
			return r.prefix, r.name, true
		}
	}
	if p.Addr().Is6() && !covers(globalUnicast6, p) {
		return p, "outside 2000::/3", true
	}
	return netip.Prefix{}, "", false
}

// The ranges above as sets, for single addresses.
var (
	specialSet = networksOf(special4, special6)
	usableSet  = NewNetworks(usable)
)

func networksOf(lists ...[]specialRange) *Networks {
	n := new(Networks)
	for _, r := range slices.Concat(lists...) {
		n.set.Insert(r.prefix) // ::ffff:0:0/96 stays what it is
	}
	return n
}

// IsSpecial is SpecialPurpose for one address, quicker.
func IsSpecial(a netip.Addr) bool {
	if a.Is6() && !globalUnicast6.Contains(a) {
		return true
	}
	return specialSet.set.Contains(a) && !usableSet.set.Contains(a)
}

// SpecialSpace gives all addresses that IsSpecial reports. The set is shared.
var SpecialSpace = sync.OnceValue(func() *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, r := range slices.Concat(special4, special6) {
		if !r.prefix.Addr().Is4In6() { // not within 2000::/3 either
			b.AddPrefix(r.prefix)
		}
	}
	for _, u := range usable {
		b.RemovePrefix(u)
	}
	b.AddRange(netipx.IPRangeFrom(netip.IPv6Unspecified(), globalUnicast6.Addr().Prev()))
	b.AddRange(netipx.IPRangeFrom(netipx.PrefixLastIP(globalUnicast6).Next(), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")))
	s, err := b.IPSet()
	if err != nil {
		panic(err) // the ranges above are constants
	}
	return s
})

func isUsable(p netip.Prefix) bool {
	for _, u := range usable {
		if covers(u, p) {
			return true
		}
	}
	return false
}

// covers reports whether all of q lies in p.
func covers(p, q netip.Prefix) bool {
	return p.Bits() <= q.Bits() && p.Contains(q.Addr())
}

// Canonical gives p in the form in which tables hold prefixes: masked, and IPv4
// where it is an IPv4-mapped IPv6 address. It is invalid when p is. ::ffff:0:0/96, which
// has been seen on a list, becomes 0.0.0.0/0, and whoever calls must refuse that.
func Canonical(p netip.Prefix) netip.Prefix {
	p = p.Masked()
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
