package queue

import (
	"sync"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// The lanes of a batch: hits by the severity that they can reach, low to critical, and
// canaries, which are no hits.
const (
	canaryLane = int(event.Critical) + 1
	numLanes   = canaryLane + 1
)

// What a chunk holds. It is handed over when it is full, so this bounds what a worker
// keeps to itself: a datagram may have 16,000 records.
const (
	chunkRecords = 16
	chunkHits    = 24
)

// A chunk holds hits of one lane and the records that they share: 10 kB, and never
// more.
type chunk struct {
	records  [chunkRecords]flow.Record
	hits     [chunkHits]lookup.Hit
	order    [chunkHits]uint16 // of each hit among all of its batch
	nRecords int
	nHits    int

	// In the queue of a loop.
	batch      uint64 // chunks of one batch have the same number
	prev, next *chunk
}

// chunks go round between the workers and the loop. What one bad moment needed is given
// back by the garbage collector.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

// full reports whether another record may find no room.
func (c *chunk) full() bool {
	return c.nRecords == chunkRecords || c.nHits > chunkHits-int(flow.NumSides)
}

// cut keeps the first n hits.
func (c *chunk) cut(n int) {
	clear(c.hits[n:c.nHits])
	c.nHits = n
}

// reset empties the chunk, so that it holds on to no table.
func (c *chunk) reset() {
	clear(c.hits[:c.nHits])
	clear(c.records[:c.nRecords])
	c.nHits, c.nRecords = 0, 0
}

// recycle empties the chunk and puts it back.
func (c *chunk) recycle() {
	c.reset()
	c.prev, c.next = nil, nil
	chunks.Put(c)
}

// A Batch is a bounded number of hits on their way from a worker to the correlator, at
// most 24 of each severity. Hits of one record share it: record and hits belong to
// the batch. The zero value is empty.
type Batch struct {
	lanes [numLanes]*chunk
	n     int // hits added so far
}

// Len gives the number of hits, canaries among them.
func (b *Batch) Len() (n int) {
	for _, c := range b.lanes {
		if c != nil {
			n += c.nHits
		}
	}
	return n
}

// add copies a record and its hits, one or more, into a lane, and reports whether the batch is full:
// then it must be handed over or emptied before the next one.
func (b *Batch) add(lane int, r *flow.Record, hits []lookup.Hit) (full bool) {
	c := b.lanes[lane]
	if c == nil {
		c = chunks.Get().(*chunk)
		b.lanes[lane] = c
	}
	kept := &c.records[c.nRecords]
	*kept = *r
	c.nRecords++
	for i := range hits {
		h := &c.hits[c.nHits]
		*h = hits[i]
		h.Record = kept
		c.order[c.nHits] = uint16(b.n)
		c.nHits++
		b.n++
	}
	return c.full()
}

// AppendHits appends the hits in the order in which they were found. They are valid
// until Reset.
func (b *Batch) AppendHits(hits []lookup.Hit) []lookup.Hit {
	var at [numLanes]int
	for {
		var first *chunk
		lane := 0
		for i, c := range b.lanes {
			if c != nil && at[i] < c.nHits && (first == nil || c.order[at[i]] < first.order[at[lane]]) {
				first, lane = c, i
			}
		}
		if first == nil {
			return hits
		}
		hits = append(hits, first.hits[at[lane]])
		at[lane]++
	}
}

// Reset empties the batch.
func (b *Batch) Reset() {
	for i, c := range b.lanes {
		if c != nil {
			b.lanes[i] = nil
			c.recycle()
		}
	}
	b.n = 0
}
