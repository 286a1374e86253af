package sinks

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// holdEvery is how often a sink that holds events is called when there are no others.
const holdEvery = time.Second

// A Runner delivers the events of a journal to one sink, in order, in a goroutine
// of its own. Its place in the journal is saved, so that it goes on after a restart
// or a crash with the first event that may not have been delivered. It owns the
// sink and closes it.
type Runner struct {
	cfg    RunnerConfig
	sink   Sink
	holder Holder // the sink again, if it is one
	prober Prober // likewise
	cursor Cursor

	start, stop sync.Once
	stopErr     error

	ctx    context.Context // of every Send; ended by cancel
	cancel context.CancelFunc
	hurry  chan struct{} // one token: Stop was called, end the pause
	wake   chan struct{} // one token: Stop was called, end the wait for events
	done   chan struct{} // closed when the goroutine has ended

	// Of the goroutine alone.
	onCanary func(c event.Canary, at time.Time)
	proofs   []proof       // canaries that onCanary is still to be called with
	probes   []event.Event // canaries that the filter stopped, for the prober

	mu       sync.Mutex // of what follows; the cursor is not called under it
	stopping bool       // nothing new is waited for
	left     bool       // the sink did not return in time: its answer no longer counts
	stats    runnerStats
}

// NewRunner makes a runner for sink, whose name must be the only one of its kind in
// the journal. A name that the journal knows goes on where it was. A new one begins
// with the oldest event that any known sink still has to get: what is in the
// journal is still to be delivered. The runner does nothing yet; cfg must be valid.
func NewRunner(journal Journal, sink Sink, cfg RunnerConfig) (*Runner, error) {
	c, err := journal.Cursor(sink.Name())
	if err != nil {
		return nil, err
	}
	r := &Runner{
		cfg: cfg, sink: sink, cursor: c,
		hurry: make(chan struct{}, 1), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	r.holder, _ = sink.(Holder)
	r.prober, _ = sink.(Prober)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Name gives the name of the sink.
func (r *Runner) Name() string { return r.sink.Name() }

// Start starts delivering. Only the first call does anything, and none after Stop.
func (r *Runner) Start() { r.start.Do(func() { go r.run() }) }

// run delivers until it is stopped and nothing waits, or cancelled.
func (r *Runner) run() {
	defer close(r.done)
	defer r.cursor.Close()
	var pause time.Duration
	for {
		ready, err := r.fill()
		progress, again := ready, err != nil
		if ready {
			progress, again = r.settle(r.send())
			r.holding()
		}
		if progress {
			pause = 0
		}
		switch {
		case !ready && !again, again && r.leaving():
			return
		case again:
			pause = min(max(2*pause, r.cfg.BackoffMin), r.cfg.BackoffMax)
			r.sleep(pause)
		}
	}
}

// leaving reports whether the runner should rather end than try again: it is being
// stopped, and the events are safe in the journal.
func (r *Runner) leaving() bool {
	return r.ctx.Err() != nil || r.isStopping() && r.cursor.Kept()
}

func (r *Runner) isStopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopping
}

// fill sees to it that there are events to send, and waits for them. Not ready
// without an error means that it is over.
func (r *Runner) fill() (ready bool, err error) {
	for r.ctx.Err() == nil {
		if len(r.cursor.Rest()) > 0 {
			return true, nil
		}
		if err := r.probe(); err != nil {
			return false, err
		}
		more, err := r.cursor.Next(r.cfg.Batch, r.judge)
		if err != nil {
			return false, err
		}
		if more {
			r.waiting()
			continue
		}
		if more, err = r.wait(); !more || err != nil {
			return false, err
		}
	}
	return false, nil
}

// judge decides what becomes of an event.
func (r *Runner) judge(e *event.Event, b *Bucket) Outcome {
	switch {
	case !r.cfg.Filter.passes(e):
		r.toProbe(e)
		return Filtered
	case e.Kind != event.KindCanary && !b.passesEvent(r.cfg.Limit, e):
		return Limited
	}
	return Send
}

// wait waits until there may be more to read. False means that there will not be. An
// error is that of the sink about events that it holds; they are to be read again.
func (r *Runner) wait() (more bool, err error) {
	if r.isStopping() && r.cursor.Drained() {
		return false, nil
	}
	var again <-chan time.Time
	if r.holding() { // the sink will be sure of them without further events
		timer := time.NewTimer(holdEvery)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-r.cursor.Wake():
	case <-r.wake:
	case <-again:
		return true, r.ask()
	case <-r.ctx.Done():
	}
	return true, nil
}

// ask lets the sink look after the events that it holds, while there are no others.
func (r *Runner) ask() error {
	err := r.send()
	retry, ok := errors.AsType[*RetryError](err)
	if !ok || retry.Sent >= 0 {
		return nil
	}
	r.sent(err)
	r.goBack(uint64(-retry.Sent))
	return err
}

// holding reports whether the sink may still want events again.
func (r *Runner) holding() bool {
	if r.holder == nil {
		r.reportProofs(math.MaxUint64)
		return false
	}
	held := uint64(max(0, r.holder.Held()))
	certain := r.cursor.Release(held)
	r.certain()
	r.reportProofs(certain)
	return held > 0
}

// attempt gives the context of one call of the sink.
func (r *Runner) attempt() (context.Context, context.CancelFunc) {
	if r.cfg.Timeout > 0 {
		return context.WithTimeout(r.ctx, r.cfg.Timeout)
	}
	return r.ctx, func() {}
}

// send gives the events that were read to the sink.
func (r *Runner) send() error {
	ctx, cancel := r.attempt()
	defer cancel()
	r.sending(time.Now())
	err := r.sink.Send(ctx, r.cursor.Rest())
	r.sending(time.Time{})
	if _, ok := errors.AsType[*RetryError](err); err != nil && !ok && ctx.Err() != nil {
		return &RetryError{Err: err} // it was interrupted, and has not given them up
	}
	return err
}

// settle counts what became of the events that were sent. again means that the sink wants
// a pause and the rest anew, progress that it delivered something before. What only makes
// up for events that came again is none: a peer may take and break as often as it likes.
func (r *Runner) settle(err error) (progress, again bool) {
	if !r.sent(err) {
		return false, true
	}
	sent := len(r.cursor.Rest())
	retry, again := errors.AsType[*RetryError](err)
	if again {
		sent = min(retry.Sent, sent)
	}
	if sent < 0 && r.goBack(uint64(-sent)) {
		return false, true
	}
	sent = max(0, sent)
	if err == nil || again {
		r.prove(sent, time.Now())
	}
	r.cursor.Settle(sent, givenUp(err, sent), r.holder != nil)
	if again && r.cursor.Yield() {
		r.probes = r.probes[:0] // they will be read again
	}
	r.waiting()
	r.certain()
	return sent > 0 && (err == nil || again) && !r.cursor.Doubtful(), again
}

// givenUp gives how many of the delivered events an error gives up: of those that were
// sent all, or as many as a [RefusedError] has, which may be of earlier calls.
func givenUp(err error, sent int) int {
	if _, again := errors.AsType[*RetryError](err); err == nil || again {
		return 0
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return max(0, refused.Count)
	}
	return sent
}

// goBack makes the latest n delivered events, and some before, come again.
func (r *Runner) goBack(n uint64) bool {
	delivered, ok := r.cursor.Back(n)
	if ok {
		r.unprove(delivered)
	}
	return ok
}

// sleep pauses for d; being stopped ends it.
func (r *Runner) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.hurry:
	case <-r.ctx.Done():
	}
}

// signal leaves a token unless one lies there already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
