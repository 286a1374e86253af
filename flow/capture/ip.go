package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A packet is what is left of an IP packet on the way down: data, of which next
// is the protocol.
type packet struct {
	src, dst netip.Addr
	next     uint8
	data     []byte // without padding of the link; borrowed from the frame
	lacking  bool   // the IP header promises more data than there are
	routed   bool   // dst is not the last address yet, which the checksum is made with
	frag     fragment
}

// A fragment is which part of its packet the data are.
type fragment struct {
	id     uint32
	offset int // bytes
	more   bool
}

// readIPv4 reads an IPv4 header (RFC 791).
func readIPv4(b []byte) (packet, finding) {
	if len(b) < 20 {
		return packet{}, isShort
	}
	header := int(b[0]&15) * 4
	if b[0]>>4 != 4 || header < 20 {
		return packet{}, isMalformed
	}
	p := packet{src: netip.AddrFrom4([4]byte(b[12:])), dst: netip.AddrFrom4([4]byte(b[16:])), next: b[9]}
	// A length of 0 is that of a packet which the network card was to cut up.
	if total := int(binary.BigEndian.Uint16(b[2:])); total != 0 {
		if total < header {
			return packet{}, isMalformed
		}
		b, p.lacking = trim(b, total)
	}
	if len(b) < header {
		return packet{}, isShort
	}
	p.data = b[header:]
	part := binary.BigEndian.Uint16(b[6:])
	p.frag = fragment{
		id:     uint32(binary.BigEndian.Uint16(b[4:])),
		offset: int(part&0x1fff) * 8,
		more:   part&0x2000 != 0,
	}
	if p.frag.more || p.frag.offset != 0 {
		return p, p.asFragment()
	}
	return p, p.transport()
}

// readIPv6 reads an IPv6 header (RFC 8200) and the headers after it.
func readIPv6(b []byte) (packet, finding) {
	if len(b) < 40 {
		return packet{}, isShort
	}
	if b[0]>>4 != 6 {
		return packet{}, isMalformed
	}
	p := packet{src: netip.AddrFrom16([16]byte(b[8:])), dst: netip.AddrFrom16([16]byte(b[24:])), next: b[6], data: b[40:]}
	// A length of 0 is that of a jumbogram (RFC 2675).
	if n := int(binary.BigEndian.Uint16(b[4:])); n != 0 {
		p.data, p.lacking = trim(p.data, n)
	}
	return p, p.transport()
}

// trim cuts b to the n bytes that a header claims, and reports whether they are
// not all there.
func trim(b []byte, n int) (data []byte, lacking bool) {
	return b[:min(n, len(b))], n > len(b)
}

// transport walks over extension headers to the protocol that is carried, or to
// a fragment header. In IPv4 only an authentication header can stand in between.
func (p *packet) transport() finding {
	for {
		switch {
		case p.next == flow.ProtocolUDP:
			return isUDP
		case p.next == flow.ProtocolTCP:
			return isTCP
		case !p.mayExtend():
			return isOtherIP
		case len(p.data) < 8:
			return isShort
		case p.next == flow.ProtocolFragment:
			if p.readFragment(); p.frag.more || p.frag.offset != 0 {
				return p.asFragment()
			}
		case !p.passHeader():
			return isShort
		}
	}
}

// mayExtend reports whether next is a header that others follow.
func (p *packet) mayExtend() bool {
	switch p.next {
	case flow.ProtocolAH:
		return true
	case flow.ProtocolHopByHop, flow.ProtocolRouting, flow.ProtocolFragment, flow.ProtocolDestOpts, flow.ProtocolMobility, flow.ProtocolHIP, flow.ProtocolShim6:
		return p.src.Is6()
	}
	return false
}

// readFragment reads an IPv6 fragment header. One with nothing before and after
// it, an atomic fragment, is passed over (RFC 6946).
func (p *packet) readFragment() {
	part := binary.BigEndian.Uint16(p.data[2:])
	p.frag = fragment{id: binary.BigEndian.Uint32(p.data[4:]), offset: int(part &^ 7), more: part&1 != 0}
	p.next, p.data = p.data[0], p.data[8:]
}

// passHeader steps over an extension header of at least 8 bytes.
func (p *packet) passHeader() bool {
	n := (int(p.data[1]) + 1) * 8
	switch p.next {
	case flow.ProtocolAH: // RFC 4302: counted in 4 bytes, less 2
		n = (int(p.data[1]) + 2) * 4
	case flow.ProtocolRouting:
		p.routed = p.routed || p.data[3] != 0 // segments left
	}
	if n > len(p.data) {
		return false
	}
	p.next, p.data = p.data[0], p.data[n:]
	return true
}

// asFragment reports whether a fragment can be one of a UDP datagram. One that
// lacks bytes is of no use.
func (p *packet) asFragment() finding {
	switch {
	case p.next == flow.ProtocolTCP:
		return isTCP
	case p.next != flow.ProtocolUDP && !p.mayExtend():
		return isOtherIP
	case p.lacking:
		return isShort
	}
	return isFragment
}
