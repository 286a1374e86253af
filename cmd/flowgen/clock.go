package main

import (
	"context"
	"time"
)

// A clock is what the sender goes by.
type clock interface {
	Now() time.Time
	// Sleep returns after d, or earlier when ctx is done.
	Sleep(ctx context.Context, d time.Duration)
}

// A wallClock sleeps without allocating.
type wallClock struct{ timer *time.Timer }

func newWallClock() wallClock {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return wallClock{t}
}

func (c wallClock) Now() time.Time { return time.Now() }

func (c wallClock) Sleep(ctx context.Context, d time.Duration) {
	c.timer.Reset(d)
	select {
	case <-c.timer.C:
	case <-ctx.Done():
		c.timer.Stop()
	}
}

// A fileClock is the time within a capture: it passes only while the sender would
// sleep.
type fileClock struct{ now time.Time }

func (c *fileClock) Now() time.Time                           { return c.now }
func (c *fileClock) Sleep(_ context.Context, d time.Duration) { c.now = c.now.Add(d) }
