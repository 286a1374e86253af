package home

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestNetworks: an address is in the set when a prefix contains it.
func TestNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr {
		var b [16]byte
		binary.BigEndian.PutUint64(b[8:], r.Uint64())
		switch r.IntN(4) {
		case 0:
			return netip.AddrFrom4([4]byte{byte(r.IntN(4)), byte(r.IntN(4)), byte(r.IntN(256)), byte(r.IntN(256))})
		case 1: // IPv4-mapped
			b = [16]byte{10: 0xff, 11: 0xff, 12: byte(r.IntN(4)), 13: byte(r.IntN(256))}
		case 2:
			b[0], b[1], b[3] = 0x20, byte(r.IntN(3)), byte(r.IntN(4))
		case 3:
			b = [16]byte{9: byte(r.IntN(2)), 10: 0xff * byte(r.IntN(2)), 11: 0xff, 12: byte(r.IntN(256))}
		}
		return netip.AddrFrom16(b)
	}
	for range 300 {
		var list []netip.Prefix
		for range r.IntN(12) {
			a := random()
			list = append(list, netip.PrefixFrom(a, r.IntN(a.BitLen()+1)))
		}
		list = append(list, netip.Prefix{})
		n := NewNetworks(list)
		for range 300 {
			a := random()
			if k := r.IntN(len(list) + 1); k < len(list) && list[k].IsValid() && r.IntN(2) == 0 {
				a = list[k].Addr()
			}
			want := false
			for _, p := range list {
				if !p.IsValid() {
					continue
				}
				six := netip.AddrFrom16(a.As16()) // compared in IPv6, where IPv4 lies in ::ffff:0:0/96
				bits, at := p.Bits(), netip.AddrFrom16(p.Addr().As16())
				if p.Addr().Is4() {
					bits += 96
				}
				x, y := flow.Addr6Of(six), flow.Addr6Of(at)
				same := 0
				for same < 128 && bit(x, same) == bit(y, same) {
					same++
				}
				want = want || same >= bits
			}
			b := flow.Addr6Of(random())
			if got := n.Either(flow.Addr6Of(a), b); got != (want || n.Contains(b)) {
				t.Fatalf("%v or %v in %v: %t", a, b.Addr(), list, got)
			}
			if got := n.Contains(flow.Addr6Of(a)); got != want {
				t.Fatalf("%v in %v: %t, expected %t", a, list, got, want)
			}
		}
	}
}

func bit(a flow.Addr6, i int) uint64 {
	if i < 64 {
		return a.Hi >> (63 - i) & 1
	}
	return a.Lo >> (127 - i) & 1
}
