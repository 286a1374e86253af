package lookup

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"

	"github.com/flowsnitch/flowsnitch/intel"
)

// The oracle answers by linear scan what a table answers by trie and filters.
type oracle struct {
	policy  Policy
	given   []given
	exclude []exclusion
}

type given struct {
	intel.Indicator
	origin Origin
}

type exclusion struct {
	feed   string
	prefix netip.Prefix
}

// reason says which guard stops an entry, by the words of the policy.
func (o *oracle) reason(g given) Reason {
	p := g.Prefix
	if p.Bits() == 0 {
		return ReasonDefaultRoute
	}
	if g.origin == OriginOperator {
		return ""
	}
	if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 19 {
		return ReasonTooWide
	}
	for _, a := range o.policy.Allow {
		if a.Overlaps(p) && a.Bits() <= p.Bits() {
			return ReasonAllow
		}
	}
	for _, h := range o.policy.Home {
		if h.Overlaps(p) {
			return ReasonHome
		}
	}
	if _, ok := intel.SpecialPurpose(p); ok {
		return ReasonSpecialPurpose
	}
	return ""
}

// accepted gives the entries that stay: no guard stops them and they say something
// new. Of two that say the same, the one seen later stays.
func (o *oracle) accepted() []given {
	var out []given
next:
	for _, g := range o.given {
		if o.reason(g) != "" {
			continue
		}
		for i := range out {
			if x := &out[i]; x.Prefix == g.Prefix && x.Feed == g.Feed && x.Port == g.Port {
				if g.LastSeen.After(x.LastSeen) {
					x.LastSeen = g.LastSeen
				}
				x.Score = max(x.Score, g.Score)
				if g.origin == OriginOperator {
					x.origin = OriginOperator
				}
				continue next
			}
		}
		out = append(out, g)
	}
	return out
}

func (o *oracle) contains(entries []given, a netip.Addr) bool {
	return !a.IsUnspecified() && slices.ContainsFunc(entries, func(g given) bool { return g.Prefix.Contains(a) })
}

func (o *oracle) find(entries []given, a netip.Addr, port uint16) []intel.Indicator {
	var out []intel.Indicator
	if a.IsUnspecified() {
		return nil
	}
	for _, g := range entries {
		if g.Prefix.Contains(a) && (g.Port == 0 || g.Port == port) && !o.stops(g, a) {
			out = append(out, g.Indicator)
		}
	}
	slices.SortFunc(out, func(a, b intel.Indicator) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()),
			cmp.Compare(a.Feed, b.Feed), cmp.Compare(a.Port, b.Port))
	})
	return out
}

// stops tells whether allowlist or exclusions take the address out of the entry.
func (o *oracle) stops(g given, a netip.Addr) bool {
	for _, x := range o.exclude {
		if x.feed == g.Feed && x.prefix.Contains(a) && x.prefix.Bits() >= g.Prefix.Bits() {
			return true
		}
	}
	return g.origin == OriginFeed &&
		slices.ContainsFunc(o.policy.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (o *oracle) build() (*Table, Report) {
	b := NewBuilder(o.policy)
	for _, x := range o.exclude {
		b.Exclude(x.feed, x.prefix)
	}
	for _, g := range o.given {
		b.Add(g.Indicator, g.origin)
	}
	return b.Build("v1")
}

// world makes random prefixes that nest and touch: all grow from few stems.
type world struct {
	*rand.Rand
	stems []netip.Addr
}

func newWorld(seed uint64, v6 bool) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 7))}
	for range 6 {
		var b [16]byte
		for i := range b {
			b[i] = byte(w.Uint32())
		}
		if v6 {
			b[0] = 0x20 | b[0]&0x0f // 2000::/4
			w.stems = append(w.stems, netip.AddrFrom16(b))
		} else {
			b[0] = 30 + b[0]%60 // public space
			w.stems = append(w.stems, netip.AddrFrom4([4]byte(b[:4])))
		}
	}
	return w
}

// addr gives an address that shares a random number of bits with a stem.
func (w *world) addr() netip.Addr {
	a := w.stems[w.IntN(len(w.stems))]
	b := a.AsSlice()
	for i := w.IntN(a.BitLen() + 1); i < a.BitLen(); i++ {
		if w.IntN(3) == 0 {
			b[i/8] ^= 0x80 >> (i % 8)
		}
	}
	a, _ = netip.AddrFromSlice(b)
	return a
}

func (w *world) prefix(least int) netip.Prefix {
	a := w.addr()
	bits := least + w.IntN(a.BitLen()-least+1)
	if w.IntN(3) == 0 {
		bits = a.BitLen()
	}
	p, _ := a.Prefix(bits)
	return p
}

