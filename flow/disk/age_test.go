package disk

import (
	"testing"
	"time"
)

// TestAge: a date that a wrong clock has given makes a file new, not old.
func TestAge(t *testing.T) {
	now := time.Now()
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for ago, want := range map[time.Duration]time.Duration{
		0: 0, time.Hour: time.Hour, 300 * day: 300 * day, year: year, year + day: 0, 56 * year: 0, -time.Second: 0, -50 * year: 0,
	} {
		if got := Age(now, now.Add(-ago)); got != want {
			t.Errorf("%v ago: got %v, want %v", ago, got, want)
		}
	}
}
