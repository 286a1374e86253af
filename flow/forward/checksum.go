package forward

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// udpHeader makes the header of RFC 768, with its checksum over the pseudo header
// of IPv4 (RFC 768) or IPv6 (RFC 8200, section 8.1). Both addresses are of one
// family.
func udpHeader(src, dst netip.AddrPort, payload []byte) (h [8]byte) {
	length := len(h) + len(payload)
	binary.BigEndian.PutUint16(h[0:], src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(length))
	sum := addAddr(uint64(flow.ProtocolUDP)+uint64(length), src.Addr())
	sum = addAddr(sum, dst.Addr())
	sum = addWords(sum, h[:])
	check := ^fold(addWords(sum, payload))
	if check == 0 {
		check = 0xffff // zero means that there is no checksum
	}
	binary.BigEndian.PutUint16(h[6:], check)
	return h
}

func addAddr(sum uint64, a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return addWords(sum, b[:])
	}
	b := a.As16()
	return addWords(sum, b[:])
}

// addWords adds p to a ones' complement sum (RFC 1071), eight bytes at a time:
// the sum of 64-bit words folds to that of 16-bit words. An odd end is padded
// with zeros, so only the last piece of a packet may have an odd length.
func addWords(sum uint64, p []byte) uint64 {
	var carry uint64
	for len(p) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p), carry)
		p = p[8:]
	}
	var tail [8]byte
	copy(tail[:], p)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(tail[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return sum + carry
}

func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
