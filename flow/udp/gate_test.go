package udp

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func prefixes(texts ...string) []netip.Prefix {
	ps := []netip.Prefix{}
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestAllowList(t *testing.T) {
	l := newAllowList(append(prefixes("10.1.2.3/8", "10.1.0.0/16", "192.0.2.7/32", "fe80::/10", "2001:db8::/32",
		"::ffff:198.51.100.0/120"), netip.Prefix{}))
	for addr, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "9.255.255.255": false,
		"192.0.2.7": true, "192.0.2.6": false, "192.0.2.8": false,
		"198.51.100.255": true, "198.51.101.0": false,
		"fe80::1%eth0": true, "fe80::1": true, "2001:db8:ffff::": true, "2001:db9::": false, "::": false,
	} {
		if got := l.contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	if newAllowList(nil).contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("an empty list admits somebody")
	}
	if all := newAllowList(prefixes("0.0.0.0/0", "::/0")); !all.contains(netip.MustParseAddr("8.8.8.8")) ||
		!all.contains(netip.MustParseAddr("2001:db8::1")) {
		t.Error("/0 does not admit everybody")
	}
}

// TestAllowListAgainstScan compares with asking every prefix, over nested and
// neighbouring prefixes in a small corner of both families.
func TestAllowListAgainstScan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		var b [16]byte
		binary.BigEndian.PutUint16(b[14:], uint16(rnd.Uint32N(4096)))
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
		return netip.AddrFrom16(b)
	}
	for range 200 {
		var ps []netip.Prefix
		for range rnd.IntN(30) {
			a := address()
			ps = append(ps, netip.PrefixFrom(a, a.BitLen()-rnd.IntN(11)))
		}
		l := newAllowList(ps)
		for range 200 {
			a := address()
			want := false
			for _, p := range ps {
				want = want || p.Contains(a)
			}
			if got := l.contains(a); got != want {
				t.Fatalf("%v in %v: got %v, want %v", a, ps, got, want)
			}
		}
	}
}

func TestGateNamesEachSenderOnceAndAtMost64(t *testing.T) {
	var g gate
	g.use(newAllowList(prefixes("192.0.2.0/24")))
	sender := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	unnamed := 0
	for range 3 {
		for i := range 100 {
			admitted, named := g.admits(sender(i))
			if admitted {
				t.Fatalf("%v is admitted", sender(i))
			}
			if !named {
				unnamed++
			}
		}
	}
	if got := len(g.takeFresh()); got != maxNamed || unnamed != 3*(100-maxNamed) {
		t.Errorf("%d named, %d datagrams unnamed", got, unnamed)
	}
	if got := g.takeFresh(); len(got) != 0 {
		t.Errorf("named twice: %v", got)
	}
	g.use(newAllowList(nil))
	g.admits(sender(0))
	if got := g.takeFresh(); len(got) != 1 || got[0] != sender(0) {
		t.Errorf("after a new list: %v", got)
	}
}

func TestGateIsBoundedWhenNobodyAsks(t *testing.T) {
	var g gate
	for i := range 1000 {
		g.use(newAllowList(nil))
		g.admits(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if got := len(g.takeFresh()); got != maxNamed {
		t.Errorf("%d names are held", got)
	}
}
