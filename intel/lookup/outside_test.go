package lookup

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
)

// specialEdges are the special-purpose ranges of the IANA registries, and the usable ones in them.
const specialEdges = `
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 255.255.255.255/32 240.0.0.0/4 ::/128 ::1/128
::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28
2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10
ff00::/8 192.0.0.9/32 192.0.0.10/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:3::/32
2001:4:112::/48
`

// TestOutside compares Outside with the judgement on a feed's entry of the one address,
// at the edges of all that decides and at random.
func TestOutside(t *testing.T) {
	prefix := netip.MustParsePrefix
	policy := Policy{
		Home:         []netip.Prefix{prefix("10.0.0.0/8"), prefix("62.1.0.0/16"), prefix("2a00:1::/32")},
		Allow:        []netip.Prefix{prefix("62.2.0.0/16"), prefix("2a00:2::1/128")},
		Warninglists: []*intel.Warninglist{intel.NewWarninglist("w", intel.ClassInfrastructure, []netip.Prefix{prefix("62.5.0.0/16")}, nil), intel.NewWarninglist("s", intel.ClassShared, []netip.Prefix{prefix("62.6.0.0/16")}, nil)},
	}
	table, _ := NewBuilder(policy).Build("v1")
	empty := new(Table)
	edges := []netip.Prefix{prefix("62.5.0.0/16"), prefix("62.6.0.0/16"), prefix("2000::/3"), prefix("::/0")}
	edges = append(append(edges, policy.Home...), policy.Allow...)
	for _, p := range strings.Fields(specialEdges) {
		edges = append(edges, prefix(p))
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
	}{{table, table.guards}, {empty, guards{allow: new(intel.Networks), home: new(intel.Networks)}}} {
		for _, a := range addrs {
			want := false
			if a.IsValid() && !a.IsUnspecified() {
				want = tt.judge(netip.PrefixFrom(a, a.BitLen()), OriginFeed).Reason == "" && tt.warned(a, intel.ClassInfrastructure) == nil
			}
			if got := tt.Outside(a); got != want {
				t.Errorf("%s: %t, want %t", a, got, want)
			}
		}
	}
}
