package decode_test

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestForeignTunnels: a packet within another is read only when both ends of the outer
// one are ours, whatever the tunnel and whoever samples it.
func TestForeignTunnels(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
	ours := func(a netip.Addr) bool {
		for _, p := range own {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	vxlan := udpHeader(55555, 4789, cat([]byte{8, 0, 0, 0, 0, 0, 0, 0}, frame(0x0800, tcp4)))
	outer := func(src, dst string, protocol byte, payload []byte) []byte {
		if netip.MustParseAddr(src).Is4() {
			return ipv4Packet(src, dst, protocol, payload)
		}
		return ipv6Packet(src, dst, protocol, payload)
	}
	ends := []struct {
		src, dst string
		read     bool
	}{
		{"10.1.1.1", "10.2.2.2", true}, {"10.1.1.1", "203.0.113.7", true}, {"2001:db8:1::1", "2001:db8:1::2", true},
		{"198.18.0.1", "10.2.2.2", false}, {"10.1.1.1", "198.18.0.1", false}, {"198.18.0.1", "198.18.0.2", false},
		{"2001:db8:1::1", "2001:db8:2::1", false},
	}
	for name, tunnel := range map[string]struct {
		protocol byte
		payload  []byte
	}{
		"IP in IP": {4, tcp4}, "IPv6 in IP": {41, tcp6}, "GRE": {47, cat(u16(0, 0x0800), tcp4)},
		"VXLAN": {17, vxlan}, "Ethernet in IPv6": {143, frame(0x0800, tcp4)},
	} {
		for _, e := range ends {
			packet := outer(e.src, e.dst, tunnel.protocol, tunnel.payload)
			ethertype := uint16(0x0800)
			if packet[0]>>4 == 6 {
				ethertype = 0x86dd
			}
			for _, sampled := range [][]byte{
				sflowDatagram(1, flowSample(rawHeader(1, frame(ethertype, packet)))),
				header10(0, templateSet(flow.IPFIX, template(300, fld{ie: 315, len: uint16(14 + len(packet))})), set(300, frame(ethertype, packet))),
				header10(0, templateSet(flow.IPFIX, template(300, fld{ie: 313, len: uint16(len(packet))})), set(300, packet)),
			} {
				b := newBench(t)
				b.x.ReadTunnels(true, ours)
				b.send(sampled)
				r := b.one()
				if r.Src.String() != e.src || r.InnerSrc.IsValid() != e.read {
					t.Errorf("%s from %s to %s: record from %v, inner from %v", name, e.src, e.dst, r.Src, r.InnerSrc)
				}
				want := uint64(1)
				if e.read {
					want = 0
				}
				if n := b.d.Stats().TunnelsSkipped; n != want {
					t.Errorf("%s from %s to %s: %d counted as skipped, want %d", name, e.src, e.dst, n, want)
				}
			}
		}
	}
}
