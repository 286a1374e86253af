package app

import (
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
)

// A day is kept in parts, so that it moves on without memory of every hit.
const (
	dayParts = 24
	dayPart  = time.Hour
)

// A dayCount is how many hits each feed had in the last 24 hours, to the hour. After
// a start the day begins anew.
type dayCount struct {
	mu    sync.Mutex
	total map[string]uint64 // by feed, at the last look
	// then are the totals at the beginning of each part, the oldest first.
	then []map[string]uint64
	next time.Time // when the next part begins
}

// look takes in the totals since the start.
func (d *dayCount) look(hits []listing.FeedHits, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := make(map[string]uint64)
	for _, h := range hits {
		total[h.Feed] += h.Hits
	}
	if !now.Before(d.next) {
		d.next = now.Add(dayPart)
		d.then = append(d.then, d.total)
		if len(d.then) > dayParts {
			d.then = d.then[1:]
		}
	}
	d.total = total
}

// status gives the hits of the last day by feed.
func (d *dayCount) status() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]uint64)
	for feed, n := range d.total {
		if len(d.then) > 0 {
			n -= d.then[0][feed]
		}
		if n > 0 {
			out[feed] = n
		}
	}
	return out
}
