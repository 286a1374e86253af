package decode_test

import (
	"encoding/binary"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Packets to put into frame sections, written out by hand.

func ipv4Packet(src, dst string, protocol byte, payload []byte) []byte {
	b := cat([]byte{0x45, 0}, u16(uint16(20+len(payload)), 1, 0), []byte{64, protocol}, u16(0), ip(src), ip(dst))
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	copy(b[10:], u16(^uint16(sum&0xffff+sum>>16)))
	return cat(b, payload)
}

func ipv6Packet(src, dst string, next byte, payload []byte) []byte {
	return cat([]byte{0x60, 0, 0, 0}, u16(uint16(len(payload))), []byte{next, 64}, ip(src), ip(dst), payload)
}

func tcpHeader(src, dst uint16, flags byte) []byte {
	return cat(u16(src, dst), u32(1, 2), []byte{0x50, flags}, u16(1024, 0, 0))
}

func udpHeader(src, dst uint16, payload []byte) []byte {
	return cat(u16(src, dst, uint16(8+len(payload)), 0), payload)
}

func frame(ethertype uint16, payload []byte) []byte {
	return cat([]byte{0x45, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 1, 2, 3, 4, 5}, u16(ethertype), payload)
}

func vlan(id, ethertype uint16, payload []byte) []byte { return cat(u16(id, ethertype), payload) }

// label is an MPLS label; the last of a stack has the bottom bit.
func label(n uint32, bottom bool) []byte {
	v := n<<12 | 64
	if bottom {
		v |= 0x100
	}
	return u32(v)
}

func TestSections(t *testing.T) {
	tcp := ipv4Packet("192.0.2.10", "198.51.100.20", 6, tcpHeader(51515, 443, 0x12))
	tcp6 := ipv6Packet("2001:db8::10", "2001:db8::20", 6, tcpHeader(51515, 443, 0x12))
	inner := ipv4Packet("10.0.0.1", "10.0.0.2", 17, udpHeader(5, 53, nil))
	// 8.0.0.0/16 looks like the type of IPv4 where frames have it.
	eight := ipv4Packet("8.0.69.5", "198.51.100.20", 6, tcpHeader(51515, 443, 2))
	routing := func(next byte, payload []byte) []byte { return cat([]byte{next, 2, 4, 0}, make([]byte, 20), payload) }
	outerIs := func(src, inner string) []string { return []string{src, inner} }
	for _, c := range []struct {
		name    string
		ie      uint16
		section []byte
		want    []string // source of the packet, and of the one within
	}{
		{"IPv4", 313, tcp, outerIs("192.0.2.10", "")},
		{"IPv6", 313, tcp6, outerIs("2001:db8::10", "")},
		{"frame", 315, frame(0x0800, tcp), outerIs("192.0.2.10", "")},
		{"frame in 104", 104, frame(0x86dd, tcp6), outerIs("2001:db8::10", "")},
		{"VLAN", 315, frame(0x8100, vlan(5, 0x0800, tcp)), outerIs("192.0.2.10", "")},
		{"two VLANs", 315, frame(0x88a8, vlan(5, 0x8100, vlan(6, 0x86dd, tcp6))), outerIs("2001:db8::10", "")},
		{"PPPoE", 315, frame(0x8864, cat([]byte{0x11, 0, 0, 1}, u16(42), []byte{0, 0x21}, tcp)), outerIs("192.0.2.10", "")},
		{"MPLS", 315, frame(0x8847, cat(label(16, false), label(17, true), tcp)), outerIs("192.0.2.10", "")},
		{"MPLS, IPv6", 315, frame(0x8847, cat(label(17, true), tcp6)), outerIs("2001:db8::10", "")},
		{"MPLS, a source like an ethertype", 315, frame(0x8847, cat(label(17, true), eight)), outerIs("8.0.69.5", "")},
		{"Ethernet over MPLS, control word", 315, frame(0x8847, cat(label(17, true), u32(0), frame(0x0800, tcp))), outerIs("192.0.2.10", "")},
		{"Ethernet over MPLS, without", 315, frame(0x8847, cat(label(17, true), frame(0x0800, tcp))), outerIs("192.0.2.10", "")},
		{"Ethernet over MPLS, VLAN", 315, frame(0x8847, cat(label(17, true), frame(0x8100, vlan(1, 0x0800, tcp)))), outerIs("192.0.2.10", "")},
		{"IP in place of a frame", 315, tcp, outerIs("192.0.2.10", "")},
		{"IPv6 in place of a frame", 104, tcp6, outerIs("2001:db8::10", "")},
		{"ARP to an address that looks like IP", 315, frame(0x0806, make([]byte, 46)), nil},
		{"LLDP", 315, frame(0x88cc, make([]byte, 46)), nil},
		{"IP in IP", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 4, inner), outerIs("192.0.2.10", "10.0.0.1")},
		{"IPv6 in IPv4", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 41, tcp6), outerIs("192.0.2.10", "2001:db8::10")},
		{"GRE", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 47, cat(u16(0, 0x0800), inner)), outerIs("192.0.2.10", "10.0.0.1")},
		{"GRE with key and sequence", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 47, cat(u16(0x3000, 0x0800), u32(1, 2), inner)), outerIs("192.0.2.10", "10.0.0.1")},
		{"GRE with a frame", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 47, cat(u16(0, 0x6558), frame(0x0800, inner))), outerIs("192.0.2.10", "10.0.0.1")},
		{"PPTP", 313, ipv4Packet("192.0.2.10", "198.51.100.20", 47, cat(u16(0x3001, 0x880b), u32(1, 2), inner)), outerIs("192.0.2.10", "")},
		{"VXLAN", 315, frame(0x0800, ipv4Packet("192.0.2.10", "198.51.100.20", 17, udpHeader(1, 4789, cat(u32(0x08000000, 0x100), frame(0x0800, inner))))), outerIs("192.0.2.10", "10.0.0.1")},
		{"SRv6", 313, ipv6Packet("2001:db8::10", "2001:db8::20", 43, routing(4, inner)), outerIs("2001:db8::10", "10.0.0.1")},
		{"SRv6 with a frame", 313, ipv6Packet("2001:db8::10", "2001:db8::20", 43, routing(143, frame(0x0800, inner))), outerIs("2001:db8::10", "10.0.0.1")},
		{"hop-by-hop, fragment", 313, ipv6Packet("2001:db8::10", "2001:db8::20", 0, cat([]byte{44, 0, 0, 0, 0, 0, 0, 0}, []byte{6, 0}, u16(1), u32(9), tcpHeader(51515, 443, 0x12))), outerIs("2001:db8::10", "")},
		{"empty", 315, nil, nil},
		{"cut before the addresses", 313, tcp[:19], nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, field := range []fld{{ie: c.ie, len: 65535}, {ie: c.ie, len: uint16(len(c.section))}} {
				value := cat([]byte{byte(len(c.section))}, c.section)
				if field.len != 65535 {
					value = c.section
				}
				checkSection(t, record(t, flow.IPFIX, []fld{{ie: 10, len: 4}, field}, u32(1), value), c.ie, c.want)
			}
		})
	}
}

