package lookup

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestCrowds compares prefixes with many entries, some with ports and some without, with
// the oracle: in a table from nothing and in one that grew in steps and shrank again.
func TestCrowds(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		o := new(oracle)
		prefixes := []string{"45.155.205.99/32", "45.155.205.0/24", "2a00::1/128"}
		for range 1 + r.IntN(400) {
			i := ind(prefixes[r.IntN(len(prefixes))], fmt.Sprintf("feed%02d", r.IntN(1+int(seed))))
			i.Score = uint8(r.IntN(3) * 30)
			if r.IntN(5) > 0 {
				i.Port = uint16(1 + r.IntN(60))
			}
			o.given = append(o.given, given{Indicator: i})
		}
		if seed%3 == 0 {
			o.exclude = append(o.exclude, exclusion{"feed00", pfx("45.155.205.0/24")})
		}
		full, _ := o.build()
		all := o.given
		var table *Table
		for step := range 6 {
			o.given = all[:len(all)*(6-step)/6]
			b := NewBuilderFrom(full, o.policy)
			for _, x := range o.exclude {
				b.Exclude(x.feed, x.prefix)
			}
			for _, g := range o.given {
				b.Add(g.Indicator, g.origin)
			}
			table, _ = b.Build("v")
			checkPorts(t, seed, o, table)
			full = table
		}
	}
}

func checkPorts(t *testing.T, seed uint64, o *oracle, table *Table) {
	t.Helper()
	entries := o.accepted()
	if table.Len() != len(entries) {
		t.Fatalf("seed %d: %d entries, want %d", seed, table.Len(), len(entries))
	}
	for _, a := range []string{"45.155.205.99", "45.155.205.1", "2a00::1"} {
		for port := range uint16(63) {
			addr := pfx(a + "/32").Addr()
			m := table.Find(addr, port)
			want := o.find(entries, addr, port)
			if plain(m.Indicators()) != plain(want) || m.Len() != len(want) || len(want) > 0 && m.MaxScore() != want[0].Score {
				t.Fatalf("seed %d: %s:%d:\n%swant\n%s", seed, a, port, plain(m.Indicators()), plain(want))
			}
		}
	}
}

// crowded makes a table with one address listed by so many feeds, at so many ports each
// (0 = none), among 10,000 others.
func crowded(feeds, ports int) *Table {
	b := NewBuilder(Policy{})
	for i := range 10_000 {
		b.Add(ind(fmt.Sprintf("62.%d.%d.1/32", i>>8, i&255), "others"), OriginFeed)
	}
	for f := range feeds {
		i := ind("45.155.205.99/32", fmt.Sprintf("feed%03d", f))
		if ports == 0 {
			b.Add(i, OriginFeed)
		}
		for p := range ports {
			i.Port = uint16(p + 1)
			b.Add(i, OriginFeed)
		}
	}
	t, _ := b.Build("v1")
	return t
}

// BenchmarkCrowd finds an address that is listed once, at every port, or by many feeds.
func BenchmarkCrowd(b *testing.B) {
	for _, tt := range []struct{ feeds, ports int }{{1, 0}, {1, 65_535}, {300, 0}, {10, 6_000}} {
		table := crowded(tt.feeds, tt.ports)
		addr := pfx("45.155.205.99/32").Addr()
		b.Run(fmt.Sprintf("feeds=%d/ports=%d", tt.feeds, tt.ports), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if table.Find(addr, 443).Empty() {
					b.Fatal("not listed")
				}
			}
		})
	}
}

// BenchmarkCrowdUpdate builds a set anew of which nothing has changed, with one address
// at every port.
func BenchmarkCrowdUpdate(b *testing.B) {
	table := crowded(1, 65_535)
	for b.Loop() {
		next := NewBuilderFrom(table, Policy{})
		i := ind("45.155.205.99/32", "feed000")
		for p := range 65_535 {
			i.Port = uint16(p + 1)
			next.Add(i, OriginFeed)
		}
		next.Build("v2")
	}
}
