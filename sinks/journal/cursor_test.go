package journal

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
)

// TestPastIsBounded goes back to marks that were thinned out: more come again than
// were asked for, never fewer.
func TestPastIsBounded(t *testing.T) {
	j := inMemory(t)
	defer stopAll(t, j)
	one, err := j.Cursor("x")
	if err != nil {
		t.Fatal(err)
	}
	c := one.(*Cursor)
	p := c.places[ordinary]
	for i := uint64(1); i <= 20_000; i++ {
		c.remember(c.marks((*position.Place).Settled))
		p.Settle(position.Mark{Position: i, Delivered: i}, false)
		if len(c.past) > maxPast || p.Held().Position != 0 {
			t.Fatalf("%d marks from %d on", len(c.past), p.Held().Position)
		}
	}
	c.forget(10_000)
	if p := p.Held().Position; p > 10_000 || p < 9_000 {
		t.Errorf("holds from %d on, want about 10000", p)
	}
	if !c.back(100) || p.Settled().Position > 19_900 || p.Settled().Position < 19_800 || p.Next() != p.Settled().Position {
		t.Errorf("went back to %d", p.Settled().Position)
	}
	c.forget(0)
	if c.back(1) {
		t.Error("went back to nowhere")
	}
}

// TestSinkSince: what a sink counts, it counts from a date that outlives restarts; a file
// of a version that did not note it has none.
func TestSinkSince(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Dir = t.TempDir()
	first := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	for run := range 3 {
		cfg.Date = func() time.Time { return first.Add(time.Duration(run) * 24 * time.Hour) }
		j, _, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		j.Start()
		r, err := sinks.NewRunner(j, named{&fakeSink{}, "far"}, sinks.DefaultRunnerConfig())
		if err != nil {
			t.Fatal(err)
		}
		r.Start()
		if got := r.Stats().Since; !got.Equal(first) {
			t.Errorf("run %d: since %v, want %v", run, got, first)
		}
		stopAll(t, j, r)
	}
}
