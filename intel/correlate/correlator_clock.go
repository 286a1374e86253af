package correlate

import "time"

// A clock makes time that never goes back of times that may. Captures of several
// queues are a little out of order: until the old time is reached again the clock
// stands still. After a step back that is longer than maxBackstep, the next capture
// of a row, it goes on from there. A step forward counts longest at most, after
// which everything is due anyway, so that one packet of the year 2100 does no harm.
type clock struct {
	high    time.Time
	elapsed time.Duration
	longest time.Duration
}

const maxBackstep = time.Minute

// read gives the time that has elapsed since the first reading.
func (c *clock) read(now time.Time) time.Duration {
	if c.high.IsZero() {
		c.high = now
	}
	switch d := now.Sub(c.high); {
	case d > 0:
		c.elapsed += min(d, c.longest)
		c.high = now
	case d < -maxBackstep:
		c.high = now
	}
	return c.elapsed
}
