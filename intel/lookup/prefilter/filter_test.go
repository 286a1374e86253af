package prefilter

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
)

func random6(r *rand.Rand) flow.Addr6 {
	return flow.Addr6{Hi: 0x2000<<48 | r.Uint64()>>3, Lo: r.Uint64()}
}

// prefix6 cuts an address to so many bits.
func prefix6(a flow.Addr6, n int) flow.Addr6 {
	p, _ := a.Addr().Prefix(n)
	return flow.Addr6Of(p.Addr())
}

// TestNeverTurnedAway: addresses of prefixes of every length pass both stages, alone, in
// chunks of any length, and in a clone, which leaves the first filter as it was.
func TestNeverTurnedAway(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 0; n <= 128; n++ {
		var lengths [129]int
		lengths[n] = 3
		six, four := New6(&lengths, intel.NewEmbedding(nil)), New4(3)
		for range 3 {
			a, b := random6(r), r.Uint32()
			first := prefix6(a, n)
			six.Add(first, n)
			if six.Pass([]flow.Addr6{a, first}) != 3 || !six.Maybe(a) || !six.Lets(a) || !six.Lets(first) {
				t.Fatalf("%s in a /%d is turned away", a.Addr(), n)
			}
			if n > 32 {
				continue
			}
			before, passed := four, four.Lets(b)
			four = four.Clone()
			four.Add(uint32(uint64(b)>>(32-n)<<(32-n)), n)
			if four.Pass([]uint32{b}) != 1 || !four.Maybe(b) || !four.Lets(b) {
				t.Fatalf("%s in a /%d is turned away", flow.Addr4(b), n)
			}
			if before.Lets(b) != passed {
				t.Fatalf("a filter of /%d changes with its clone", n)
			}
		}
	}
}

// TestPassEqualsLets: the stages together are what Lets gives for one address.
func TestPassEqualsLets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	four, six := New4(5_000), New6(&[129]int{40: 2_500, 128: 2_500}, intel.NewEmbedding(nil))
	for range 2_500 {
		four.Add(r.Uint32(), 32)
		four.Add(r.Uint32()&^0xff, 24)
		a := random6(r)
		six.Add(prefix6(a, 40), 40)
		six.Add(random6(r), 128)
	}
	for size := range Chunk + 1 {
		set4, set6 := make([]uint32, size), make([]flow.Addr6, size)
		for i := range size {
			set4[i], set6[i] = r.Uint32(), random6(r)
		}
		pass4, pass6 := four.Pass(set4), six.Pass(set6)
		for i := range size {
			if got, want := pass4>>i&1 != 0 && four.Maybe(set4[i]), four.Lets(set4[i]); got != want {
				t.Fatalf("address %d of %d: passes %t, Lets %t", i, size, got, want)
			}
			if got, want := pass6>>i&1 != 0 && six.Maybe(set6[i]), six.Lets(set6[i]); got != want {
				t.Fatalf("IPv6 address %d of %d: passes %t, Lets %t", i, size, got, want)
			}
		}
		if size < Chunk && (bits.Len64(pass4) > size || bits.Len64(pass6) > size) {
			t.Fatalf("masks of %d addresses: %x and %x", size, pass4, pass6)
		}
	}
}

// TestTurnsAwayMost: about 999 of 1,000 random addresses are turned away by a filter of
// the size that was announced, and 10 times as many prefixes do not make it useless.
func TestTurnsAwayMost(t *testing.T) {
	const n, asked = 20_000, 1_000_000
	for _, tt := range []struct{ times, most int }{{1, asked / 500}, {10, asked / 5}} {
		r := rand.New(rand.NewPCG(5, 6))
		four, six := New4(n), New6(&[129]int{128: n}, intel.NewEmbedding(nil))
		for range tt.times * n {
			four.Add(r.Uint32(), 32)
			six.Add(random6(r), 128)
		}
		var pass4, pass6 int
		for range asked {
			if four.Lets(r.Uint32()) {
				pass4++
			}
			if six.Lets(random6(r)) {
				pass6++
			}
		}
		if pass4 > tt.most || pass6 > tt.most {
			t.Errorf("%d prefixes: %d and %d of %d addresses pass, want at most %d", tt.times*n, pass4, pass6, asked, tt.most)
		}
	}
}

// TestManyShortPrefixes: so many short IPv6 prefixes that their /32s would fill the memory
// stand in the coarse bitmap, and the longer ones beside them keep their own.
func TestManyShortPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var lengths [129]int
	short := []int{12, 16, 20, 24, 29, 31, 32, 40, 48, 56, 64, 96, 128}
	for _, n := range short {
		lengths[n] = 300
	}
	f := New6(&lengths, intel.NewEmbedding(nil))
	var listed []flow.Addr6
	for _, n := range short {
		for range lengths[n] {
			a := random6(r)
			f.Add(prefix6(a, n), n)
			listed = append(listed, a)
		}
	}
	if f.top == nil {
		t.Fatal("the coarse bitmap is not in use")
	}
	if got, most := len(f.gate)*64, 16*(expandBudget+len(listed)); got > most {
		t.Fatalf("%d bits for /32s, want at most %d", got, most)
	}
	for _, a := range listed {
		if !f.Lets(a) {
			t.Fatalf("%s is turned away", a.Addr())
		}
	}
}

// TestZeroFilter: the filter of the empty table lets nothing pass.
func TestZeroFilter(t *testing.T) {
	if new(Filter4).Lets(1) || new(Filter6).Lets(flow.Addr6Of(netip.MustParseAddr("2a00::1"))) {
		t.Error("an address passes")
	}
}
