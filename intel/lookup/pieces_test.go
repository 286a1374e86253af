package lookup

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel"
)

// cut is a range of Pieces.
type cut struct {
	netipx.IPRange
	listings []intel.Indicator
}

func cuts(t *testing.T, table *Table) (all []cut) {
	t.Helper()
	for r, listings := range table.Pieces() {
		if !r.IsValid() || len(listings) == 0 {
			t.Fatalf("range %s with %d listings", r, len(listings))
		}
		if n := len(all); n > 0 && !all[n-1].To().Less(r.From()) {
			t.Fatalf("%s comes after %s", r, all[n-1])
		}
		all = append(all, cut{r, slices.Clone(listings)})
	}
	return all
}

// at gives the listings of an address: without a port, or of one.
func at(all []cut, a netip.Addr, port uint16) (list []intel.Indicator) {
	i, ok := slices.BinarySearchFunc(all, a, func(c cut, a netip.Addr) int {
		switch {
		case c.To().Less(a):
			return -1
		case a.Less(c.From()):
			return 1
		}
		return 0
	})
	if ok {
		for _, ind := range all[i].listings {
			if ind.Port == port {
				list = append(list, ind)
			}
		}
	}
	return list
}

// TestPieces: what the pieces have of an address is what Find has, with all that takes
// addresses out of listings or changes them.
func TestPieces(t *testing.T) {
	checked := 0
	for seed := range uint64(300) {
		w := newWorld(seed, seed%2 == 1)
		o := w.oracle()
		for i := range w.IntN(4) {
			var list []netip.Prefix
			for range 1 + w.IntN(5) {
				list = append(list, w.prefix(8))
			}
			o.policy.Warninglists = append(o.policy.Warninglists, intel.NewWarninglist(fmt.Sprint(i), intel.Classes()[w.IntN(4)], list, nil))
		}
		table, _ := o.build()
		all := cuts(t, table)
		for _, a := range w.probes(o) {
			if a.IsUnspecified() {
				continue
			}
			for _, port := range []uint16{0, 80, 81} {
				want := slices.DeleteFunc(table.Find(a, port).Indicators(), func(ind intel.Indicator) bool {
					return ind.Port != port || ind.Prefix.Addr().Is4() != a.Is4()
				})
				if got := at(all, a, port); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d: %s port %d:\n%v\nwant\n%v", seed, a, port, got, want)
				}
				checked += len(want)
			}
		}
	}
	if checked < 10_000 {
		t.Errorf("only %d listings compared", checked)
	}
	for range new(Table).Pieces() {
		t.Error("the empty table has pieces")
	}
}

// TestUntouchable: it has exactly the addresses that Outside refuses, and the critical
// services in any case.
func TestUntouchable(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(seed, seed%2 == 1)
		o := w.oracle()
		o.policy.NAT64 = []netip.Prefix{netip.MustParsePrefix("2a00:64::/96")}
		o.policy.Warninglists = []*intel.Warninglist{
			intel.NewWarninglist("i", intel.ClassInfrastructure, []netip.Prefix{w.prefix(8), w.prefix(8)}, nil),
			intel.NewWarninglist("s", intel.ClassShared, []netip.Prefix{w.prefix(8)}, nil),
		}
		table, _ := o.build()
		never, err := table.Untouchable()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(w.probes(o), netip.MustParseAddr("2a00:64::1"), netip.MustParseAddr("192.0.0.9"), netip.MustParseAddr("2001:3::1")) {
			if got, want := never.Contains(a), !table.Outside(a); got != want {
				t.Fatalf("seed %d: %s: %t, want %t", seed, a, got, want)
			}
		}
		for _, p := range intel.CriticalServices() {
			if !never.ContainsPrefix(p) {
				t.Fatalf("%s may be blocked", p)
			}
		}
	}
	if never, err := new(Table).Untouchable(); err != nil || !never.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Errorf("the empty table: %v", err)
	}
}

// BenchmarkPieces walks a table of 100,000 addresses.
func BenchmarkPieces(b *testing.B) {
	w := newWorld(1, false)
	builder := NewBuilder(Policy{})
	for range 100_000 {
		a := netip.AddrFrom4([4]byte{byte(30 + w.IntN(60)), byte(w.IntN(256)), byte(w.IntN(256)), byte(w.IntN(256))})
		builder.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Feed: w.feed(), Score: 50, Category: "c2"}, OriginFeed)
	}
	table, _ := builder.Build("v1")
	for b.Loop() {
		n := 0
		for range table.Pieces() {
			n++
		}
	}
}
