package sinks

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// grace is how long Stop waits for a sink that should have returned already,
// and the time a sink has for its Close.
const grace = time.Second

// Stop gives the sink the time that ctx and Drain leave to take what waits, and
// closes it. Where the journal is on the disk it does not insist on a sink that
// fails: what was not delivered stays there for the next start. With durability
// memory it is lost, which the journal reports when it is stopped. A sink that does
// not return from Send although its time is up is left behind a second later, and
// reported. Further calls wait for the first and return the same.
func (r *Runner) Stop(ctx context.Context) error {
	r.stop.Do(func() { r.stopErr = r.shutdown(ctx) })
	return r.stopErr
}

func (r *Runner) shutdown(ctx context.Context) error {
	drain, cancel := context.WithTimeout(ctx, r.cfg.Drain)
	defer cancel()
	r.start.Do(func() { close(r.done) }) // never started: nothing to wait for
	r.refuse()
	select {
	case <-r.done:
	case <-drain.Done():
	}
	r.cancel()
	if !r.ended() {
		return fmt.Errorf("sink %s: does not return from sending, left behind", r.Name())
	}
	closed, err := r.close(context.WithoutCancel(ctx))
	if closed {
		r.holding()
	}
	if err != nil {
		return fmt.Errorf("sink %s: close: %w", r.Name(), err)
	}
	return nil
}

// close closes the sink, but does not wait for one that hangs.
func (r *Runner) close(ctx context.Context) (closed bool, err error) {
	end, cancel := context.WithTimeout(ctx, grace)
	result := make(chan error, 1)
	go func() {
		defer cancel()
		result <- r.sink.Close(end)
	}()
	timer := time.NewTimer(2 * grace)
	defer timer.Stop()
	select {
	case err := <-result:
		return true, err
	case <-timer.C:
		return false, errors.New("does not return, left behind")
	}
}

// refuse wakes the goroutine, from a pause as well: the last attempt must not wait
// for the back-off.
func (r *Runner) refuse() {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	signal(r.wake)
	signal(r.hurry)
}

// ended waits for the goroutine, but not for ever, and takes back what it did not
// deliver.
func (r *Runner) ended() (ended bool) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.done:
		ended = true
	case <-timer.C:
	}
	r.mu.Lock()
	r.left = true
	r.mu.Unlock()
	r.cursor.Leave(ended)
	return ended
}
