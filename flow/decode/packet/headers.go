package packet

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Ethernet types.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherQinQ1 = 0x9100 // and the next two: stacked tags before 802.1ad
	etherQinQ2 = 0x9200
	etherQinQ3 = 0x9300
	etherPBB   = 0x88e7 // service instance tag of 802.1ah: a frame follows it
	etherLLC   = 0x0600 // less than this is a length, and an LLC header follows
	etherMPLS  = 0x8847
	etherMPLSm = 0x8848
	etherPPPoE = 0x8864
	etherLLDP  = 0x88cc
	etherTEB   = 0x6558 // transparent Ethernet bridging, in GRE
)

// portVXLAN is the UDP port of VXLAN (RFC 7348).
const portVXLAN = 4789

// Frame reads an Ethernet frame whose exporter may have left the layer 2 header out.
func (p *Stack) Frame(b []byte) {
	if looksLikeIP(b) {
		p.network(b, 0)
	} else {
		p.ethernet(b, 0)
	}
}

// IPOrFrame reads what should begin with an IP header; some exporters put the layer 2
// header in front of it.
func (p *Stack) IPOrFrame(b []byte) {
	if len(b) > 0 && (b[0]>>4 == 6 || b[0]>>4 == 4 && (looksLikeIP(b) || !knownEthertype(b))) {
		p.network(b, 0)
	} else {
		p.Frame(b)
	}
}

// IP reads an IP packet, which begins with its own header.
func (p *Stack) IP(b []byte) { p.network(b, 0) }

// MPLS reads a packet that begins with its label stack.
func (p *Stack) MPLS(b []byte) { p.mpls(b, 0) }

// PPP reads a PPP frame, with or without address and control bytes.
func (p *Stack) PPP(b []byte) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		return
	}
	switch binary.BigEndian.Uint16(b) {
	case 0x0021, 0x0057:
		p.network(b[2:], 0)
	case 0x0281, 0x0283:
		p.mpls(b[2:], 0)
	}
}

// ethernet reads a frame that begins with the destination address.
func (p *Stack) ethernet(b []byte, depth int) {
	if len(b) < 14 {
		return
	}
	p.ethertype(binary.BigEndian.Uint16(b[12:]), b[14:], depth)
}

// isTag reports whether an Ethernet type is that of a VLAN tag.
func isTag(t uint16) bool {
	switch t {
	case etherVLAN, etherQinQ, etherQinQ1, etherQinQ2, etherQinQ3:
		return true
	}
	return false
}

// snap gives the Ethernet type behind an LLC header (RFC 1042), and what follows it.
func snap(b []byte) (t uint16, rest []byte, ok bool) {
	const header = 8
	switch {
	case len(b) >= header && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 && b[3] == 0 && b[4] == 0 && (b[5] == 0 || b[5] == 0xf8): // RFC 1042, 802.1H
		return binary.BigEndian.Uint16(b[6:]), b[header:], true
	case len(b) >= 4 && b[0] == 6 && b[1] == 6 && b[2] == 3: // the SAP of IP (RFC 948)
		return etherIPv4, b[3:], true
	}
	return 0, nil, false
}

// ethertype reads what an Ethernet type announces, through VLAN tags, LLC headers,
// PPPoE and MPLS labels.
func (p *Stack) ethertype(t uint16, b []byte, depth int) {
	for isTag(t) || t < etherLLC {
		ok := len(b) >= 4
		switch {
		case t < etherLLC:
			t, b, ok = snap(b)
		case ok:
			t, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		}
		if !ok {
			return
		}
	}
	switch t {
	case etherIPv4, etherIPv6:
		p.network(b, depth)
	case etherMPLS, etherMPLSm:
		p.mpls(b, depth)
	case etherPPPoE:
		if len(b) >= 8 && (b[6] == 0 && (b[7] == 0x21 || b[7] == 0x57)) {
			p.network(b[8:], depth)
		}
	case etherTEB:
		p.ethernet(b, depth)
	case etherPBB:
		if len(b) >= 4 {
			p.ethernet(b[4:], depth)
		}
	}
}

// mpls skips the label stack (RFC 3032). What lies under it is not said: an IP
// packet by its version, else a pseudowire with Ethernet (RFC 4448), with its
// control word when the first nibble is zero.
func (p *Stack) mpls(b []byte, depth int) {
	for {
		if len(b) < 5 {
			return
		}
		bottom := b[2]&1 == 1
		b = b[4:]
		if bottom {
			break
		}
	}
	switch {
	case looksLikeIP(b):
		p.network(b, depth)
	case b[0]>>4 == 0 && len(b) >= 18 && knownEthertype(b[4:]):
		p.ethernet(b[4:], depth)
	default:
		p.ethernet(b, depth)
	}
}

