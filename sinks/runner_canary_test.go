package sinks_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// flock gives canaries whose tokens go from first on, each behind a hit.
func flock(first, n int) (events []event.Event) {
	for i := range n {
		events = append(events, event.Event{Kind: event.KindHit}, event.Event{Kind: event.KindCanary, DstPort: uint16(first + i), Flows: uint64(first + i)})
	}
	return events
}

// A proofLog is what a runner has told of.
type proofLog struct {
	mu     sync.Mutex
	tokens []uint16
	at     []time.Time
}

func (p *proofLog) note(c event.Canary, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens, p.at = append(p.tokens, c.Token), append(p.at, at)
}

func (p *proofLog) tokensReported() []uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tokens)
}

func (p *proofLog) atTold() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at)
}

// TestOnCanary: a canary is told of when the sink has taken it, neither before nor when
// it was given up, and no limit or severity stops it.
func TestOnCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		sink := &fakeSink{Answer: func(_ context.Context, call, n int) error {
			switch {
			case away.Load():
				return &sinks.RetryError{Sent: min(1, n), Err: errAway}
			case call > 100:
				return errAway // given up
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) {
			c.Filter = sinks.Filter{MinSeverity: "low", Feeds: []string{"x"}, Directions: []event.Direction{event.Inbound}}
			c.Limit = sinks.RateLimit{Rate: 0.001, Burst: 1}
		})
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, []event.Event{{Kind: event.KindHit}})
		add(t, j, []event.Event{{Kind: event.KindHit}, {Kind: event.KindHit}, {Kind: event.KindCanary, DstPort: 1}})
		synctest.Wait()
		if len(log.tokensReported()) != 0 {
			t.Errorf("reported %v while the sink is away", log.tokensReported())
		}
		away.Store(false)
		time.Sleep(time.Minute)
		if !slices.Equal(log.tokensReported(), []uint16{1}) || time.Since(log.atTold()[0]) > time.Minute {
			t.Errorf("reported %v at %v", log.tokensReported(), log.atTold())
		}
		if s := checkCursor(t, r); s.Limited != 2 || s.Delivered != 2 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
	})
}

// TestOnCanaryGivenUp: what a sink gives up was not delivered.
func TestOnCanaryGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(context.Context, int, int) error { return errAway }}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, flock(0, 3))
		time.Sleep(time.Minute)
		if s := checkCursor(t, r); len(log.tokensReported()) != 0 || s.Failed != 6 {
			t.Errorf("reported %v, %+v", log.tokensReported(), s)
		}
		stopAll(t, j, r)
	})
}

// TestOnCanaryHeld: of a sink that cannot be sure at once a canary is told of when it
// is, with the time when it was sent; what goes again is told of then.
func TestOnCanaryHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{Answer: func(_ context.Context, call, n int) error {
			if call == 2 {
				return &sinks.RetryError{Sent: -2, Err: errAway}
			}
			return nil
		}}}
		sink.held.Store(4)
		j := inMemory(t)
		r := newRunner(t, j, sink)
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		begin := time.Now()
		add(t, j, flock(0, 1))
		synctest.Wait()
		add(t, j, flock(1, 1))
		synctest.Wait()
		if len(log.tokensReported()) != 0 {
			t.Errorf("reported %v before the sink is sure", log.tokensReported())
		}
		add(t, j, flock(2, 1)) // fails: the one before goes again
		time.Sleep(10 * time.Second)
		if !slices.Equal(log.tokensReported(), []uint16{0}) || !log.atTold()[0].Equal(begin) {
			t.Errorf("reported %v at %v, want the first alone", log.tokensReported(), log.atTold())
		}
		sink.held.Store(0)
		time.Sleep(3 * time.Second)
		if !slices.Equal(log.tokensReported(), []uint16{0, 1, 2}) || !log.atTold()[1].After(begin) {
			t.Errorf("reported %v at %v", log.tokensReported(), log.atTold())
		}
		stopAll(t, j, r)
	})
}

