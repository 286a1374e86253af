package link

import (
	"testing"
	"time"
)

// TestWindow: an event is let go of when it is acknowledged and old enough, and never
// before one that was written earlier, nor for the time that nothing was acknowledged.
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
		{1, 900, 12, 0},
		{9, 900, 12, 8 * time.Second},   // neither acknowledged nor old
		{10, 999, 12, 0},                // old, but not acknowledged
		{11, 1000, 7, 0},                // the first one is through
		{13, 1000, 7, 2 * time.Second},  // the second one is not
		{20, 2999, 7, 0},                // nor is all of it
		{40, 2999, 7, 20 * time.Second}, // and the server has stopped
		{41, 3000, 0, 0},                // no: all done
		{100, 100_000, 0, 0},            // nothing left
	} {
		w.look(after(tt.second), tt.acked)
		w.settle(keep)
		if got := w.stuck(after(tt.second)); w.events != tt.events || got != tt.stuck {
			t.Errorf("second %d, %d acknowledged: %d events, stuck for %v; want %d, %v",
				tt.second, tt.acked, w.events, got, tt.events, tt.stuck)
		}
	}
}

// TestWindowOfTheDeaf: what a server's kernel took before it stopped is held until it
// goes on, however old it gets; a silence with nothing to acknowledge is none.
func TestWindowOfTheDeaf(t *testing.T) {
	start := time.Now()
	var w window
	w.look(start, 0)
	start = start.Add(time.Hour) // nothing was sent
	w.add(part{3, start, 100})
	if w.look(start.Add(time.Second), 90); w.stuck(start.Add(time.Second)) != 0 {
		t.Error("stuck at once")
	}
	w.look(start.Add(2*time.Second), 100)
	w.add(part{4, start.Add(2 * time.Second), 200})
	w.look(start.Add(time.Hour), 100)
	if w.settle(10 * time.Second); w.events != 7 || w.stuck(start.Add(time.Hour)) != time.Hour-2*time.Second {
		t.Errorf("%d events, stuck for %v", w.events, w.stuck(start.Add(time.Hour)))
	}
}
