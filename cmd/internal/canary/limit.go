package canary

import "time"

// How many canaries of other hosts become events: each may send one a second, all of
// them together five.
const (
	hostRate, hostBurst = 1, 10
	allRate, allBurst   = 5, 50
)

// A bucket lets so many pass in a second, and a burst after a quiet time.
type bucket struct {
	spent float64
	last  time.Time
}

// full refills the bucket and reports whether it has nothing left.
func (b *bucket) full(now time.Time, rate, burst float64) bool {
	if since := now.Sub(b.last).Seconds(); since > 0 {
		b.spent = max(0, b.spent-since*rate)
	}
	b.last = now
	return b.spent+1 > burst
}

// take takes one.
func (b *bucket) take() { b.spent++ }