// TestProofsAreBounded: a sink that is never sure cannot make them grow.
func TestProofsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{}}
		sink.held.Store(1 << 30)
		j := inMemory(t)
		r := newRunner(t, j, sink)
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, flock(0, 300))
		synctest.Wait()
		if r.Proofs() != sinks.MaxProofs || len(log.tokensReported()) != 0 {
			t.Errorf("%d wait, reported %v", r.Proofs(), log.tokensReported())
		}
		sink.held.Store(0)
		time.Sleep(3 * time.Second)
		if len(log.tokensReported()) != sinks.MaxProofs || log.tokensReported()[sinks.MaxProofs-1] != 299 {
			t.Errorf("reported %v", log.tokensReported())
		}
		stopAll(t, j, r)
	})
}

// proving is a sink that can prove its way.
type proving struct {
	*fakeSink
	mu     sync.Mutex
	probed []uint64 // the canaries it was asked with
	fail   error
}

func (p *proving) Probe(_ context.Context, e *event.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probed = append(p.probed, e.Flows)
	return p.fail
}

// asked gives the canaries that it was asked with.
func (p *proving) asked() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.probed)
}

// failWith is what it answers from now on.
func (p *proving) failWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// TestProbe: canaries that the filter stops are proven by the sink, after what came
// before them; while it cannot, it counts as failing, and they are not told of.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &proving{fakeSink: &fakeSink{Answer: func(_ context.Context, call, _ int) error {
			if call == 0 {
				return &sinks.RetryError{Err: errAway}
			}
			return nil
		}}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.Filter.Kinds = []event.Kind{event.KindHit} })
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, flock(1, 2))
		synctest.Wait()
		if len(log.tokensReported()) != 0 || len(sink.asked()) != 0 {
			t.Errorf("reported %v, asked with %v, before the hits are delivered", log.tokensReported(), sink.asked())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(log.tokensReported(), []uint16{1, 2}) || !slices.Equal(sink.asked(), []uint64{2}) {
			t.Errorf("reported %v, asked with %v", log.tokensReported(), sink.asked())
		}
		sink.failWith(&sinks.RetryError{Err: errAway})
		add(t, j, flock(3, 1))
		synctest.Wait()
		if s := checkCursor(t, r); !slices.Equal(log.tokensReported(), []uint16{1, 2}) || s.Failing != 1 || s.LastError == "" || s.Filtered != 3 || s.Delivered != 3 {
			t.Errorf("reported %v, %+v", log.tokensReported(), s)
		}
		sink.failWith(nil)
		add(t, j, flock(4, 1))
		synctest.Wait()
		if s := checkCursor(t, r); !slices.Equal(log.tokensReported(), []uint16{1, 2, 4}) || s.Failing != 0 || s.Pending != 0 {
			t.Errorf("reported %v, %+v", log.tokensReported(), s)
		}
		stopAll(t, j, r)
	})
}

// TestProbeOfHolder: a probe that finds the connection broken makes what was held come
// again.
func TestProbeOfHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsureProving{unsure: &unsure{fakeSink: &fakeSink{}}}
		sink.held.Store(1)
		sink.fail.Store(true)
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.Filter.Kinds = []event.Kind{event.KindHit} })
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, flock(1, 1))
		time.Sleep(10 * time.Second)
		if s := checkCursor(t, r); s.Repeated != 1 || len(sink.Got) != 2 || !slices.Equal(log.tokensReported(), []uint16{1}) {
			t.Errorf("reported %v, %d delivered, %+v", log.tokensReported(), len(sink.Got), s)
		}
		sink.held.Store(0)
		time.Sleep(3 * time.Second)
		stopAll(t, j, r)
	})
}

type unsureProving struct {
	*unsure
	fail atomic.Bool // the first probe
}

func (p *unsureProving) Probe(context.Context, *event.Event) error {
	if p.fail.CompareAndSwap(true, false) {
		return &sinks.RetryError{Sent: -1, Err: errAway}
	}
	return nil
}
