package listings

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
)

// setOf makes a set from a base; nil = from nothing.
func setOf(base *Set, entries []intel.Indicator) Set {
	d := NewDraft(1_000_000, intel.NewEmbedding(nil))
	if base != nil {
		d.From(base)
	}
	for i := range entries {
		d.Add(&entries[i], d.Feed(entries[i].Feed), false)
	}
	return d.Build()
}

// many gives n addresses.
func many(n int) (out []intel.Indicator) {
	for i := range n {
		out = append(out, intel.Indicator{
			Prefix: netip.PrefixFrom(flow.Addr4(0x3e000000+uint32(i)*7), 32), Feed: "many",
			Category: "scan", Ref: fmt.Sprint("https://example.net/", i),
		})
	}
	return out
}

// TestUpdateShares: where little changes the entries are those of the set before, and
// what is spent on changes is bounded.
func TestUpdateShares(t *testing.T) {
	entries := many(20_000)
	set := setOf(nil, entries)
	const few = 500
	rounds := 0
	for ; ; rounds++ {
		for i := range few {
			entries[(rounds*few+i)%len(entries)].Score = uint8(rounds + 1)
		}
		next := setOf(&set, entries)
		if next.Len() != len(entries) {
			t.Fatalf("%d entries, want %d", next.Len(), len(entries))
		}
		if &next.strings.blob[0] != &set.strings.blob[0] {
			break // made from nothing
		}
		if next.entries.n != set.entries.n+few {
			t.Fatalf("%d places for entries after %d, want %d more", next.entries.n, set.entries.n, few)
		}
		set = next
	}
	if most := spare(len(entries), spareEntries) / few; rounds != most {
		t.Errorf("made from nothing after %d rounds, want %d", rounds, most)
	}
}

// TestUpdateOfMuch: where much changes the set is made from nothing.
func TestUpdateOfMuch(t *testing.T) {
	entries := many(20_000)
	set := setOf(nil, entries)
	next := setOf(&set, entries[:10_000])
	want := setOf(nil, entries[:10_000])
	if next.Len() != 10_000 || next.entries.n != 10_000 || !next.trie.Equal(want.trie) {
		t.Errorf("%d entries in %d places, want 10,000", next.Len(), next.entries.n)
	}
	for _, i := range entries[:10_000] {
		if got := next.Listings(i.Prefix); len(got) != 1 || got[0] != i {
			t.Fatalf("listings %v, want %v", got, i)
		}
	}
}

// The memory of a set is that of its entries.
func TestEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(Entry{}); n != 36 {
		t.Errorf("an entry has %d bytes", n)
	}
}

// TestCrowds: each entry of prefixes with many entries is found by feed and port, and no
// other, in a set from nothing and in sets that shrink step by step.
func TestCrowds(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		var all []intel.Indicator
		for range 1 + r.IntN(400) {
			p := [...]string{"45.155.205.99/32", "45.155.205.0/24", "2a00::1/128"}[r.IntN(3)]
			i := intel.Indicator{
				Prefix: netip.MustParsePrefix(p), Feed: fmt.Sprintf("feed%02d", r.IntN(1+int(seed))), Score: uint8(r.IntN(3) * 30),
			}
			if r.IntN(5) > 0 {
				i.Port = uint16(1 + r.IntN(60))
			}
			all = append(all, i)
		}
		last := setOf(nil, all)
		for step := range 6 {
			left := all[:len(all)*(6-step)/6]
			set := setOf(&last, left)
			checkFound(t, seed, &set, left)
			last = set
		}
		for first, n := range last.crowds {
			if e := last.entries.at(first + n - 1); int(first+n) <= last.entries.n && e.flags&lastOfPrefix == 0 {
				t.Errorf("seed %d: a crowd of %d does not end", seed, n)
			}
		}
	}
}

func checkFound(t *testing.T, seed uint64, s *Set, entries []intel.Indicator) {
	t.Helper()
	for _, g := range entries {
		feed := slices.IndexFunc(s.Counts(), func(f Feed) bool { return f.Name == g.Feed })
		i, ok := s.find(g.Prefix, uint32(feed), g.Port)
		if e := s.entries.at(i); !ok || e.port != g.Port || int(e.feed) != feed {
			t.Fatalf("seed %d: %v is not found", seed, g)
		}
		if _, ok := s.find(g.Prefix, uint32(feed), 999); ok {
			t.Fatalf("seed %d: port 999 is found", seed)
		}
	}
}

func TestTLP(t *testing.T) {
	for in, want := range map[string]string{"": "", "white": "white", "amber+strict": "amber+strict", "purple": "red"} {
		if got := tlps[tlpFlags(in)]; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestInterner(t *testing.T) {
	in := newInterner()
	handles := make(map[string]uint32)
	for i := range 20_000 {
		s := fmt.Sprint("string ", i%7_000)
		h, ok := in.intern(s)
		if !ok || in.at(h) != s {
			t.Fatalf("%q came back as %q", s, in.at(h))
		}
		if old, seen := handles[s]; seen && old != h {
			t.Fatalf("%q has two handles, %d and %d", s, old, h)
		}
		handles[s] = h
	}
	if h, _ := in.intern(""); h != 0 || in.n != 7_000 {
		t.Errorf("handle of nothing %d, %d strings", h, in.n)
	}
}

func TestPagesArrange(t *testing.T) {
	var p pages
	const n = 2*pageLen + 10
	keys := make([]key, n)
	for i := range uint32(n) {
		p.append(Entry{ref: i})
		keys[i].entry = (i*7919 + 5) % n // a permutation: 7919 is prime
	}
	p.arrange(keys)
	for i := range uint32(n) {
		if got, want := p.at(i).ref, (i*7919+5)%n; got != want || keys[i].entry != i {
			t.Fatalf("entry %d is %d, want %d; key %d", i, got, want, keys[i].entry)
		}
	}
	p.truncate(pageLen)
	if len(p.page) != 1 || p.n != pageLen {
		t.Errorf("%d pages of %d entries, want 1", len(p.page), p.n)
	}
}
