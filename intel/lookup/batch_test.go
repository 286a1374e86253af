package lookup

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"

	"github.com/flowsnitch/flowsnitch/intel"
)

// listOf builds a table of the operator's prefixes: no guard stands between.
func listOf(prefixes ...netip.Prefix) *Table {
	b := NewBuilder(Policy{})
	for _, p := range prefixes {
		b.Add(intel.Indicator{Prefix: p, Feed: "test"}, OriginOperator)
	}
	t, _ := b.Build("")
	return t
}

func random6(r *rand.Rand) flow.Addr6 {
	return flow.Addr6{Hi: 0x2000<<48 | r.Uint64()>>3, Lo: r.Uint64()}
}

// Every length, alone in a table: its edges are matched and their neighbours not.
func TestEveryLength(t *testing.T) {
	for _, a := range []string{"93.184.216.34", "255.255.255.255", "0.0.0.1", "2001:db8:7:8:9:a:b:c", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"} {
		addr := netip.MustParseAddr(a)
		for bits := 1; bits <= addr.BitLen(); bits++ {
			p, _ := addr.Prefix(bits)
			table := listOf(p)
			for _, probe := range []netip.Addr{p.Addr(), addr, lastAddr(p), p.Addr().Prev(), lastAddr(p).Next()} {
				want := p.Contains(probe) && !probe.IsUnspecified()
				if got := matches(table, probe); got != want {
					t.Errorf("%s in %s: got %t, want %t", probe, p, got, want)
				}
			}
		}
	}
}

// matches asks Match4 or Match6 for one address.
func matches(t *Table, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if a.Is4() {
		return len(t.Match4([]uint32{uint32(flow.Addr6Of(a).Lo)}, nil)) == 1
	}
	return len(t.Match6([]flow.Addr6{flow.Addr6Of(a)}, nil)) == 1
}

// Many prefixes of all lengths at once: the filters may let pass what the trie
// refuses, never the other way round, and batches of any length come out in order.
func TestMatchEqualsContains(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 63, 1_000, 20_000} {
		for _, shortest := range []int{8, 24, 32} {
			var prefixes []netip.Prefix
			for range n {
				p4, _ := flow.Addr4(r.Uint32()).Prefix(shortest + r.IntN(33-shortest))
				p6, _ := random6(r).Addr().Prefix(3*shortest/2 + r.IntN(129-3*shortest/2))
				prefixes = append(prefixes, p4, p6)
			}
			table := listOf(prefixes...)
			for _, size := range []int{0, 1, 3, 4, 5, 63, 64, 65, 300} {
				checkBatch(t, r, table, prefixes, size)
			}
		}
	}
}

func checkBatch(t *testing.T, r *rand.Rand, table *Table, prefixes []netip.Prefix, size int) {
	t.Helper()
	var set4 []uint32
	var set6 []flow.Addr6
	for range size {
		a4, a6 := r.Uint32(), random6(r)
		if r.IntN(2) == 0 && len(prefixes) > 0 {
			p := prefixes[r.IntN(len(prefixes))].Addr()
			if p.Is4() {
				a4 = uint32(flow.Addr6Of(p).Lo) ^ r.Uint32N(4)
			} else {
				a6 = flow.Addr6Of(p)
				a6.Lo ^= r.Uint64N(4)
			}
		}
		set4, set6 = append(set4, a4), append(set6, a6)
	}
	var want4, want6 []int32
	for i := range size {
		if table.Contains(flow.Addr4(set4[i])) {
			want4 = append(want4, int32(i))
		}
		v4, embeds := (*intel.Embedding)(nil).IPv4(set6[i].Addr())
		if table.Contains(set6[i].Addr()) || embeds && table.Contains(v4) {
			want6 = append(want6, int32(i))
		}
	}
	if got := table.Match4(set4, nil); !slices.Equal(got, want4) {
		t.Fatalf("%d prefixes: Match4 = %v, want %v", len(prefixes), got, want4)
	}
	if got := table.Match6(set6, nil); !slices.Equal(got, want6) {
		t.Fatalf("%d prefixes: Match6 = %v, want %v", len(prefixes), got, want6)
	}
}

// So many short IPv6 prefixes that their /32s would fill the memory, and longer ones
// beside them, are matched like few.
func TestMatch6ManyShortPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var prefixes []netip.Prefix
	for _, bits := range []int{1, 12, 16, 20, 24, 29, 31, 32, 40, 48, 56, 64, 96, 128} {
		for range 300 {
			p, _ := random6(r).Addr().Prefix(bits)
			prefixes = append(prefixes, p)
		}
	}
	checkBatch(t, r, listOf(prefixes[300:]...), prefixes, 4_000) // without the /1, which covers all
	checkBatch(t, r, listOf(prefixes...), prefixes, 4_000)
}