// looksLikeIP recognises an IP header from an Ethernet address that begins with the
// same nibble: where the bytes make sense as a frame, too, only a checksum that is
// right speaks for IPv4.
func looksLikeIP(b []byte) bool {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[0]&15 >= 5:
		return checksumHolds(b[:min(int(b[0]&15)*4, len(b))]) || !knownEthertype(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		return !knownEthertype(b)
	}
	return false
}

// checksumHolds adds up an IPv4 header (RFC 1071).
func checksumHolds(b []byte) bool {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	return (sum&0xffff+sum>>16)%0xffff == 0
}

// knownEthertype reports whether b begins with an Ethernet header: its type is one
// that frames have and IP, where it announces that, follows.
func knownEthertype(b []byte) bool {
	if len(b) < 15 {
		return false
	}
	switch t := binary.BigEndian.Uint16(b[12:]); t {
	case etherIPv4:
		return b[14]>>4 == 4
	case etherIPv6:
		return b[14]>>4 == 6
	case etherMPLS, etherMPLSm, etherARP, etherLLDP, etherPPPoE, etherPBB:
		return true
	default:
		if t < etherLLC {
			_, _, ok := snap(b[14:])
			return ok
		}
		return isTag(t)
	}
}

// network reads an IP packet into the place of its depth; one within it goes to the next.
func (p *Stack) network(b []byte, depth int) {
	if len(b) == 0 {
		return
	}
	switch b[0] >> 4 {
	case 4:
		p.ipv4(b, depth)
	case 6:
		p.ipv6(b, depth)
	}
}

func (p *Stack) ipv4(b []byte, depth int) {
	if len(b) < 20 || b[0]&15 < 5 {
		return
	}
	q := &p.Packets[depth]
	q.IP, q.V6 = true, false
	q.Src4, q.Dst4 = binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:])
	q.Protocol = b[9]
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return // a later fragment: no transport header
	}
	if head := int(b[0]&15) * 4; head <= len(b) {
		p.transport(b[head:], depth)
	}
}

func (p *Stack) ipv6(b []byte, depth int) {
	if len(b) < 40 {
		return
	}
	q := &p.Packets[depth]
	q.IP, q.V6 = true, true
	q.Src6, q.Dst6 = flow.ReadAddr6(b[8:]), flow.ReadAddr6(b[24:])
	q.Protocol = b[6]
	rest, later := b[40:], false
	for {
		n := 0
		switch q.Protocol {
		case 0, 43, 60, 135: // hop-by-hop, routing, destination options, mobility
			if len(rest) < 8 {
				return
			}
			n = 8 + int(rest[1])*8
		case 44: // fragment
			if len(rest) < 8 {
				return
			}
			n, later = 8, binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0
		case flow.ProtocolAH:
			if len(rest) < 8 {
				return
			}
			n = 8 + int(rest[1])*4
		}
		if n == 0 {
			break
		}
		q.Protocol = rest[0]
		if later || n > len(rest) {
			return
		}
		rest = rest[n:]
	}
	p.transport(rest, depth)
}

// enter reports whether the packet of the next depth is to be read.
func (p *Stack) enter(depth int) bool {
	if depth >= MaxTunnels {
		p.Deeper = true
		return false
	}
	return true
}

// transport reads the header behind IP, or goes on to the packet in a tunnel.
func (p *Stack) transport(b []byte, depth int) {
	q := &p.Packets[depth]
	switch q.Protocol {
	case flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolSCTP:
		if len(b) < 4 {
			return
		}
		q.HasPorts = true
		q.SrcPort, q.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if q.Protocol == flow.ProtocolTCP && len(b) >= 14 {
			q.HasFlags, q.TCPFlags = true, b[13]
		}
		if q.Protocol == flow.ProtocolUDP && q.DstPort == portVXLAN && len(b) > 16 && p.enter(depth) {
			p.ethernet(b[16:], depth+1)
		}
	case flow.ProtocolICMP, flow.ProtocolICMPv6:
		if len(b) >= 2 {
			q.HasICMP, q.ICMPTypeCode = true, binary.BigEndian.Uint16(b)
		}
	case flow.ProtocolIPv4, flow.ProtocolIPv6:
		if p.enter(depth) {
			p.network(b, depth+1)
		}
	case flow.ProtocolEthernet:
		if p.enter(depth) {
			p.ethernet(b, depth+1)
		}
	case flow.ProtocolGRE:
		if p.enter(depth) {
			p.gre(b, depth+1)
		}
	}
}

// gre reads a GRE header (RFC 2784, 2890) and the packet behind it.
func (p *Stack) gre(b []byte, depth int) {
	if len(b) < 4 || b[1]&7 != 0 {
		return // version 1 is PPTP
	}
	n := 4
	for _, bit := range []byte{0x80, 0x20, 0x10} { // checksum, key, sequence number
		if b[0]&bit != 0 {
			n += 4
		}
	}
	if n <= len(b) {
		p.ethertype(binary.BigEndian.Uint16(b[2:]), b[n:], depth)
	}
}
