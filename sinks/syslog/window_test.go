package syslog

import (
	"testing"
	"time"
)

// TestWindow: an event is let go of when it is acknowledged and old enough, and never
// before one that was written earlier.
func TestWindow(t *testing.T) {
	const keep = 10 * time.Second
	start := time.Now()
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var w window
	w.add(part{5, after(0), 1000})
	w.add(part{7, after(4), 3000})
	for _, tt := range []struct {
		second int
		acked  uint64
		events int
		stuck  time.Duration
	}{
		{9, 3000, 12, 0},                // acknowledged, but young
		{10, 999, 12, 10 * time.Second}, // old, but not acknowledged
		{10, 1000, 7, 6 * time.Second},  // the first one is through
		{13, 3000, 7, 0},                // the second one is young
		{14, 2999, 7, 10 * time.Second}, // or not acknowledged
		{100, 3000, 0, 0},               // all done
		{100, 100_000, 0, 0},            // nothing left
	} {
		w.settle(after(tt.second), tt.acked, keep)
		if got := w.stuck(after(tt.second), tt.acked); w.events != tt.events || got != tt.stuck {
			t.Errorf("second %d, %d acknowledged: %d events, stuck for %v; want %d, %v",
				tt.second, tt.acked, w.events, got, tt.events, tt.stuck)
		}
	}
	w.add(part{3, after(100), 4000})
	if n := w.clear(); n != 3 || w.events != 0 || len(w.parts) != 0 {
		t.Errorf("cleared %d, left %+v", n, w)
	}
}
