package prefix

import (
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// What can be wrong with an address, a prefix or a port.
var (
	ErrNotAddress = errors.New("not an address or prefix")
	ErrNotRange   = errors.New("not a range of two addresses")
	ErrLength     = errors.New("prefix length must be 1 to 32, or 1 to 128 for IPv6")
	ErrNetmask    = errors.New("netmask is not contiguous")
	ErrWhole      = errors.New("covers the whole address space")
	errZone       = errors.New("address has a zone")
	errMapped     = errors.New("IPv4-mapped prefix shorter than /97")
	errPort       = errors.New("port must be 1 to 65535")
	errNoPort     = errors.New("not address:port")
	ErrReversed   = errors.New("range ends before it starts")
	errFamilies   = errors.New("range mixes IPv4 and IPv6")
)

// Space is the white space of ASCII, which may surround an address.
const Space = " \t\v\f\r\n"

// MaxLength is longer than any spelling of a prefix.
const MaxLength = 64

// Addr reads an address: IPv4 as four decimal octets without leading zeros,
// or IPv6 (RFC 4291 section 2.2) without zone. IPv4-mapped ones are unmapped.
func Addr(s string) (netip.Addr, error) {
	a, err := Raw(s)
	return a.Unmap(), err
}

// Raw is Addr for an address that stays IPv4-mapped if it is.
func Raw(s string) (netip.Addr, error) {
	if len(s) > MaxLength {
		return netip.Addr{}, ErrNotAddress
	}
	if strings.IndexByte(s, '%') >= 0 {
		return netip.Addr{}, errZone
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, ErrNotAddress
	}
	return a, nil
}

// Padded is Addr for the families of formats that pad octets with
// zeros: 046.101.124.074 is 46.101.124.74.
func Padded(s string) (netip.Addr, error) {
	octets := strings.Split(fit.Cut(s, MaxLength), ".")
	if len(octets) != 4 {
		return Addr(s)
	}
	var a [4]byte
	for i, o := range octets {
		v, ok := Decimal(o, 3, 255)
		if !ok {
			return netip.Addr{}, ErrNotAddress
		}
		a[i] = byte(v)
	}
	return netip.AddrFrom4(a), nil
}

// Parse reads an address, or a prefix with a length or, for IPv4, a dotted
// netmask. Host bits are masked away, length 0 is refused.
func Parse(s string) (netip.Prefix, error) {
	addr, length, slash := strings.Cut(s, "/")
	a, err := Raw(addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !slash {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := parseLength(a, length)
	if err != nil {
		return netip.Prefix{}, err
	}
	return Make(a, n)
}

// parseLength reads what stands behind the slash of a prefix.
func parseLength(a netip.Addr, s string) (int, error) {
	if a.Is4() && strings.IndexByte(s, '.') >= 0 {
		return parseNetmask(s)
	}
	n, ok := Decimal(s, 3, a.BitLen())
	if !ok {
		return 0, ErrLength
	}
	return n, nil
}

func parseNetmask(s string) (int, error) {
	m, err := Raw(s)
	if err != nil || !m.Is4() {
		return 0, ErrNetmask
	}
	return MaskLength(Bits32(m))
}

// MaskLength counts the leading ones of a netmask.
func MaskLength(v uint32) (int, error) {
	ones := bits.LeadingZeros32(^v)
	if v<<ones != 0 {
		return 0, ErrNetmask
	}
	return ones, nil
}

// Make masks and unmaps. The length is that of the address as written.
func Make(a netip.Addr, n int) (netip.Prefix, error) {
	if a.Is4In6() && n > 0 {
		if n < 96 {
			return netip.Prefix{}, errMapped
		}
		a, n = a.Unmap(), n-96
	}
	if n == 0 {
		return netip.Prefix{}, ErrWhole
	}
	p, err := a.Prefix(n)
	if err != nil {
		return netip.Prefix{}, ErrLength
	}
	return p, nil
}

// Token reads what one field of a plain list holds: a prefix, or an address
// with port as v4:port, [v6] or [v6]:port. Port 0 means that there was none.
func Token(s string) (netip.Prefix, uint16, error) {
	switch {
	case strings.HasPrefix(s, "["):
		return parseBracketed(s)
	case strings.Count(s, ":") == 1 && strings.IndexByte(s, '.') > 0:
		return AddrPort(s)
	}
	p, err := Parse(s)
	return p, 0, err
}

// parseBracketed reads [v6] and [v6]:port.
func parseBracketed(s string) (netip.Prefix, uint16, error) {
	addr, rest, closed := strings.Cut(s[1:], "]")
	if !closed || strings.IndexByte(addr, ':') < 0 {
		return netip.Prefix{}, 0, ErrNotAddress
	}
	a, err := Addr(addr)
	if err != nil {
		return netip.Prefix{}, 0, err
	}
	p := netip.PrefixFrom(a, a.BitLen())
	if rest == "" {
		return p, 0, nil
	}
	if rest[0] != ':' {
		return netip.Prefix{}, 0, ErrNotAddress
	}
	port, err := Port(rest[1:])
	return p, port, err
}

// AddrPort splits address and port at the last colon: IPv6 may come with or
// without brackets. The port must be there.
func AddrPort(s string) (netip.Prefix, uint16, error) {
	if strings.HasPrefix(s, "[") {
		p, port, err := parseBracketed(s)
		if err == nil && port == 0 {
			err = errNoPort
		}
		return p, port, err
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.Prefix{}, 0, errNoPort
	}
	a, err := Addr(s[:i])
	if err != nil {
		return netip.Prefix{}, 0, err
	}
	port, err := Port(s[i+1:])
	return netip.PrefixFrom(a, a.BitLen()), port, err
}

// Port reads a port of 1 to 65535.
func Port(s string) (uint16, error) {
	n, ok := Decimal(s, 5, 65535)
	if !ok || n == 0 {
		return 0, errPort
	}
	return uint16(n), nil
}

// Decimal reads 1 to digits ASCII digits, no sign, with a value of at most most.
func Decimal(s string, digits, most int) (int, bool) {
	if len(s) == 0 || len(s) > digits {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

// Bits32 gives an IPv4 address as a number.
func Bits32(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// Addr32 is the inverse of Bits32.
func Addr32(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

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
	first, err := parse(strings.Trim(from, Space))
	if err != nil {
		return nil, err
	}
	last, err := parse(strings.Trim(to, Space))
	if err != nil {
		return nil, err
	}
	return OfRange(first, last)
}
