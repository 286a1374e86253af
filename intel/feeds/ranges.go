package feeds

import (
	"math/bits"
	"net/netip"
	"strings"
)

// rangePrefixes gives the fewest prefixes that cover first to last, both
// included, in order. Both must be unmapped. There are at most 62 of IPv4 and 254
// of IPv6.
func rangePrefixes(first, last netip.Addr) ([]netip.Prefix, error) {
	if first.BitLen() != last.BitLen() {
		return nil, errFamilies
	}
	if last.Less(first) {
		return nil, errReversed
	}
	start := netip.PrefixFrom(first, commonBits(first, last)).Masked()
	ps := coverRange(nil, start, first, last)
	for _, p := range ps {
		if p.Bits() == 0 {
			return nil, errWhole
		}
		if p.Addr().Is4In6() {
			return nil, errMapped // a wide IPv6 range swallows all of IPv4
		}
	}
	return ps, nil
}

// coverRange appends the parts of p that lie in first to last. A part that lies
// in it as a whole is one prefix, any other is halved.
func coverRange(ps []netip.Prefix, p netip.Prefix, first, last netip.Addr) []netip.Prefix {
	low, high := p.Addr(), lastAddr(p)
	switch {
	case high.Less(first) || last.Less(low):
		return ps
	case !low.Less(first) && !last.Less(high):
		return append(ps, p)
	}
	lower := netip.PrefixFrom(low, p.Bits()+1)
	upper := netip.PrefixFrom(high, p.Bits()+1).Masked()
	return coverRange(coverRange(ps, lower, first, last), upper, first, last)
}

// commonBits counts the leading bits that two addresses of a family share.
func commonBits(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return a.BitLen()
}

// lastAddr is the highest address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// parseRange reads A-B or A - B with the given reader of addresses.
func parseRange(s string, parse func(string) (netip.Addr, error)) ([]netip.Prefix, error) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return nil, errNotRange
	}
	first, err := parse(trim(from))
	if err != nil {
		return nil, err
	}
	last, err := parse(trim(to))
	if err != nil {
		return nil, err
	}
	return rangePrefixes(first, last)
}