func checkSection(t *testing.T, r flow.Record, ie uint16, want []string) {
	t.Helper()
	if want == nil {
		if r.Src.IsValid() || r.FromSection != 0 {
			t.Errorf("addresses from nowhere: %v in %d", r.Src, r.FromSection)
		}
		return
	}
	inner := ""
	if r.InnerSrc.IsValid() {
		inner = r.InnerSrc.String()
	}
	if r.FromSection != ie || r.Src.String() != want[0] || inner != want[1] {
		t.Errorf("source %v, inner %q from %d, want %q from %d", r.Src, inner, r.FromSection, want, ie)
	}
	if inner == "" && r.Protocol == 6 && (r.SrcPort != 51515 || r.DstPort != 443 || r.TCPFlags&2 == 0) {
		t.Errorf("ports %d and %d, flags %#x", r.SrcPort, r.DstPort, r.TCPFlags)
	}
	if inner == "10.0.0.1" && (r.InnerSrcPort != 5 || r.InnerDstPort != 53 || r.InnerProtocol != 17) {
		t.Errorf("inner: %d to %d, protocol %d", r.InnerSrcPort, r.InnerDstPort, r.InnerProtocol)
	}
}

// A later fragment has no ports.
func TestSectionFragment(t *testing.T) {
	p := ipv4Packet("192.0.2.10", "198.51.100.20", 17, udpHeader(1, 2, nil))
	copy(p[6:], u16(100))
	r := record(t, flow.IPFIX, []fld{{ie: 10, len: 4}, {ie: 313, len: uint16(len(p))}}, u32(1), p)
	if r.Src.String() != "192.0.2.10" || r.Has&flow.HasSrcPort != 0 || r.Protocol != 17 {
		t.Errorf("got %+v", r)
	}
}

// Addresses that are fields of their own come first; the section then tells what
// is within.
func TestSectionBesideAddresses(t *testing.T) {
	p := ipv4Packet("203.0.113.1", "203.0.113.2", 4, ipv4Packet("10.0.0.1", "10.0.0.2", 17, nil))
	fields := []fld{ends[0], ends[1], {ie: 313, len: uint16(len(p))}}
	r := record(t, flow.IPFIX, fields, pairAB, p)
	if r.Src.String() != "192.0.2.10" || r.FromSection != 0 || r.InnerSrc.String() != "10.0.0.1" {
		t.Errorf("got %+v", r)
	}
	r = record(t, flow.IPFIX, fields, make([]byte, 8), p)
	if r.Src.String() != "203.0.113.1" || r.FromSection != 313 {
		t.Errorf("with empty fields: %+v", r)
	}
}
