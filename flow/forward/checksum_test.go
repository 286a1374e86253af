package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// slowChecksum is RFC 1071 word by word over a pseudo header laid out in full.
func slowChecksum(src, dst netip.Addr, udp []byte) uint16 {
	p := append(src.AsSlice(), dst.AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(len(udp)))
	p = binary.BigEndian.AppendUint32(p, flow.ProtocolUDP)
	p = append(p, udp...)
	if len(p)%2 == 1 {
		p = append(p, 0)
	}
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return ^uint16(sum)
}

// TestUDPHeader checks the receiver's rule: the sum over everything, the checksum
// included, is all ones.
func TestUDPHeader(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, ends := range [][2]string{
		{"192.0.2.1:2055", "198.51.100.7:9995"}, {"[2001:db8::1]:65535", "[fd00::2]:1"}, {"255.255.255.255:65535", "255.255.255.255:65535"},
	} {
		src, dst := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		for n := range 200 {
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(rnd.Uint32()) | byte(n<<7) // many 0xff too
			}
			h := udpHeader(src, dst, payload)
			if check := binary.BigEndian.Uint16(h[6:]); check == 0 {
				t.Fatal("no checksum")
			}
			if got := slowChecksum(src.Addr(), dst.Addr(), append(h[:], payload...)); got != 0 {
				t.Fatalf("%v, %d bytes: the checksum is off by %#x", ends, n, got)
			}
			if binary.BigEndian.Uint16(h[0:]) != src.Port() || binary.BigEndian.Uint16(h[2:]) != dst.Port() ||
				int(binary.BigEndian.Uint16(h[4:])) != 8+n {
				t.Fatalf("header % x", h)
			}
		}
	}
}
