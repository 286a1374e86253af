package feeds

import (
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// What can be wrong with an address, a prefix or a port.
var (
	errNotAddress = errors.New("not an address or prefix")
	errNotRange   = errors.New("not a range of two addresses")
	errLength     = errors.New("prefix length must be 1 to 32, or 1 to 128 for IPv6")
	errNetmask    = errors.New("netmask is not contiguous")
	errWhole      = errors.New("covers the whole address space")
	errZone       = errors.New("address has a zone")
	errMapped     = errors.New("IPv4-mapped prefix shorter than /97")
	errPort       = errors.New("port must be 1 to 65535")
	errNoPort     = errors.New("not address:port")
	errReversed   = errors.New("range ends before it starts")
	errFamilies   = errors.New("range mixes IPv4 and IPv6")
)

// maxToken is longer than any spelling of a prefix.
const maxToken = 64

// parseAddr reads an address: IPv4 as four decimal octets without leading zeros,
// or IPv6 (RFC 4291 section 2.2) without zone. IPv4-mapped ones are unmapped.
func parseAddr(s string) (netip.Addr, error) {
	a, err := parseRaw(s)
	return a.Unmap(), err
}

func parseRaw(s string) (netip.Addr, error) {
	if len(s) > maxToken {
		return netip.Addr{}, errNotAddress
	}
	if strings.IndexByte(s, '%') >= 0 {
		return netip.Addr{}, errZone
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errNotAddress
	}
	return a, nil
}

// parsePadded is parseAddr for the families of formats that pad octets with
// zeros: 046.101.124.074 is 46.101.124.74.
func parsePadded(s string) (netip.Addr, error) {
	octets := strings.Split(fit.Cut(s, maxToken), ".")
	if len(octets) != 4 {
		return parseAddr(s)
	}
	var a [4]byte
	for i, o := range octets {
		v, ok := decimal(o, 3, 255)
		if !ok {
			return netip.Addr{}, errNotAddress
		}
		a[i] = byte(v)
	}
	return netip.AddrFrom4(a), nil
}

// parsePrefix reads an address, or a prefix with a length or, for IPv4, a dotted
// netmask. Host bits are masked away, length 0 is refused.
func parsePrefix(s string) (netip.Prefix, error) {
	addr, length, slash := strings.Cut(s, "/")
	a, err := parseRaw(addr)
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
	return makePrefix(a, n)
}

// parseLength reads what stands behind the slash of a prefix.
func parseLength(a netip.Addr, s string) (int, error) {
	if a.Is4() && strings.IndexByte(s, '.') >= 0 {
		return parseNetmask(s)
	}
	n, ok := decimal(s, 3, a.BitLen())
	if !ok {
		return 0, errLength
	}
	return n, nil
}

func parseNetmask(s string) (int, error) {
	m, err := parseRaw(s)
	if err != nil || !m.Is4() {
		return 0, errNetmask
	}
	return maskLength(bits32(m))
}

// maskLength counts the leading ones of a netmask.
func maskLength(v uint32) (int, error) {
	ones := bits.LeadingZeros32(^v)
	if v<<ones != 0 {
		return 0, errNetmask
	}
	return ones, nil
}

// makePrefix masks and unmaps. The length is that of the address as written.
func makePrefix(a netip.Addr, n int) (netip.Prefix, error) {
	if a.Is4In6() && n > 0 {
		if n < 96 {
			return netip.Prefix{}, errMapped
		}
		a, n = a.Unmap(), n-96
	}
	if n == 0 {
		return netip.Prefix{}, errWhole
	}
	p, err := a.Prefix(n)
	if err != nil {
		return netip.Prefix{}, errLength
	}
	return p, nil
}

// parseToken reads what one field of a plain list holds: a prefix, or an address
// with port as v4:port, [v6] or [v6]:port. Port 0 means that there was none.
func parseToken(s string) (netip.Prefix, uint16, error) {
	switch {
	case strings.HasPrefix(s, "["):
		return parseBracketed(s)
	case strings.Count(s, ":") == 1 && strings.IndexByte(s, '.') > 0:
		return parseAddrPort(s)
	}
	p, err := parsePrefix(s)
	return p, 0, err
}

// parseBracketed reads [v6] and [v6]:port.
func parseBracketed(s string) (netip.Prefix, uint16, error) {
	addr, rest, closed := strings.Cut(s[1:], "]")
	if !closed || strings.IndexByte(addr, ':') < 0 {
		return netip.Prefix{}, 0, errNotAddress
	}
	a, err := parseAddr(addr)
	if err != nil {
		return netip.Prefix{}, 0, err
	}
	p := netip.PrefixFrom(a, a.BitLen())
	if rest == "" {
		return p, 0, nil
	}
	if rest[0] != ':' {
		return netip.Prefix{}, 0, errNotAddress
	}
	port, err := parsePort(rest[1:])
	return p, port, err
}

// parseAddrPort splits address and port at the last colon: IPv6 may come with or
// without brackets. The port must be there.
func parseAddrPort(s string) (netip.Prefix, uint16, error) {
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
	a, err := parseAddr(s[:i])
	if err != nil {
		return netip.Prefix{}, 0, err
	}
	port, err := parsePort(s[i+1:])
	return netip.PrefixFrom(a, a.BitLen()), port, err
}

func parsePort(s string) (uint16, error) {
	n, ok := decimal(s, 5, 65535)
	if !ok || n == 0 {
		return 0, errPort
	}
	return uint16(n), nil
}

// decimal reads 1 to digits ASCII digits, no sign, with a value of at most most.
func decimal(s string, digits, most int) (int, bool) {
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

// bits32 gives an IPv4 address as a number.
func bits32(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// addr32 is the inverse of bits32.
func addr32(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
