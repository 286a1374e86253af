package flow

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// Addr6 is an IPv6 address as two numbers in host order, Hi the first 64 bits: the form in
// which whole sets of addresses are matched.
type Addr6 struct{ Hi, Lo uint64 }

// Addr6Of returns an address as two numbers, an IPv4 one as IPv4-mapped.
func Addr6Of(a netip.Addr) Addr6 {
	b := a.As16()
	return Addr6{Hi: binary.BigEndian.Uint64(b[:8]), Lo: binary.BigEndian.Uint64(b[8:])}
}

// ReadAddr6 reads an address from the first 16 bytes of b, in network order.
func ReadAddr6(b []byte) Addr6 {
	return Addr6{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:16])}
}

// Mapped gives an IPv4 address in host order as ::ffff:a.b.c.d.
func Mapped(a uint32) Addr6 { return Addr6{Lo: 0xffff<<32 | uint64(a)} }

// Is4 reports whether a is IPv4-mapped (RFC 4291 2.5.5.2).
func (a Addr6) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Compare orders addresses as their 16 bytes in network order do.
func (a Addr6) Compare(b Addr6) int {
	if a.Hi != b.Hi {
		return cmp.Compare(a.Hi, b.Hi)
	}
	return cmp.Compare(a.Lo, b.Lo)
}

// Addr gives a as a netip.Addr.
func (a Addr6) Addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b)
}

// Addr4 gives an IPv4 address in host order as a netip.Addr.
func Addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
