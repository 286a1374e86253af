package queue

import (
	"context"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Handler handles the hits that have waited: the correlator.
type Handler interface {
	// Bound gives the highest severity that a hit could give its contact, by what its
	// record alone shows. Any goroutine may call it.
	Bound(*lookup.Hit) event.Severity
	// Handle takes in hits at the time now; it keeps nothing of the slice. Tick does what
	// has come due, and Flush ends everything. All three are called by one goroutine.
	Handle(hits []lookup.Hit, now time.Time)
	Tick(now time.Time)
	Flush(now time.Time)
}

// A Loop runs a [Handler] in a goroutine of its own, behind a bounded queue of hits.
// Workers hand their batches over with Offer and never wait.
//
// Hits are handled in the order in which they came. When the queue is full the least
// severe give way: those that wait to newcomers that can be worse, else the newcomers.
type Loop struct {
	handler  Handler
	size     int           // the most hits that wait
	wake     chan struct{} // something waits
	stopping chan struct{}
	done     chan struct{}
	beat     clock.Beat

	mu      sync.Mutex // held for a few pointers at a time, once for each batch
	started bool
	stopped bool
	lanes   [numLanes]lane
	hits    int // in all lanes but that of the canaries
	chunks  int // likewise
	batches uint64
	working uint64 // the batch that is handled now; 0 = none
	stats   Stats
}

// A lane is a queue of chunks.
type lane struct{ first, last *chunk }

func (l *lane) push(c *chunk) {
	c.prev, c.next = l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

// remove takes out the first or the last chunk.
func (l *lane) remove(c *chunk) {
	if c == l.first {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c == l.last {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

// Stats are the counters of a [Loop] since it was made.
type Stats struct {
	// Offered hits are those of all batches, canaries among them; HitQueueFull those
	// of them that were lost because the queue was full, or the loop had stopped, and
	// LostBySeverity the same by the severity that they could have reached, low to
	// critical. CanariesLost were lost likewise and are not among HitQueueFull.
	Offered, HitQueueFull, CanariesLost uint64
	LostBySeverity                      [4]uint64
	// Queued hits and canaries wait now.
	Queued int
}

// What the queue holds besides its hits. Chunks that are not full take more room
// than their hits, so they are bounded as well: there are twice as many as full ones
// need. Canaries have a lane of their own that hits cannot fill, nor they that of the hits.
const (
	leastChunks     = 64
	maxCanaryChunks = 32
)

func (l *Loop) maxChunks() int { return max(l.size*2/chunkRecords, leastChunks) }

// tickEvery is how often the handler looks for updates that are due.
const tickEvery = time.Second

// NewLoop makes a loop that owns h from Start to the end of Stop. size is the most hits
// that wait.
func NewLoop(h Handler, size int) *Loop {
	return &Loop{
		handler:  h,
		size:     size,
		wake:     make(chan struct{}, 1),
		stopping: make(chan struct{}),
		done:     make(chan struct{}),
		beat:     clock.NewBeat(),
	}
}

// Gatherer makes a gatherer for one worker, which hands its hits to the loop.
func (l *Loop) Gatherer() *Gatherer { return NewGatherer(l.handler.Bound, l.Offer) }

// Start starts the goroutine. A loop starts once, and not after Stop.
func (l *Loop) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.stopped {
		return
	}
	l.started = true
	go l.run()
}

// Stop refuses further batches, lets the handler handle those that wait and
// end everything, and returns when that is done. Calling it again only
// waits. Workers should have stopped before: what they offer later is lost and counted.
func (l *Loop) Stop() {
	l.mu.Lock()
	first := !l.stopped
	l.stopped = true
	if first {
		close(l.stopping)
		if !l.started {
			go l.run() // for what waits
		}
	}
	l.mu.Unlock()
	<-l.done
}

// Offer hands the hits of a batch over, without waiting, and leaves it empty. What
// finds no room is lost and counted.
func (l *Loop) Offer(b *Batch) {
	l.mu.Lock()
	l.batches++
	for i := numLanes - 1; i >= 0; i-- {
		c := b.lanes[i]
		if c == nil || c.nHits == 0 {
			continue
		}
		l.stats.Offered += uint64(c.nHits)
		if i == canaryLane && l.admitCanaries(c) || i < canaryLane && l.admit(i, c) {
			c.batch = l.batches
			l.lanes[i].push(c)
			b.lanes[i] = nil
		} else {
			c.reset()
		}
	}
	b.n = 0
	l.mu.Unlock()
	l.signal()
}

// OfferHit hands one hit over, as Offer does. The record is copied.
func (l *Loop) OfferHit(h lookup.Hit) {
	var b Batch
	b.add(int(l.handler.Bound(&h)), h.Record, []lookup.Hit{h})
	l.Offer(&b)
	b.Reset()
}

// admit makes room for the hits of a chunk, and cuts off those that find none. It
// reports whether any is left.
func (l *Loop) admit(i int, c *chunk) bool {
	if l.stopped {
		l.lose(i, c.nHits)
		return false
	}
	for l.chunks >= l.maxChunks() {
		if !l.shed(i, chunkHits) {
			l.lose(i, c.nHits)
			return false
		}
	}
	most := l.size
	for l.hits+c.nHits > most && l.shed(i, l.hits+c.nHits-most) {
	}
	if room := most - l.hits; room < c.nHits {
		l.lose(i, c.nHits-room)
		c.cut(room)
	}
	if c.nHits == 0 {
		return false
	}
	l.hits += c.nHits
	l.chunks++
	return true
}

// shed drops up to n hits of the least severe lane below i, the latest first, and
// reports whether there were any.
func (l *Loop) shed(i, n int) bool {
	for lower := range i {
		c := l.lanes[lower].last
		if c == nil {
			continue
		}
		n = min(n, c.nHits)
		l.lose(lower, n)
		l.hits -= n
		c.cut(c.nHits - n)
		if c.nHits == 0 {
			l.lanes[lower].remove(c)
			l.chunks--
			c.recycle()
		}
		return true
	}
	return false
}

func (l *Loop) lose(i, n int) {
	l.stats.HitQueueFull += uint64(n)
	l.stats.LostBySeverity[i] += uint64(n)
}

// admitCanaries reports whether there is room for a chunk of canaries.
func (l *Loop) admitCanaries(c *chunk) bool {
	waiting := 0
	for o := l.lanes[canaryLane].first; o != nil; o = o.next {
		waiting++
	}
	if l.stopped || waiting >= maxCanaryChunks {
		l.stats.CanariesLost += uint64(c.nHits)
		return false
	}
	return true
}

// take gives the oldest batch that waits.
func (l *Loop) take(b *Batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := uint64(0)
	for i := range l.lanes {
		if c := l.lanes[i].first; c != nil && (oldest == 0 || c.batch < oldest) {
			oldest = c.batch
		}
	}
	for i := range l.lanes {
		c := l.lanes[i].first
		if c == nil || c.batch != oldest {
			continue
		}
		l.lanes[i].remove(c)
		b.lanes[i] = c
		if i < canaryLane {
			l.hits -= c.nHits
			l.chunks--
		}
	}
	l.working = oldest
	return oldest != 0
}

// rests notes that the batch is handled.
func (l *Loop) rests() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working = 0
}

// Settle waits until all hits that have been offered so far are handled, or lost, or until
// ctx ends.
func (l *Loop) Settle(ctx context.Context) error {
	l.mu.Lock()
	last := l.batches
	l.mu.Unlock()
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	for !l.settled(last) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

const settleLook = 10 * time.Millisecond

// settled reports whether no batch up to a number waits or is handled.
func (l *Loop) settled(last uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working != 0 && l.working <= last {
		return false
	}
	for i := range l.lanes {
		if c := l.lanes[i].first; c != nil && c.batch <= last {
			return false
		}
	}
	return true
}

func (l *Loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Stats gives the counters. It may be called from any goroutine.
func (l *Loop) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued = l.hits
	for c := l.lanes[canaryLane].first; c != nil; c = c.next {
		s.Queued += c.nHits
	}
	return s
}

// Beat is the time of the last turn of the loop, with its monotonic reading: it turns
// once a second even when nothing comes.
func (l *Loop) Beat() time.Time { return l.beat.Time() }

func (l *Loop) run() {
	defer close(l.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	handle := handTo(l.handler, time.Now)
	var b Batch
	for {
		l.beat.Turn()
		select {
		case <-l.stopping:
			for l.take(&b) {
				l.beat.Turn()
				handle(&b)
				l.rests()
			}
			l.handler.Flush(time.Now())
			return
		case <-l.wake:
			if l.take(&b) {
				handle(&b)
				l.rests()
				l.signal() // there may be more
			}
		case <-tick.C:
			l.handler.Tick(time.Now())
		}
	}
}
