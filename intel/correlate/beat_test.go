package correlate

import (
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestUnsynced: an event says when the clock of this machine could not be trusted at the
// receipt of one of its flows.
func TestUnsynced(t *testing.T) {
	wrong := false
	s := newStage(t, func(c *Config) { c.Unsynced = func() bool { return wrong } })
	word := func(d time.Duration, unsynced bool, r flow.Record) (words []string) {
		wrong = unsynced
		s.at(d, r)
		for _, e := range s.take() {
			words = append(words, string(e.Kind)+" "+e.Clock)
		}
		return words
	}
	odd := with(beacon, func(r *flow.Record) { r.Start, r.End = t0.Add(-100*time.Hour), t0 })
	for i, step := range []struct {
		unsynced bool
		record   flow.Record
		want     []string
	}{
		{false, beacon, []string{"hit ok"}},
		{true, answer, []string{"update unsynced"}}, // at once, for it is answered now
		{false, scan, []string{"hit ok"}},
		{true, tcp(us, 1, bad, 80, syn), []string{"hit unsynced"}},
		{false, with(odd, func(r *flow.Record) { r.DstPort = 81 }), []string{"hit suspect"}},
		{true, with(odd, func(r *flow.Record) { r.DstPort = 82 }), []string{"hit unsynced"}},
	} {
		if got := word(time.Duration(i)*time.Second, step.unsynced, step.record); !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}
