package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// QueueConfig bounds what a [Queue] holds and how long it waits.
type QueueConfig struct {
	// Capacity is the number of events that may wait, those being sent included.
	Capacity int `yaml:"capacity"`
	// Batch is the largest number of events given to one Send.
	Batch int `yaml:"batch"`
	// BackoffMin is the pause after the first failed attempt; each further one
	// doubles it, up to BackoffMax.
	BackoffMin time.Duration `yaml:"backoff_min"`
	BackoffMax time.Duration `yaml:"backoff_max"`
	// Drain is the longest time that Stop takes to send what still waits.
	Drain time.Duration `yaml:"drain"`
}

// DefaultQueueConfig gives the defaults.
func DefaultQueueConfig() QueueConfig {
	return QueueConfig{
		Capacity:   10_000,
		Batch:      500,
		BackoffMin: 100 * time.Millisecond,
		BackoffMax: 30 * time.Second,
		Drain:      5 * time.Second,
	}
}

// Validate tells which key is wrong and what is allowed.
func (c QueueConfig) Validate() error {
	switch {
	case c.Capacity < 1 || c.Capacity > 1_000_000:
		return fmt.Errorf("capacity: %d events are not allowed, 1 to 1000000 are", c.Capacity)
	case c.Batch < 1 || c.Batch > c.Capacity:
		return fmt.Errorf("batch: %d events are not allowed, 1 to capacity (%d) are", c.Batch, c.Capacity)
	case c.BackoffMin <= 0:
		return fmt.Errorf("backoff_min: %v is not allowed, it must be more than 0", c.BackoffMin)
	case c.BackoffMax < c.BackoffMin:
		return fmt.Errorf("backoff_max: %v is not allowed, backoff_min (%v) and more is", c.BackoffMax, c.BackoffMin)
	case c.Drain < 0:
		return fmt.Errorf("drain: %v is not allowed, 0 and more is", c.Drain)
	}
	return nil
}

// QueueStats counts events. They add up at any moment:
//
//	Offered = Sent + Dropped + Failed + Pending
type QueueStats struct {
	Offered uint64 // given to Offer
	Sent    uint64 // delivered
	Dropped uint64 // the queue was full or stopped, or the time to drain was up
	Failed  uint64 // given up by the sink
	Pending uint64 // waiting, those being sent included

	Errors      uint64    // calls of Send that failed
	Failing     uint64    // of them those since the last delivery; 0 = all is well
	LastError   string    // the latest error, kept after recovery; empty = never
	LastErrorAt time.Time // when it came
}

// A Queue runs one sink in a goroutine of its own behind a bounded queue, so that
// whoever offers events never waits. It owns the sink and closes it.
type Queue struct {
	cfg  QueueConfig
	sink Sink

	start, stop sync.Once
	stopErr     error

	ctx    context.Context // of every Send; ended by cancel
	cancel context.CancelFunc
	wake   chan struct{} // one token: there are events, or Stop was called
	hurry  chan struct{} // one token: Stop was called, end the pause
	done   chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	ring   ring
	stats  QueueStats // without Pending, which the ring knows
	closed bool       // no more events are taken
}

