package prefix

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"go4.org/netipx"
)

// TestRangeOracle compares the cover of a range with its definition: the
// prefixes follow each other without gap, and none can be joined with the next.
func TestRangeOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 2000 {
		first, last := randomAddr(r, i%2 == 0), randomAddr(r, i%2 == 0)
		if i%5 == 0 {
			last = first.Next().Next().Next()
		}
		if !last.IsValid() || last.Less(first) {
			first, last = last, first
		}
		if !first.IsValid() {
			continue
		}
		ps, err := OfRange(first, last)
		if err != nil {
			t.Fatalf("%v-%v: %v", first, last, err)
		}
		next := first
		for j, p := range ps {
			if p.Addr() != next || p != p.Masked() {
				t.Fatalf("%v-%v: %v follows a gap", first, last, p)
			}
			if j > 0 && siblings(ps[j-1], p) {
				t.Fatalf("%v-%v: %v and %v can be joined", first, last, ps[j-1], p)
			}
			next = netipx.PrefixLastIP(p).Next()
		}
		if end := netipx.PrefixLastIP(ps[len(ps)-1]); end != last {
			t.Fatalf("%v-%v: ends at %v", first, last, end)
		}
	}
}

func siblings(a, b netip.Prefix) bool {
	if a.Bits() != b.Bits() {
		return false
	}
	parent, _ := a.Addr().Prefix(a.Bits() - 1)
	return parent.Contains(b.Addr())
}

func randomAddr(r *rand.Rand, v4 bool) netip.Addr {
	if v4 {
		return Addr32(r.Uint32())
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[0] |= 0x20 // away from the IPv4-mapped block
	return netip.AddrFrom16(b)
}
