package intel

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestCoverage: what overlaps counts once, special-purpose space not at all.
func TestCoverage(t *testing.T) {
	for _, tt := range []struct {
		prefixes []string
		v4, v6   uint64
	}{
		{nil, 0, 0},
		{[]string{"62.0.0.0/8", "62.1.0.0/16", "62.1.2.3/32", "62.0.0.0/8", "63.0.0.0/24"}, 1<<24 + 256, 0},
		{[]string{"10.0.0.0/8", "224.0.0.0/3", "127.0.0.0/8", "fc00::/7", "::/3"}, 0, 0},
		{[]string{"11.0.0.0/8", "10.0.0.0/8"}, 1 << 24, 0},
		{[]string{"10.0.0.0/7"}, 1 << 24, 0},
		{[]string{"2a00::/12", "2a01::/16", "2a10::1/128", "2a10::2/128", "2a10:0:0:1::/64"}, 0, 1<<52 + 2},
		{[]string{"::ffff:62.0.0.0/120"}, 256, 0},
	} {
		var c Coverage
		for _, p := range tt.prefixes {
			c.Add(netip.MustParsePrefix(p))
		}
		if v4, v6 := c.Space(); v4 != tt.v4 || v6 != tt.v6 {
			t.Errorf("%v: %d and %d, want %d and %d", tt.prefixes, v4, v6, tt.v4, tt.v6)
		}
	}
	var halves Coverage
	for _, p := range []string{"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"} {
		halves.Add(netip.MustParsePrefix(p))
	}
	if v4, v6 := halves.Space(); v4 < 3_500_000_000 || v6 < 1<<60 || v6 > 1<<61 {
		t.Errorf("halves: %d and %d", v4, v6)
	}
}

// TestCoverageOracle counts addresses one by one.
func TestCoverageOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var c Coverage
		seen := make(map[uint32]bool)
		for range r.IntN(40) {
			bits := 16 + r.IntN(17)
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{62, 0, byte(r.Uint32()), byte(r.Uint32())}), bits).Masked()
			c.Add(p)
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				b := a.As4()
				seen[uint32(b[2])<<8|uint32(b[3])] = true
			}
		}
		if v4, _ := c.Space(); v4 != uint64(len(seen)) {
			t.Fatalf("%d, want %d", v4, len(seen))
		}
	}
}

func TestCoverageMissing(t *testing.T) {
	var a, b Coverage
	for _, p := range []string{"62.0.0.1/32", "62.0.0.1/32", "62.0.0.0/24", "2a00::1/128"} {
		a.Add(netip.MustParsePrefix(p))
	}
	b.Add(netip.MustParsePrefix("62.0.0.0/24"))
	if n := a.Missing(&b); n != 2 || a.Len() != 3 {
		t.Errorf("%d of %d missing, want 2 of 3", n, a.Len())
	}
}
