package dnsbl

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestMarks: marks last as long as they should, at most 4 s longer, and a clock that
// was put back or was wrong when they were made does not keep them for ever.
func TestMarks(t *testing.T) {
	m := newMarks(1000, time.Hour)
	now := time.Unix(1_800_000_000, 0)
	h := m.hash(flow.Addr6{Hi: 1, Lo: 2})
	m.set(h, unit(now), time.Minute)
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {55 * time.Second, true}, {65 * time.Second, false}, {-30 * time.Minute, true}, {-2 * time.Hour, false}, {40 * 365 * 24 * time.Hour, false}} {
		if got := m.has(h, unit(now.Add(tt.after))); got != tt.want {
			t.Errorf("after %v: %t", tt.after, got)
		}
	}
	m.set(h, unit(now), 0)
	if m.has(h, unit(now)) {
		t.Error("a mark of no time")
	}
	m.set(h, unit(now), 1000*time.Hour)
	if m.has(h, unit(now.Add(2*time.Hour))) {
		t.Error("a mark outlives the longest")
	}
}

// TestMarksHold: nearly all of as many addresses as there is room for are remembered,
// and none that was not marked.
func TestMarksHold(t *testing.T) {
	const n = 100_000
	m := newMarks(n, time.Hour)
	now := unit(time.Unix(1_800_000_000, 0))
	addr := func(i int) flow.Addr6 { return flow.Addr6{Lo: 0xffff<<32 | uint64(62<<24+i)} }
	for i := range n {
		m.set(m.hash(addr(i)), now, time.Minute)
	}
	kept := 0
	for i := range n {
		if m.has(m.hash(addr(i)), now) {
			kept++
		}
		if m.has(m.hash(addr(i+n)), now) {
			t.Errorf("%d was never marked", i+n)
		}
	}
	if kept < n*9/10 {
		t.Errorf("%d of %d are remembered", kept, n)
	}
	t.Logf("%d of %d in %d words", kept, n, len(m.words))
}

// TestMarksAtOnce is for the race detector.
func TestMarksAtOnce(t *testing.T) {
	m := newMarks(64, time.Hour)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				h := m.hash(flow.Addr6{Lo: uint64(i * g)})
				m.set(h, 1, time.Minute)
				m.has(h, 1)
			}
		})
	}
	wg.Wait()
}

// TestClaim: an address is claimed once a minute, not at all while it is known not to be
// listed, and again soon when the queue had no room; zeros never.
func TestClaim(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Queue = 1
	c := New(cfg, nil)
	a, other := c.NewAsker(), c.NewAsker()
	now := time.Now()
	const one, two = 62<<24 | 1, 62<<24 | 2
	claim := func(a *Asker, after time.Duration, want int, addrs ...uint32) {
		t.Helper()
		if got := a.Claim4(addrs, now.Add(after), nil); len(got) != want {
			t.Errorf("after %v: %v of %v claimed, want %d", after, got, addrs, want)
		}
	}
	claim(a, 0, 2, one, two, one, 0)
	claim(a, 50*time.Second, 0, one, two)
	claim(other, 0, 2, one, two)
	claim(a, 70*time.Second, 2, one, two)

	c.spread(flow.Addr4(one), verdict{until: c.now() + 600})
	claim(a, 140*time.Second, 1, one, two)
	claim(other, 140*time.Second, 1, one, two)
	claim(other, 700*time.Second, 2, one, two)

	listed := flow.Addr6{Hi: 0x2a00 << 48, Lo: 1}
	if got := a.Claim6([]flow.Addr6{{}, listed, listed}, now, nil); len(got) != 1 || got[0] != 1 {
		t.Errorf("%v", got)
	}
	a.Ask(&flow.Record{}, flow.SideDst, listed.Addr(), [2]netip.Addr{listed.Addr()}, now)
	if a.Room(netip.MustParseAddr("2a00::1"), now) || c.Stats().Dropped != 1 {
		t.Errorf("room in a full queue; %+v", c.Stats())
	}
	if got := a.Claim6([]flow.Addr6{listed}, now.Add(10*time.Second), nil); len(got) != 1 {
		t.Error("an address that found no room is not claimed again")
	}
}

func TestClaimDoesNotAllocate(t *testing.T) {
	c := New(DefaultConfig(), nil)
	a := c.NewAsker()
	addrs, found := make([]uint32, 64), make([]int32, 0, 64)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		for i := range addrs {
			addrs[i]++
		}
		found = a.Claim4(addrs, now, found[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
