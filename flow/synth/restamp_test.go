package synth_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// TestRestamp: a datagram sent again later is, byte for byte, the one that Encode
// writes later for flows that are as much later.
func TestRestamp(t *testing.T) {
	for _, v := range versions {
		for _, agent := range []string{"192.0.2.1", "2001:db8::1"} {
			t.Run(fmt.Sprintf("%v/%s", v, agent), func(t *testing.T) {
				cfg := synth.Config{Version: v, Sampling: 100, Boot: now.Add(-time.Hour), Agent: netip.MustParseAddr(agent)}
				checkRestamp(t, cfg)
				if v == flow.V9 || v == flow.IPFIX {
					cfg.Order, cfg.Totals, cfg.AVC = 5, true, true
					cfg.Scoped = scoped(10, map[flow.Version]uint32{flow.V9: 2, flow.IPFIX: 10}[v], 3)
					checkRestamp(t, cfg)
					cfg.Sampling = 0
					checkRestamp(t, cfg)
				}
			})
		}
	}
}

func checkRestamp(t *testing.T, cfg synth.Config) {
	r := rand.New(rand.NewPCG(1, uint64(cfg.Version)))
	first := newEncoder(t, cfg)
	cfg.Domain = 77 // the datagram takes on the identity of who sends it again
	again, fresh := newEncoder(t, cfg), newEncoder(t, cfg)
	for i := range 50 {
		flows := make([]synth.Flow, 1+r.IntN(40))
		for j := range flows {
			flows[j] = randomFlow(r, cfg.Version)
			if cfg.Version != flow.SFlow { // recent, so that their age still fits when moved
				flows[j].Start, flows[j].End = now.Add(-time.Minute), now.Add(-time.Second)
			}
		}
		later := now.Add(time.Duration(i) * 123 * time.Second)
		var d, want []byte
		if i%5 == 0 {
			d, want = first.Templates(nil, now), fresh.Templates(nil, later)
		} else {
			d, want = encodeBoth(t, first, fresh, flows, later)
		}
		if len(d) == 0 {
			continue
		}
		again.Restamp(d, later)
		if at := difference(d, want); at >= 0 {
			t.Fatalf("datagram %d differs at byte %d, restamped:\n%x\nwritten anew:\n%x", i, at, d[at:], want[at:])
		}
	}
	if again.Sequence() != fresh.Sequence() {
		t.Errorf("sequence %d, want %d", again.Sequence(), fresh.Sequence())
	}
}

// difference is the first byte that differs, -1 if none does.
func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

func encodeBoth(t *testing.T, first, fresh *synth.Encoder, flows []synth.Flow, later time.Time) (d, want []byte) {
	d, n, err := first.Encode(nil, flows, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range flows {
		if !flows[i].Start.IsZero() {
			flows[i].Start = flows[i].Start.Add(later.Sub(now))
			flows[i].End = flows[i].End.Add(later.Sub(now))
		}
	}
	want, m, err := fresh.Encode(nil, flows, later)
	if err != nil || n != m {
		t.Fatalf("%d flows, then %d, %v", n, m, err)
	}
	return d, want
}

func TestRestampDoesNotAllocate(t *testing.T) {
	for _, v := range versions {
		enc := newEncoder(t, synth.Config{Version: v, Boot: now.Add(-time.Hour)})
		d, _, err := enc.Encode(nil, flowsOf(t, noise.Config{}, 30), now)
		if err != nil {
			t.Fatal(err)
		}
		at := now
		if n := testing.AllocsPerRun(100, func() { at = at.Add(time.Second); enc.Restamp(d, at) }); n != 0 {
			t.Errorf("%v: %g allocations", v, n)
		}
	}
}

func BenchmarkRestamp(b *testing.B) {
	for _, v := range versions {
		b.Run(v.String(), func(b *testing.B) {
			enc := newEncoder(b, synth.Config{Version: v, Boot: now.Add(-time.Hour)})
			d, _, err := enc.Encode(nil, flowsOf(b, noise.Config{}, 30), now)
			if err != nil {
				b.Fatal(err)
			}
			at := now
			for b.Loop() {
				at = at.Add(time.Millisecond)
				enc.Restamp(d, at)
			}
		})
	}
}
