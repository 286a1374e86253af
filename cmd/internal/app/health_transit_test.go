package app

import (
	"testing"
	"time"
)

// TestTransitWatch: the share is that of the last hour, and there is none of a few records.
func TestTransitWatch(t *testing.T) {
	var w transitWatch
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	if share := w.note(now, 0, 0); share != 0 {
		t.Errorf("at first %g", share)
	}
	if share := w.note(now.Add(10*time.Second), transitLeast-1, transitLeast-1); share != 0 {
		t.Errorf("of few records %g", share)
	}
	if share := w.note(now.Add(20*time.Second), 100, 60); share != 60 {
		t.Errorf("%g, want 60", share)
	}
	sampled, transit := uint64(100), uint64(60)
	for minute := range 3 * 60 {
		sampled += 10
		share := w.note(now.Add(time.Duration(minute)*time.Minute+30*time.Second), sampled, transit)
		if minute > 61 && share != 0 {
			t.Fatalf("after %d minutes without transit %g", minute, share)
		}
		if len(w) > 62 {
			t.Fatalf("%d marks are kept", len(w))
		}
	}
}
