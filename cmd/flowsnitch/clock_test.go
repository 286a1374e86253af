package main

import (
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
)

// TestPrintClock: a clock that is right is not worth a line.
func TestPrintClock(t *testing.T) {
	for want, c := range map[string]app.ClockStatus{
		"":                                    {State: "ok"},
		"clock      ok; it was set 1 times\n": {State: "ok", Jumps: 1},
		"clock      unsynced: why; dates are computed from 2026-11-20T23:00:00Z; it was set 2 times\n": {
			State: "unsynced", Why: "why", Trusted: time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC), Jumps: 2,
		},
	} {
		var b strings.Builder
		if printClock(&b, &c); b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
}