func (w *world) oracle() *oracle {
	o := new(oracle)
	for range w.IntN(4) {
		o.policy.Allow = append(o.policy.Allow, w.prefix(9))
	}
	for range w.IntN(2) {
		o.policy.Home = append(o.policy.Home, w.prefix(16))
	}
	for range w.IntN(12) {
		o.exclude = append(o.exclude, exclusion{w.feed(), w.prefix(8)})
	}
	for i := range 1 + w.IntN(60) {
		g := given{Indicator: intel.Indicator{
			Prefix:   w.prefix(1),
			Feed:     w.feed(),
			Score:    uint8(w.IntN(4) * 25),
			LastSeen: time.Unix(int64(1_700_000_000+w.IntN(5)), 0).UTC(),
			NativeID: fmt.Sprint(i % 7),
		}}
		if w.IntN(4) == 0 {
			g.Port = uint16(80 + w.IntN(2))
		}
		if w.IntN(4) == 0 {
			g.origin = OriginOperator
		}
		o.given = append(o.given, g)
	}
	return o
}

func (w *world) feed() string { return string(rune('a' + w.IntN(3))) }

// probes gives addresses in, at the edges of and near the prefixes of the oracle.
func (w *world) probes(o *oracle) []netip.Addr {
	var out []netip.Addr
	edges := func(p netip.Prefix) {
		first, last := p.Addr(), lastAddr(p)
		out = append(out, first, last)
		for _, a := range []netip.Addr{first.Prev(), last.Next()} {
			if a.IsValid() {
				out = append(out, a)
			}
		}
	}
	for _, g := range o.given {
		edges(g.Prefix)
	}
	for _, p := range o.policy.Allow {
		edges(p)
	}
	for _, x := range o.exclude {
		edges(x.prefix)
	}
	for range 50 {
		out = append(out, w.addr())
	}
	return append(out, netip.IPv4Unspecified(), netip.IPv6Unspecified())
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// plain leaves of an indicator what the oracle knows of merged evidence.
func plain(inds []intel.Indicator) string {
	s := ""
	for _, i := range inds {
		s += fmt.Sprintf("%s:%d %s %d %d\n", i.Prefix, i.Port, i.Feed, i.Score, i.LastSeen.Unix())
	}
	return s
}

func TestTableAgainstOracle(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(seed, seed%2 == 1)
		o := w.oracle()
		table, report := o.build()
		entries := o.accepted()
		if table.Len() != len(entries) {
			t.Fatalf("seed %d: %d entries, want %d", seed, table.Len(), len(entries))
		}
		checkReport(t, o, report)
		addrs := w.probes(o)
		checkSets(t, o, entries, table, addrs)
		for _, a := range addrs {
			if got, want := table.Contains(a), o.contains(entries, a); got != want {
				t.Fatalf("seed %d: Contains(%s) = %t, want %t", seed, a, got, want)
			}
			for _, port := range []uint16{0, 80, 81} {
				m := table.Find(a, port)
				want := o.find(entries, a, port)
				if got := m.Indicators(); plain(got) != plain(want) {
					t.Fatalf("seed %d: Find(%s, %d) =\n%swant\n%s", seed, a, port, plain(got), plain(want))
				}
				if m.Empty() != (len(want) == 0) || m.Len() != len(want) {
					t.Fatalf("seed %d: Find(%s, %d): empty %t, %d indicators, want %d",
						seed, a, port, m.Empty(), m.Len(), len(want))
				}
			}
		}
	}
}

// checkSets compares Match4 and Match6 with Contains of the oracle.
func checkSets(t *testing.T, o *oracle, entries []given, table *Table, addrs []netip.Addr) {
	t.Helper()
	var set4 []uint32
	var set6 []flow.Addr6
	var want4, want6 []int32
	for _, a := range addrs {
		if a.Is4() {
			if o.contains(entries, a) {
				want4 = append(want4, int32(len(set4)))
			}
			set4 = append(set4, uint32(flow.Addr6Of(a).Lo))
			continue
		}
		if o.contains(entries, a) {
			want6 = append(want6, int32(len(set6)))
		}
		set6 = append(set6, flow.Addr6Of(a))
	}
	if got := table.Match4(set4, nil); !slices.Equal(got, want4) {
		t.Fatalf("Match4 = %v, want %v", got, want4)
	}
	if got := table.Match6(set6, nil); !slices.Equal(got, want6) {
		t.Fatalf("Match6 = %v, want %v", got, want6)
	}
}

// checkReport compares the counts with what the oracle refuses.
func checkReport(t *testing.T, o *oracle, r Report) {
	t.Helper()
	refused := make(map[string]map[Reason]int)
	given := make(map[string]int)
	home := 0
	for _, g := range o.given {
		given[g.Feed]++
		if why := o.reason(g); why != "" {
			if refused[g.Feed] == nil {
				refused[g.Feed] = make(map[Reason]int)
			}
			refused[g.Feed][why]++
			if why == ReasonHome {
				home++
			}
		}
	}
	for _, f := range r.Feeds {
		sum := f.Accepted + f.Duplicate
		for why, n := range f.Refused {
			sum += n
			if refused[f.Feed][why] != n {
				t.Fatalf("feed %s: refused %v, want %v", f.Feed, f.Refused, refused[f.Feed])
			}
		}
		if sum != given[f.Feed] {
			t.Fatalf("feed %s: %d entries in the report, %d were given: %+v", f.Feed, sum, given[f.Feed], f)
		}
	}
	if len(r.OwnListed) != home {
		t.Fatalf("%d own addresses listed, want %d", len(r.OwnListed), home)
	}
}
