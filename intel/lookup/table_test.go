package lookup

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup/listings"
)

// lookupTable has something of everything that lookup may meet.
func lookupTable() *Table {
	b := NewBuilder(Policy{
		Allow: []netip.Prefix{pfx("9.9.9.9/32"), pfx("7.7.0.0/16")},
		Home:  []netip.Prefix{pfx("62.1.0.0/16")},
	})
	for _, p := range []string{"9.9.0.0/16", "9.9.9.0/24", "9.9.9.9/32", "9.9.9.8/32", "7.7.7.7/32", "62.1.2.3/32", "192.168.1.1/32"} {
		b.Add(ind(p, "f"), OriginFeed)
	}
	b.Exclude("f", pfx("9.9.8.0/24"))
	t, _ := b.Build("v1")
	return t
}

func TestListings(t *testing.T) {
	table := lookupTable()
	tests := []struct {
		prefix string
		want   []string
	}{
		{"9.9.9.8/32", []string{"9.9.9.8/32", "9.9.9.0/24", "9.9.0.0/16"}},
		{"9.9.9.0/24", []string{"9.9.9.0/24", "9.9.0.0/16", "9.9.9.8/32"}},
		{"9.9.9.1/24", []string{"9.9.9.0/24", "9.9.0.0/16", "9.9.9.8/32"}},
		{"::ffff:9.9.9.8/128", []string{"9.9.9.8/32", "9.9.9.0/24", "9.9.0.0/16"}},
		{"9.0.0.0/8", []string{"9.9.0.0/16", "9.9.9.0/24", "9.9.9.8/32"}},
		{"7.7.7.7/32", nil},
		{"2001:db8::/32", nil},
	}
	for _, tt := range tests {
		var got []string
		for _, i := range table.Listings(pfx(tt.prefix)) {
			got = append(got, i.Prefix.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("Listings(%s) = %v, want %v", tt.prefix, got, tt.want)
		}
	}
	if got := table.Listings(netip.Prefix{}); got != nil {
		t.Errorf("Listings of nothing = %v", got)
	}
}

// TestPrefixes: a feed lists what was accepted of it, each prefix once, also in a table that
// was made from another one.
func TestPrefixes(t *testing.T) {
	first := NewBuilder(Policy{})
	for _, p := range []string{"9.9.9.9/32", "9.9.0.0/16", "2a00::/32", "9.9.9.9/32"} {
		in := ind(p, "a")
		first.Add(in, OriginFeed)
		in.Port = 443
		first.Add(in, OriginFeed)
	}
	first.Add(ind("9.9.9.8/32", "b"), OriginFeed)
	first.Add(ind("192.168.1.1/32", "b"), OriginFeed) // refused
	one, _ := first.Build("v1")
	next := NewBuilderFrom(one, Policy{})
	next.Add(ind("1.1.1.2/32", "c"), OriginFeed)
	next.Add(ind("9.9.9.9/32", "b"), OriginFeed)
	two, _ := next.Build("v2")
	for _, tt := range []struct {
		table      *Table
		feed, want string
	}{
		{one, "a", "[9.9.0.0/16 9.9.9.9/32 2a00::/32]"}, {one, "b", "[9.9.9.8/32]"}, {one, "c", "[]"}, {one, "", "[]"},
		{two, "a", "[]"}, {two, "b", "[9.9.9.9/32]"}, {two, "c", "[1.1.1.2/32]"}, {new(Table), "a", "[]"},
	} {
		if got := fmt.Sprint(slices.Collect(tt.table.Prefixes(tt.feed))); got != tt.want {
			t.Errorf("%s of %q: %s, want %s", tt.table.Version(), tt.feed, got, tt.want)
		}
	}
	for p := range one.Prefixes("a") {
		if p != pfx("9.9.0.0/16") {
			t.Errorf("the first one is %s", p)
		}
		break
	}
}

// The entries of one prefix come the best first, then by feed and port.
func TestListingsOrder(t *testing.T) {
	b := NewBuilder(Policy{})
	for i, feed := range []string{"c", "a", "b", "a"} {
		in := ind("9.9.9.9/32", feed)
		in.Score, in.Port = uint8(10*(i/2)), uint16(i)
		b.Add(in, OriginFeed)
	}
	table, _ := b.Build("")
	got := ""
	for _, i := range table.Listings(pfx("9.9.9.9/32")) {
		got += fmt.Sprintf("%s%d:%d ", i.Feed, i.Score, i.Port)
	}
	if want := "a10:3 b10:2 a0:1 c0:0 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListingsIsBounded(t *testing.T) {
	b := NewBuilder(Policy{})
	for i := range listings.MaxListings + 1 {
		b.Add(ind(fmt.Sprintf("9.9.%d.%d/32", i>>8, i&255), "f"), OriginFeed)
	}
	table, _ := b.Build("")
	if got := len(table.Listings(pfx("9.0.0.0/8"))); got != listings.MaxListings {
		t.Errorf("%d listings, want %d", got, listings.MaxListings)
	}
}

func TestExplain(t *testing.T) {
	table := lookupTable()
	tests := []struct {
		prefix string
		want   []string
	}{
		{"9.9.9.9/32", []string{"9.9.9.9/32 f allow 9.9.9.9/32", "9.9.9.9/32  allow 9.9.9.9/32"}},
		{"9.9.9.8/32", nil},
		{"9.9.8.1/32", []string{"9.9.8.1/32 f excluded 9.9.8.0/24"}},
		{"7.7.7.7/32", []string{"7.7.7.7/32 f allow 7.7.0.0/16", "7.7.7.7/32  allow 7.7.0.0/16"}},
		{"62.1.2.0/24", []string{"62.1.2.3/32 f home 62.1.0.0/16", "62.1.2.0/24  home 62.1.0.0/16"}},
		{"192.168.1.1/32", []string{"192.168.1.1/32 f special-purpose 192.168.0.0/16", "192.168.1.1/32  special-purpose 192.168.0.0/16"}},
	}
	for _, tt := range tests {
		if got := explained(table, tt.prefix); !slices.Equal(got, tt.want) {
			t.Errorf("Explain(%s) = %q, want %q", tt.prefix, got, tt.want)
		}
	}
}

func explained(t *Table, prefix string) []string {
	var out []string
	for _, s := range t.Explain(pfx(prefix)) {
		out = append(out, fmt.Sprintf("%s %s %s %s", s.Prefix, s.Feed, s.Reason, s.By))
	}
	return out
}

// The empty table answers everything.
func TestEmptyTable(t *testing.T) {
	table := NewStore().Load()
	a := netip.MustParseAddr("9.9.9.9")
	if table.Contains(a) || !table.Find(a, 0).Empty() || table.Len() != 0 || table.Version() != "" ||
		matches(table, a) || matches(table, netip.MustParseAddr("2a00::1")) || len(table.Feeds()) != 0 {
		t.Error("the empty table lists something")
	}
	if got := explained(table, "10.0.0.1/32"); len(got) != 1 {
		t.Errorf("Explain = %q, want special-purpose alone", got)
	}
	var m Match
	if !m.Empty() || m.Indicators() != nil || m.Version() != "" || m.Len() != 0 {
		t.Error("the zero match is not empty")
	}
}

func TestStore(t *testing.T) {
	s := NewStore()
	first, second := lookupTable(), lookupTable()
	s.Swap(first)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1_000 {
				if !s.Load().Contains(netip.MustParseAddr("9.9.9.8")) {
					t.Error("a reader saw no table")
				}
			}
		})
	}
	if old := s.Swap(second); old != first {
		t.Error("Swap did not give the old table")
	}
	readers.Wait()
	if s.Swap(nil) != second || s.Load().Len() != 0 {
		t.Error("Swap(nil) did not empty the store")
	}
}

// TestMaxScore compares with the indicators, for prefixes with few entries and with many.
func TestMaxScore(t *testing.T) {
	b := NewBuilder(Policy{})
	for i := range 300 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{62, 0, 0, byte(i % 3)}), 32-i%2)
		b.Add(intel.Indicator{Prefix: p.Masked(), Port: uint16(i % 5 * (1 + i%3)), Feed: fmt.Sprint("feed", i%7, i%2), Score: uint8(1 + i*37%100)}, OriginFeed)
	}
	table, _ := b.Build("v1")
	for last := range 4 {
		for port := range uint16(20) {
			m := table.Find(netip.AddrFrom4([4]byte{62, 0, 0, byte(last)}), port)
			best := uint8(0)
			for _, ind := range m.Indicators() {
				best = max(best, ind.Score)
			}
			if m.MaxScore() != best {
				t.Errorf("62.0.0.%d, port %d: best score %d, want %d", last, port, m.MaxScore(), best)
			}
		}
	}
	if m := MatchOf("v1", netip.Addr{}, []intel.Indicator{{Score: 3}, {Score: 9}}); m.MaxScore() != 9 {
		t.Errorf("best score %d of listings without a table, want 9", m.MaxScore())
	}
}
