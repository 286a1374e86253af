package sinks

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// flock gives canaries whose tokens go from first on, each behind a hit.
func flock(first, n int) (events []intel.Event) {
	for i := range n {
		events = append(events, intel.Event{Kind: intel.KindHit}, intel.Event{Kind: intel.KindCanary, DstPort: uint16(first + i), Flows: uint64(first + i)})
	}
	return events
}

// A proofLog is what a runner has told of.
type proofLog struct {
	mu     sync.Mutex
	tokens []uint16
	at     []time.Time
}

func (p *proofLog) note(c intel.Canary, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens, p.at = append(p.tokens, c.Token), append(p.at, at)
}

func (p *proofLog) tokensTold() []uint16 {
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
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			switch {
			case away.Load():
				return &RetryError{Sent: min(1, n), Err: errAway}
			case call > 100:
				return errAway // given up
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *RunnerConfig) {
			c.Filter = Filter{MinSeverity: "low", Feeds: []string{"x"}, Directions: []intel.Direction{intel.Inbound}}
			c.Limit = RateLimit{Rate: 0.001, Burst: 1}
		})
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, []intel.Event{{Kind: intel.KindHit}})
		add(t, j, []intel.Event{{Kind: intel.KindHit}, {Kind: intel.KindHit}, {Kind: intel.KindCanary, DstPort: 1}})
		synctest.Wait()
		if len(log.tokensTold()) != 0 {
			t.Errorf("told of %v while the sink is away", log.tokensTold())
		}
		away.Store(false)
		time.Sleep(time.Minute)
		if !slices.Equal(log.tokensTold(), []uint16{1}) || time.Since(log.atTold()[0]) > time.Minute {
			t.Errorf("told of %v at %v", log.tokensTold(), log.atTold())
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
		sink := &fakeSink{answer: func(context.Context, int, int) error { return errAway }}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		var log proofLog
		r.OnCanary(log.note)
		r.Start()
		add(t, j, flock(0, 3))
		time.Sleep(time.Minute)
		if s := checkCursor(t, r); len(log.tokensTold()) != 0 || s.Failed != 6 {
			t.Errorf("told of %v, %+v", log.tokensTold(), s)
		}
		stopAll(t, j, r)
	})
}

// TestOnCanaryHeld: of a sink that cannot be sure at once a canary is told of when it
// is, with the time when it was sent; what goes again is told of then.
func TestOnCanaryHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{answer: func(_ context.Context, call, n int) error {
			if call == 2 {
				return &RetryError{Sent: -2, Err: errAway}
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
		if len(log.tokensTold()) != 0 {
			t.Errorf("told of %v before the sink is sure", log.tokensTold())
		}
		add(t, j, flock(2, 1)) // fails: the one before goes again
		time.Sleep(10 * time.Second)
		if !slices.Equal(log.tokensTold(), []uint16{0}) || !log.atTold()[0].Equal(begin) {
			t.Errorf("told of %v at %v, want the first alone", log.tokensTold(), log.atTold())
		}
		sink.held.Store(0)
		time.Sleep(3 * time.Second)
		if !slices.Equal(log.tokensTold(), []uint16{0, 1, 2}) || !log.atTold()[1].After(begin) {
			t.Errorf("told of %v at %v", log.tokensTold(), log.atTold())
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
		if len(r.proofs) != maxProofs || len(log.tokensTold()) != 0 {
			t.Errorf("%d wait, told of %v", len(r.proofs), log.tokensTold())
		}
		sink.held.Store(0)
		time.Sleep(3 * time.Second)
		if len(log.tokensTold()) != maxProofs || log.tokensTold()[maxProofs-1] != 299 {
			t.Errorf("told of %v", log.tokensTold())
		}
		stopAll(t, j, r)
	})
}