// NewQueue makes a queue for sink. It does nothing yet but take events; cfg must
// be valid.
func NewQueue(sink Sink, cfg QueueConfig) *Queue {
	q := &Queue{
		cfg:   cfg,
		sink:  sink,
		wake:  make(chan struct{}, 1),
		hurry: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// Name gives the name of the sink.
func (q *Queue) Name() string { return q.sink.Name() }

// Start starts sending. Only the first call does anything, and none after Stop.
func (q *Queue) Start() { q.start.Do(func() { go q.run() }) }

// Offer copies events into the queue and returns at once. What does not fit is
// dropped and counted, the latest first: what came before keeps its place. After
// Stop everything is.
func (q *Queue) Offer(events []intel.Event) {
	q.mu.Lock()
	taken := 0
	if !q.closed {
		taken = q.ring.push(events, q.cfg.Capacity)
	}
	q.stats.Offered += uint64(len(events))
	q.stats.Dropped += uint64(len(events) - taken)
	q.mu.Unlock()
	signal(q.wake)
}

// Stats gives the counters at one moment.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Pending = uint64(q.ring.n)
	return s
}

// Stop takes no more events, gives the sink the time that ctx and Drain leave to
// send what waits, drops and counts the rest, and closes the sink. The error
// tells what was lost or did not close. A sink that does not return from Send
// although its time is up is left behind a second later, and reported. Further
// calls wait for the first and return the same.
func (q *Queue) Stop(ctx context.Context) error {
	q.stop.Do(func() { q.stopErr = q.shutdown(ctx) })
	return q.stopErr
}

func (q *Queue) shutdown(ctx context.Context) error {
	drain, cancel := context.WithTimeout(ctx, q.cfg.Drain)
	defer cancel()
	q.start.Do(func() { close(q.done) }) // never started: nothing to wait for
	q.refuse()
	select {
	case <-q.done:
	case <-drain.Done():
	}
	q.cancel()
	ended := q.ended()
	var lost error
	if n := q.dropRest(); n > 0 {
		lost = fmt.Errorf("sink %s: %d events dropped when it was stopped", q.Name(), n)
	}
	if !ended {
		return errors.Join(lost, fmt.Errorf("sink %s: does not return from sending, left behind", q.Name()))
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := q.sink.Close(end); err != nil {
		return errors.Join(lost, fmt.Errorf("sink %s: close: %w", q.Name(), err))
	}
	return lost
}

// refuse closes the entrance and wakes the goroutine, from a pause as well: the
// last attempt must not wait for the back-off.
func (q *Queue) refuse() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.wake)
	signal(q.hurry)
}

// ended waits for the goroutine, but not for ever.
func (q *Queue) ended() bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-q.done:
		return true
	case <-timer.C:
		return false
	}
}

// dropRest drops all that waits and returns how many that were. The buffer is left
// as it is: a sink that did not return may still read what it was lent.
func (q *Queue) dropRest() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.ring.n
	q.ring = ring{}
	q.stats.Dropped += uint64(n)
	return n
}

// run sends until the queue is closed and empty, or cancelled.
func (q *Queue) run() {
	defer close(q.done)
	var pause time.Duration
	for {
		batch := q.next()
		if batch == nil {
			return
		}
		progress, again := q.settle(len(batch), q.sink.Send(q.ctx, batch))
		if !again || progress {
			pause = 0
		}
		if again {
			pause = min(max(2*pause, q.cfg.BackoffMin), q.cfg.BackoffMax)
			q.sleep(pause)
		}
	}
}

// next waits for events and lends out the oldest; nil says that it is over.
func (q *Queue) next() []intel.Event {
	for q.ctx.Err() == nil {
		q.mu.Lock()
		batch, closed := q.ring.peek(q.cfg.Batch), q.closed
		q.mu.Unlock()
		if len(batch) > 0 {
			return batch
		}
		if closed {
			return nil
		}
		select {
		case <-q.wake:
		case <-q.ctx.Done():
		}
	}
	return nil
}

// settle counts what became of the n oldest events and removes those that need
// not be sent again. again says that the sink wants a pause and the rest anew,
// progress that it delivered something before.
func (q *Queue) settle(n int, err error) (progress, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, q.ring.n) // less only when Stop gave up waiting and dropped them
	sent, gone := n, n
	if err != nil {
		q.stats.Errors++
		q.stats.Failing++
		q.stats.LastError, q.stats.LastErrorAt = err.Error(), time.Now()
		sent = 0
	}
	if retry, ok := errors.AsType[*RetryError](err); ok {
		sent = max(0, min(retry.Sent, n))
		gone, again = sent, true
	}
	q.stats.Sent += uint64(sent)
	q.stats.Failed += uint64(gone - sent)
	q.ring.drop(gone)
	if err == nil {
		q.stats.Failing = 0
	}
	return sent > 0, again
}

// sleep pauses for d; being stopped ends it.
func (q *Queue) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.hurry:
	case <-q.ctx.Done():
	}
}
