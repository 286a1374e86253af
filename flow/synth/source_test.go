package synth_test

import (
	"math"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

func newSource(t testing.TB, cfg noise.Config) *noise.Source {
	t.Helper()
	s, err := noise.NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func flowsOf(t testing.TB, cfg noise.Config, n int) []synth.Flow {
	t.Helper()
	s, flows := newSource(t, cfg), make([]synth.Flow, n)
	for i := range flows {
		flows[i], _ = s.Next(now)
	}
	return flows
}

func TestSourceRepeats(t *testing.T) {
	cfg := noise.Config{Seed: 7, Flows: 1000, IPv6: 0.3}
	flows := flowsOf(t, cfg, 2000)
	compare(t, flows[1000:], flows[:1000])
	compare(t, flowsOf(t, cfg, 1000), flows[:1000])

	distinct := map[synth.Flow]bool{}
	for _, f := range flows {
		distinct[f] = true
	}
	if len(distinct) != 1000 {
		t.Errorf("%d distinct flows, want 1000", len(distinct))
	}
	cfg.Seed++
	if other := flowsOf(t, cfg, 1); other[0] == flows[0] {
		t.Error("another seed gives the same flow")
	}
}

func TestSourceShares(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("2001:db8:bad::/45")}
	home := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	s := newSource(t, noise.Config{Seed: 1, IPv6: 0.25, Hits: 0.1, Listed: listed, Home: home})
	const n = 20000
	var ipv6, hits, homeSrc int
	for range n {
		f, hit := s.Next(now)
		if f.Start.After(f.End) || f.End.After(now) {
			t.Fatalf("flow from %v to %v, now is %v", f.Start, f.End, now)
		}
		if !within(home, f.Src) && !within(home, f.Dst) {
			t.Fatalf("no end of %v -> %v is at home", f.Src, f.Dst)
		}
		if hit && !within(listed, f.Src) && !within(listed, f.Dst) {
			t.Fatalf("%v -> %v is said to be a hit", f.Src, f.Dst)
		}
		ipv6 += count(f.Src.Is6() && !hit)
		hits += count(hit)
		homeSrc += count(within(home, f.Src))
	}
	near(t, "IPv6", float64(ipv6)/float64(n-hits), 0.25)
	near(t, "hits", float64(hits)/n, 0.1)
	near(t, "outbound", float64(homeSrc)/n, 0.5)
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// near allows for chance; the seed is fixed, so the test is not a gamble.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.02 {
		t.Errorf("%s share %g, want about %g", what, got, want)
	}
}

// TestSourceSuits: every protocol can tell every flow, whatever the options.
func TestSourceSuits(t *testing.T) {
	for _, v := range versions {
		cfg := noise.Config{Seed: 3, IPv6: 0.5}
		if v == flow.V5 {
			cfg.IPv6 = 0
		}
		enc, read := newEncoder(t, synth.Config{Version: v}), newOracleWith(t, v, now)
		for rest := flowsOf(t, cfg, 2000); len(rest) > 0; {
			d, n, err := enc.Encode(nil, rest, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(read.decode(t, d).flows); got != n {
				t.Fatalf("%v: %d flows read, %d written", v, got, n)
			}
			rest = rest[n:]
		}
	}
}

// TestSourceOneFamily: hits keep to the family that is asked for.
func TestSourceOneFamily(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, share := range []float64{0, 1} {
		for _, f := range flowsOf(t, noise.Config{IPv6: share, Hits: 0.5, Listed: listed}, 500) {
			if f.Src.Is6() != (share == 1) {
				t.Fatalf("IPv6 share %g gives %v", share, f.Src)
			}
		}
	}
}

func TestSourceErrors(t *testing.T) {
	v4 := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for _, c := range []noise.Config{
		{Flows: -1},
		{IPv6: 1.1},
		{IPv6: math.NaN()},
		{Hits: -0.1, Listed: v4},
		{Hits: 0.1},
		{Hits: 0.1, Listed: v4, IPv6: 1},
		{Listed: []netip.Prefix{{}}},
		{Home: []netip.Prefix{{}}},
	} {
		if _, err := noise.NewSource(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
