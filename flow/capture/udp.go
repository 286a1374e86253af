package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A udpDatagram is a UDP payload and what was found out about it.
type udpDatagram struct {
	source    netip.AddrPort
	payload   []byte
	truncated bool // the headers promise more payload than there is
	checksum  verdict
}

// A verdict is the outcome of checking a checksum.
type verdict uint8

const (
	right verdict = iota
	unchecked
	wrong
)

// readUDP reads a UDP header (RFC 768). A length of 0 means all that IP carries:
// a jumbogram (RFC 2675), or one that the network card was to cut up. What IP
// carries beyond the length is no payload.
func readUDP(p *packet) (udpDatagram, finding) {
	if len(p.data) < 8 {
		return udpDatagram{}, isShort
	}
	b, lacking := p.data, p.lacking
	if n := int(binary.BigEndian.Uint16(b[4:])); n != 0 {
		if n < 8 {
			return udpDatagram{}, isMalformed
		}
		b, lacking = trim(b, n)
	}
	u := udpDatagram{
		source:    netip.AddrPortFrom(p.src.Unmap(), binary.BigEndian.Uint16(b)),
		payload:   b[8:],
		truncated: lacking,
	}
	switch {
	case lacking || p.routed || b[6] == 0 && b[7] == 0:
		u.checksum = unchecked
	case udpChecksum(p.src, p.dst, b) != 0:
		u.checksum = wrong
	}
	return u, isUDP
}

// udpChecksum sums a UDP datagram and its pseudo-header. Over a datagram with its
// checksum filled in the result is 0, over one with 0 in its place it is the
// checksum, where 0 is to be sent as ffff.
func udpChecksum(src, dst netip.Addr, b []byte) uint16 {
	sum := uint64(flow.ProtocolUDP) + uint64(len(b))
	for _, a := range [...]netip.Addr{src, dst} {
		if a.Is4() {
			a4 := a.As4()
			sum = addWords(sum, a4[:])
			continue
		}
		a16 := a.As16()
		sum = addWords(sum, a16[:])
	}
	return ^fold(addWords(sum, b))
}

// addWords adds the 16-bit words of b, in network order, to sum (RFC 1071).
func addWords(sum uint64, b []byte) uint64 {
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// fold brings a sum to 16 bits by adding the carries.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
