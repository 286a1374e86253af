package intel

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestOutside compares Outside with the judgement on a feed's entry of the one address,
// at the edges of all that decides and at random.
func TestOutside(t *testing.T) {
	prefix := netip.MustParsePrefix
	policy := Policy{
		Home:         []netip.Prefix{prefix("10.0.0.0/8"), prefix("62.1.0.0/16"), prefix("2a00:1::/32")},
		Allow:        []netip.Prefix{prefix("62.2.0.0/16"), prefix("2a00:2::1/128")},
		Warninglists: []*Warninglist{NewWarninglist("w", ClassInfrastructure, []netip.Prefix{prefix("62.5.0.0/16")}, nil), NewWarninglist("s", ClassShared, []netip.Prefix{prefix("62.6.0.0/16")}, nil)},
	}
	table, _ := NewBuilder(policy).Build("v1")
	empty := new(Table)
	edges := []netip.Prefix{prefix("62.5.0.0/16"), prefix("62.6.0.0/16"), globalUnicast6, prefix("::/0")}
	edges = append(append(append(edges, policy.Home...), policy.Allow...), usable...)
	for _, r := range append(append([]specialRange{}, special4...), special6...) {
		edges = append(edges, r.prefix)
	}
	var addrs []netip.Addr
	for _, p := range edges {
		first, last := p.Addr(), lastAddr(p)
		addrs = append(addrs, first, last, first.Prev(), last.Next())
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		a := [16]byte{0x20 | byte(r.Uint32N(16)), byte(r.Uint32()), byte(r.Uint32())}
		addrs = append(addrs, netip.AddrFrom16(a), netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), 1}))
	}
	for _, tt := range []struct {
		*Table
		guards
	}{{table, table.guards}, {empty, guards{allow: new(Networks), home: new(Networks)}}} {
		for _, a := range addrs {
			want := false
			if a.IsValid() && !a.IsUnspecified() {
				want = tt.judge(netip.PrefixFrom(a, a.BitLen()), OriginFeed).Reason == "" && tt.warned(a, ClassInfrastructure) == nil
			}
			if got := tt.Outside(a); got != want {
				t.Errorf("%s: %t, want %t", a, got, want)
			}
		}
	}
}