func TestMatchNeverUnspecified(t *testing.T) {
	table := listOf(netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("::/3"))
	if got := table.Match4([]uint32{0, 1}, nil); !slices.Equal(got, []int32{1}) {
		t.Errorf("Match4 = %v, want [1]", got)
	}
	if got := table.Match6([]flow.Addr6{{}, {Lo: 1}}, nil); !slices.Equal(got, []int32{1}) {
		t.Errorf("Match6 = %v, want [1]", got)
	}
	for _, a := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if table.Contains(a) || !table.Find(a, 0).Empty() {
			t.Errorf("%s is listed", a)
		}
	}
}

func TestMatchAppends(t *testing.T) {
	table := listOf(netip.MustParsePrefix("9.9.9.9/32"))
	got := table.Match4([]uint32{1, 0x09090909}, []int32{42})
	if !slices.Equal(got, []int32{42, 1}) {
		t.Errorf("Match4 = %v, want [42 1]", got)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	o := &oracle{policy: Policy{Allow: []netip.Prefix{netip.MustParsePrefix("9.9.9.128/25")}}}
	for _, p := range []string{"9.0.0.0/8", "9.9.9.0/24", "9.9.9.9/32", "2400:1::/32", "2400:1::9/128"} {
		o.given = append(o.given, given{Indicator: intel.Indicator{Prefix: netip.MustParsePrefix(p), Feed: "f"}})
	}
	o.exclude = []exclusion{{"f", netip.MustParsePrefix("9.9.0.0/16")}}
	table, _ := o.build()
	set4 := []uint32{0x09090909, 1, 2, 3, 0x09010101}
	set6 := []flow.Addr6{{Hi: 0x2400000100000000, Lo: 9}, {Hi: 1}}
	found := make([]int32, 0, 8)
	a4, a6 := netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2400:1::9")
	for name, f := range map[string]func(){
		"Match4":   func() { found = table.Match4(set4, found[:0]) },
		"Match6":   func() { found = table.Match6(set6, found[:0]) },
		"Find4":    func() { _ = table.Find(a4, 80).Empty() },
		"Find6":    func() { _ = table.Find(a6, 80).Empty() },
		"Contains": func() { _ = table.Contains(a4) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %.0f times", name, n)
		}
	}
}

// benchTable lists n random /32 and /128 that have evidence as feeds give it.
func benchTable(n int, v6 bool) (*Table, []flow.Addr6) {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(Policy{MaxIndicators: n + 1})
	listed := make([]flow.Addr6, n)
	for i := range listed {
		a := random6(r)
		if !v6 {
			a = flow.Addr6{Lo: 0xffff<<32 | uint64(r.Uint32())}
		}
		listed[i] = a
		addr := a.Addr().Unmap()
		b.Add(intel.Indicator{
			Prefix: netip.PrefixFrom(addr, addr.BitLen()),
			Feed:   "bench", Category: "scan", Score: uint8(i % 100), TLP: "white",
			Ref: "https://example.net/",
		}, OriginOperator)
	}
	t, _ := b.Build("bench")
	return t, listed
}

// benchBatch is two addresses of each of 26 records, a datagram of NetFlow v9;
// benchBatches of them are over 400,000 distinct addresses.
const (
	benchBatch   = 52
	benchBatches = 8192
)

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, v6 := range []bool{false, true} {
			table, listed := benchTable(n, v6)
			for _, hits := range []float64{0, 0.001, 0.1} {
				name := fmt.Sprintf("n=%d/v6=%t/hits=%g", n, v6, hits)
				b.Run(name, func(b *testing.B) { benchMatch(b, table, listed, v6, hits) })
			}
		}
	}
}

func benchMatch(b *testing.B, table *Table, listed []flow.Addr6, v6 bool, hits float64) {
	r := rand.New(rand.NewPCG(8, 9))
	set4 := make([]uint32, benchBatch*benchBatches)
	set6 := make([]flow.Addr6, benchBatch*benchBatches)
	for i := range set4 {
		set4[i], set6[i] = r.Uint32(), random6(r)
		if r.Float64() < hits {
			set6[i] = listed[r.IntN(len(listed))]
			set4[i] = uint32(set6[i].Lo)
		}
	}
	found := make([]int32, 0, benchBatch)
	at := 0
	b.ReportAllocs()
	for b.Loop() {
		if v6 {
			found = table.Match6(set6[at:at+benchBatch], found[:0])
		} else {
			found = table.Match4(set4[at:at+benchBatch], found[:0])
		}
		at = (at + benchBatch) % len(set4)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/addr")
}

func BenchmarkFind(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		table, listed := benchTable(100_000, v6)
		for name, flip := range map[string]uint64{"hit": 0, "miss": 1 << 31} {
			b.Run(fmt.Sprintf("v6=%t/%s", v6, name), func(b *testing.B) {
				i := 0
				for b.Loop() {
					a := listed[i%len(listed)]
					a.Lo ^= flip
					_ = table.Find(a.Addr(), 443)
					i++
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		benchTable(1_000_000, false)
	}
}
