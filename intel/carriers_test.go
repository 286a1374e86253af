package intel

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestCarriers: an address that carries an IPv4 address is in the ranges of that one, and in
// those of a block around it; none is in those of another one unless it carries that, too.
func TestCarriers(t *testing.T) {
	own := NewEmbedding([]netip.Prefix{
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2001:db9:100::/40"), netip.MustParsePrefix("2001:dba:1::/48"),
		netip.MustParsePrefix("2001:dbb:1:100::/56"), netip.MustParsePrefix("2001:dbc:1:2::/64"), netip.MustParsePrefix("2001:dbd:1:2:3:4::/96"),
	})
	r := rand.New(rand.NewPCG(1, 15))
	in := func(e *Embedding, a flow.Addr6, from, to uint32) bool {
		for first, last := range e.Carriers(from, to) {
			if first.Addr().Compare(a.Addr()) <= 0 && a.Addr().Compare(last.Addr()) <= 0 {
				return true
			}
		}
		return false
	}
	for range 2000 {
		v4 := 1<<24 + r.Uint32N(^uint32(0)-1<<24)
		mask := uint32(1)<<r.IntN(32) - 1
		for _, e := range []*Embedding{nil, own} {
			n := 0
			for first, last := range e.Carriers(v4, v4) {
				n++
				// The lowest of all has nothing behind the IPv4 address, the highest everything.
				if got := e.Find(first); got != v4 {
					t.Fatalf("%s carries %s, not %s", first.Addr(), flow.Addr4(got), flow.Addr4(v4))
				}
				for _, a := range []flow.Addr6{first, last} {
					if found := e.Find(a); found != 0 && (a == first || a.Hi>>16 != blockNAT64<<16|1) && (!in(e, a, found, found) || !in(e, a, found&^mask, found|mask)) {
						t.Fatalf("%s carries %s, but is not in its ranges", a.Addr(), flow.Addr4(found))
					}
				}
			}
			if want := 7 + len(e.NAT64()); n != want {
				t.Fatalf("%d ranges, want %d", n, want)
			}
		}
	}
	for _, s := range []string{"64:ff9b::cb00:7109", "2002:cb00:7109::1", "::ffff:0:203.0.113.9", "::203.0.113.9", "64:ff9b:1:cb00:71:900::", "2001:db8:cb00:7109::99", "2001:dba:1:cb00:71:900::77"} {
		if a := flow.Addr6Of(netip.MustParseAddr(s)); !in(own, a, 0xcb007109, 0xcb007109) || !in(own, a, 0xcb007100, 0xcb0071ff) || own.Find(a) != 0xcb007109 {
			t.Errorf("%s is not found", s)
		}
	}
}
