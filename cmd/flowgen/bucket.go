package main

import "time"

// Pacing: credit that could not be used for longer than maxCredit is lost, so
// that a pause of this process is not followed by a burst that no receive buffer
// can take. Sleeps are no shorter than minSleep.
const (
	maxCredit = 20 * time.Millisecond
	minSleep  = time.Millisecond
)

// A bucket is a token bucket of flows. Over any time t it grants at most
// rate * t + burst. A rate of 0 grants everything.
type bucket struct {
	rate   float64 // flows per second
	burst  float64
	tokens float64
	last   time.Time
}

// newBucket makes a bucket with room for at least one datagram of the given
// number of flows, and filled with that much.
func newBucket(rate float64, datagram int, now time.Time) bucket {
	one := float64(datagram)
	return bucket{rate: rate, burst: max(one, rate*maxCredit.Seconds()), tokens: one, last: now}
}

// refill adds what has come in until now.
func (b *bucket) refill(now time.Time) {
	b.tokens = min(b.burst, b.tokens+b.rate*max(0, now.Sub(b.last).Seconds()))
	b.last = now
}

// take spends n flows if they are there.
func (b *bucket) take(n int) bool {
	if b.rate == 0 {
		return true
	}
	if float64(n) > b.tokens {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// wait is how long to sleep before n flows are there.
func (b *bucket) wait(n int) time.Duration {
	missing := float64(n) - b.tokens
	return max(minSleep, time.Duration(missing/b.rate*float64(time.Second)))
}
