package queue

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Gatherer collects the hits of one worker in a batch, by how severe they can be, and
// hands it over when it is full or flushed. It belongs to the goroutine of that worker.
type Gatherer struct {
	bound func(*lookup.Hit) event.Severity
	hand  func(*Batch)
	batch Batch
}

// NewGatherer makes a gatherer. bound gives how severe a hit can be at most, see
// [Handler]. hand is given each batch that is full, and by Flush what remains; it must
// leave the batch empty.
func NewGatherer(bound func(*lookup.Hit) event.Severity, hand func(*Batch)) *Gatherer {
	return &Gatherer{bound: bound, hand: hand}
}

// Direct makes a gatherer without a queue: h handles each batch at once, at the time that
// clock gives.
func Direct(h Handler, clock func() time.Time) *Gatherer {
	return NewGatherer(h.Bound, handTo(h, clock))
}

// handTo gives a function that has h handle a batch and empties it.
func handTo(h Handler, clock func() time.Time) func(*Batch) {
	var hits []lookup.Hit
	return func(b *Batch) {
		hits = b.AppendHits(hits[:0])
		h.Handle(hits, clock())
		clear(hits)
		b.Reset()
	}
}

// Hits takes the hits of one record. All of them go the way of the most severe one.
func (g *Gatherer) Hits(r *flow.Record, hits []lookup.Hit) {
	lane := event.Low
	for i := range hits {
		lane = max(lane, g.bound(&hits[i]))
	}
	g.add(int(lane), r, hits)
}

// Canary takes a canary.
func (g *Gatherer) Canary(h *lookup.Hit) { g.add(canaryLane, h.Record, []lookup.Hit{*h}) }

func (g *Gatherer) add(lane int, r *flow.Record, hits []lookup.Hit) {
	if g.batch.add(lane, r, hits) {
		g.hand(&g.batch)
	}
}

// Flush hands over what has been collected since the last batch.
func (g *Gatherer) Flush() {
	if g.batch.n > 0 {
		g.hand(&g.batch)
	}
}
