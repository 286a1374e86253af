package packet

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
)

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
