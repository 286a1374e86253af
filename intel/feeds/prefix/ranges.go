package prefix

import (
	"math/bits"
	"net/netip"
	"strings"

	"go4.org/netipx"
)

// OfRange gives the fewest prefixes that cover first to last, both
// included, in order. Both must be unmapped. There are at most 62 of IPv4 and 254
// of IPv6.
func OfRange(first, last netip.Addr) ([]netip.Prefix, error) {
	if first.BitLen() != last.BitLen() {
		return nil, errFamilies
	}
	if last.Less(first) {
		return nil, ErrReversed
	}
	ps := netipx.IPRangeFrom(first, last).Prefixes()
	for _, p := range ps {
		if p.Bits() == 0 {
			return nil, ErrWhole
		}
		if p.Addr().Is4In6() {
			return nil, errMapped // a wide IPv6 range swallows all of IPv4
		}
	}
	return ps, nil
}

// CommonBits counts the leading bits that two addresses of a family share.
func CommonBits(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return a.BitLen()
}

// Range reads A-B or A - B with the given reader of addresses.
func Range(s string, parse func(string) (netip.Addr, error)) ([]netip.Prefix, error) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return nil, ErrNotRange
	}
	first, err := parse(strings.Trim(from, " \t\v\f\r\n"))
	if err != nil {
		return nil, err
	}
	last, err := parse(strings.Trim(to, " \t\v\f\r\n"))
	if err != nil {
		return nil, err
	}
	return OfRange(first, last)
}
