package correlate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Loop runs a [Correlator] in a goroutine of its own, behind a queue of batches that
// holds Config.HitQueue hits. Workers take an empty batch with Get, fill it and hand it over with Offer:
// neither ever waits, and as batches go round, neither allocates once they have grown.
type Loop struct {
	correlator *Correlator
	queue      chan []intel.Hit
	free       chan []intel.Hit
	queued     atomic.Int64 // hits
	done       chan struct{}
	beat       beat

	mu      sync.RWMutex // Offer reads, Start and Stop write
	started bool
	stopped bool

	stats loopStats
}

// LoopStats are the counters of a [Loop] since it was made.
type LoopStats struct {
	// Offered hits are those of all batches, canaries among them; HitQueueFull those
	// of them that were lost because the queue was full, or the loop had stopped.
	// CanariesLost were lost likewise and are not among HitQueueFull.
	Offered, HitQueueFull, CanariesLost uint64
	// Queued hits and canaries wait now.
	Queued int
}

type loopStats struct{ offered, lost, lostCanaries atomic.Uint64 }

// The most batches that wait and that go round, and the hits of a new batch. One that
// has grown beyond maxHits does not go round: the loop must not hold on to the memory
// of one bad moment.
const (
	queueBatches = 1024
	freeBatches  = 64
	newHits      = 32
	maxHits      = 256
)

// tickEvery is how often the correlator looks for updates that are due.
const tickEvery = time.Second

// NewLoop makes a loop that owns c from Start to the end of Stop.
func NewLoop(c *Correlator) *Loop {
	return &Loop{
		correlator: c,
		queue:      make(chan []intel.Hit, queueBatches),
		free:       make(chan []intel.Hit, freeBatches),
		done:       make(chan struct{}),
		beat:       newBeat(),
	}
}

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

// Stop refuses further batches, lets the correlator handle those that wait and
// publish its last updates, and returns when that is done. Calling it again only
// waits. Workers should have stopped before: what they offer later is lost and counted.
func (l *Loop) Stop() {
	l.mu.Lock()
	first := !l.stopped
	l.stopped = true
	if first {
		close(l.queue)
		if !l.started {
			go l.run() // for what waits
		}
	}
	l.mu.Unlock()
	<-l.done
}

// Get gives an empty batch, one that has gone round if there is any. It is the
// caller's until Offer has taken it.
func (l *Loop) Get() []intel.Hit {
	select {
	case b := <-l.free:
		return b
	default:
		return make([]intel.Hit, 0, newHits)
	}
}

// Offer hands a batch over, without waiting. If it returns true the batch belongs to
// the loop. If not, its hits are lost and counted, and the caller may fill it anew.
func (l *Loop) Offer(batch []intel.Hit) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.stats.offered.Add(uint64(len(batch)))
	if !l.stopped && l.enqueue(batch) {
		return true
	}
	canaries := countCanaries(batch)
	l.stats.lost.Add(uint64(len(batch) - canaries))
	l.stats.lostCanaries.Add(uint64(canaries))
	return false
}

func countCanaries(batch []intel.Hit) (n int) {
	for i := range batch {
		if batch[i].Canary != nil {
			n++
		}
	}
	return n
}

// enqueue reports whether there was room. A batch larger than the whole queue finds it
// when the queue is empty.
func (l *Loop) enqueue(batch []intel.Hit) bool {
	n := int64(len(batch))
	if all := l.queued.Add(n); all <= int64(l.correlator.cfg.HitQueue) || all == n {
		select {
		case l.queue <- batch:
			return true
		default:
		}
	}
	l.queued.Add(-n)
	return false
}

// Stats gives the counters. It may be called from any goroutine.
func (l *Loop) Stats() LoopStats {
	s := LoopStats{HitQueueFull: l.stats.lost.Load(), CanariesLost: l.stats.lostCanaries.Load()}
	s.Offered, s.Queued = l.stats.offered.Load(), int(l.queued.Load()) // last: what is lost was offered before
	return s
}

// Beat is the time of the last turn of the loop, with its monotonic reading: it turns
// once a second even when nothing comes.
func (l *Loop) Beat() time.Time { return l.beat.time() }

func (l *Loop) run() {
	defer close(l.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		l.beat.turn()
		select {
		case batch, open := <-l.queue:
			if !open {
				l.correlator.Flush(time.Now())
				return
			}
			l.queued.Add(-int64(len(batch)))
			l.correlator.Handle(batch, time.Now())
			l.recycle(batch)
		case <-tick.C:
			l.correlator.Tick(time.Now())
		}
	}
}

// recycle empties a batch and puts it back. It is cleared because its hits hold on to
// the table that was in force.
func (l *Loop) recycle(batch []intel.Hit) {
	clear(batch)
	if cap(batch) > maxHits {
		return
	}
	select {
	case l.free <- batch[:0]:
	default:
	}
}
