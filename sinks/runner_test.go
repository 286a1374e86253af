package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

func TestRunnerDeliversInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, sink := inMemory(t), &fakeSink{}
		r := newRunner(t, j, sink)
		add(t, j, numbered(0, 100)) // before Start: waits
		r.Start()
		r.Start()
		for i := 100; i < 3000; i += 100 {
			add(t, j, numbered(i, 100))
		}
		stopAll(t, j, r)
		if !slices.Equal(sink.Got, numbers(0, 3000)) || sink.Closed != 1 {
			t.Errorf("got %d events, closed %d times", len(sink.Got), sink.Closed)
		}
		if s := r.Stats(); s.Appended != 3000 || s.Delivered != 3000 || s.Pending != 0 {
			t.Errorf("got %+v", s)
		}
		if err := j.Append(numbered(0, 7)); !errors.Is(err, journal.ErrStopped) || j.Stats().Refused != 7 {
			t.Errorf("after Stop: %v, %+v", err, j.Stats())
		}
	})
}

func TestRunnerBacksOffAndSendsTheRestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return fmt.Errorf("wrapped: %w", &sinks.RetryError{Sent: 4, Err: errAway})
			case 1, 2, 3, 4:
				return &sinks.RetryError{Err: errAway}
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.BackoffMin, c.BackoffMax = time.Second, 3*time.Second })
		r.Start()
		events := numbered(0, 10)
		events[4].Time = time.Now().Add(-time.Minute)
		add(t, j, events)
		time.Sleep(7 * time.Second)
		s := checkCursor(t, r)
		if s.Delivered != 4 || s.Pending != 6 || s.Errors != 4 || s.Failing != 4 || !strings.Contains(s.LastError, "away") || s.LastErrorAt.IsZero() {
			t.Errorf("while away: %+v", s)
		}
		if s.OldestAge != 67*time.Second || s.PendingBytes == 0 || s.SendingFor != 0 {
			t.Errorf("while away: %+v", s)
		}
		time.Sleep(time.Minute)
		s = checkCursor(t, r)
		if s.Delivered != 10 || s.Pending != 0 || s.Errors != 5 || s.Failing != 0 || s.LastError == "" || s.OldestAge != 0 || s.PendingBytes != 0 {
			t.Errorf("when back: %+v", s)
		}
		if !slices.Equal(sink.Got, numbers(0, 10)) {
			t.Errorf("got %v", sink.Got)
		}
		var pauses []time.Duration
		for i := 1; i < len(sink.Calls); i++ {
			pauses = append(pauses, sink.Calls[i].Sub(sink.Calls[i-1]))
		}
		if want := []time.Duration{1e9, 2e9, 3e9, 3e9, 3e9}; !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		stopAll(t, j, r)
	})
}

func TestRunnerGivesUpWhatTheSinkGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return &sinks.RetryError{Sent: 1, Err: errAway}
			case 1:
				return errAway
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 3))
		time.Sleep(time.Second)
		add(t, j, numbered(3, 2))
		stopAll(t, j, r)
		s := r.Stats()
		if s.Failed != 2 || s.Delivered != 3 || s.Errors != 2 || !slices.Equal(sink.Got, []uint64{0, 3, 4}) {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
	})
}

// TestRunnerRefused holds that events refused among others are counted alone, also those
// of an earlier call, and that the sink is not taken for one that fails.
func TestRunnerRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return &sinks.RetryError{Sent: 3, Err: errAway}
			case 1:
				return fmt.Errorf("wrapped: %w", &sinks.RefusedError{Count: 2, Err: errors.New("too large")})
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 4))
		time.Sleep(time.Minute)
		if s := checkCursor(t, r); s.Failed != 2 || s.Delivered != 2 || s.Failing != 0 || s.Errors != 2 ||
			s.LastError != "wrapped: events given up: 2, the last: too large" {
			t.Errorf("got %+v", s)
		}
		add(t, j, numbered(4, 2))
		stopAll(t, j, r)
		if s := checkCursor(t, r); s.Failed != 2 || s.Delivered != 4 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestRunnerInterrupts holds that events are not given up by a sink that was
// interrupted, whatever it says: its time was up.
func TestRunnerInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(ctx context.Context, call, n int) error {
			if call == 0 {
				<-ctx.Done()
				return ctx.Err() // no sinks.RetryError
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.Timeout = 3 * time.Second })
		r.Start()
		add(t, j, numbered(0, 3))
		time.Sleep(2 * time.Second)
		if s := checkCursor(t, r); s.SendingFor != 2*time.Second || s.Pending != 3 {
			t.Errorf("got %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := checkCursor(t, r); s.Failed != 0 || s.Delivered != 3 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
	})
}

func TestRunnerFiltersAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(_ context.Context, call, n int) error {
			if call%2 == 0 {
				return &sinks.RetryError{Sent: n / 2, Err: errAway}
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) {
			c.Filter.MinSeverity, c.Batch = "high", 100
			c.Limit = sinks.RateLimit{Rate: 1, Burst: 60}
		})
		r.Start()
		events := numbered(0, 200)
		for i := range events {
			events[i].Severity = event.Severity(i % 4)
			events[i].Time = eventtest.At
		}
		add(t, j, events)
		synctest.Wait()
		checkCursor(t, r)
		stopAll(t, j, r)
		var want []uint64
		for i := uint64(0); len(want) < 60; i++ {
			if i%4 >= 2 {
				want = append(want, i)
			}
		}
		s := r.Stats()
		if !slices.Equal(sink.Got, want) || s.Delivered != 60 || s.Filtered != 100 || s.Limited != 40 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
	})
}

func TestRunnersAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := named{&fakeSink{Answer: func(context.Context, int, int) error { <-release; return nil }}, "hangs"}
		fails := named{&fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}, "fails"}
		good := &fakeSink{}
		j := inMemory(t)
		runners := []*sinks.Runner{newRunner(t, j, hangs), newRunner(t, j, fails), newRunner(t, j, good)}
		for _, r := range runners {
			r.Start()
		}
		for i := range 100 {
			add(t, j, numbered(100*i, 100))
		}
		synctest.Wait()
		if !slices.Equal(good.Got, numbers(0, 10_000)) {
			t.Errorf("the good one has %d", len(good.Got))
		}
		close(release)
		synctest.Wait()
		if !slices.Equal(hangs.Got, numbers(0, 10_000)) {
			t.Errorf("the slow one has %d", len(hangs.Got))
		}
		for _, r := range runners {
			_ = r.Stop(t.Context())
			checkCursor(t, r)
		}
		err := j.Stop(t.Context())
		if err == nil || err.Error() != "sink fails: 10000 events dropped when the journal stopped" || !errors.Is(j.Stop(t.Context()), err) {
			t.Errorf("got %v", err)
		}
		if s := checkCursor(t, runners[1]); s.Dropped != 10_000 || s.Pending != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRunnerNamesAreUnique(t *testing.T) {
	j := inMemory(t)
	r := newRunner(t, j, &fakeSink{})
	if _, err := sinks.NewRunner(j, &fakeSink{}, sinks.DefaultRunnerConfig()); err == nil || !strings.Contains(err.Error(), "fake") {
		t.Errorf("got %v", err)
	}
	stopAll(t, j, r)
	if _, err := sinks.NewRunner(j, named{&fakeSink{}, "late"}, sinks.DefaultRunnerConfig()); !errors.Is(err, journal.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// TestRunnerStopInMemory holds that a stop tries for as long as it may when nothing
// else keeps the events.
func TestRunnerStopInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.BackoffMin, c.BackoffMax = 2*time.Second, time.Hour })
		r.Start()
		add(t, j, numbered(0, 10))
		synctest.Wait()
		began := time.Now()
		if err := r.Stop(t.Context()); err != nil || !errors.Is(r.Stop(t.Context()), err) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != 5*time.Second || len(sink.Calls) != 3 || sink.Closed != 1 {
			t.Errorf("took %v, %d calls, %d times closed", d, len(sink.Calls), sink.Closed)
		}
		if err := j.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "10 events dropped") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRunnerStopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{Answer: func(ctx context.Context, _, _ int) error {
			<-ctx.Done()
			return &sinks.RetryError{Sent: 1, Err: ctx.Err()}
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 3))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := r.Stop(ctx); err != nil || time.Since(began) != time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if s := checkCursor(t, r); s.Delivered != 1 || s.Pending != 2 || sink.Closed != 1 {
			t.Errorf("got %+v", s)
		}
		_ = j.Stop(t.Context())
	})
}

func TestRunnerLeavesAHangingSinkBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		sink := &fakeSink{Answer: func(context.Context, int, int) error { <-release; return nil }}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 3))
		err := r.Stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "left behind") || sink.Closed != 0 {
			t.Errorf("got %v, closed %d times", err, sink.Closed)
		}
		if s := checkCursor(t, r); s.Pending != 3 {
			t.Errorf("got %+v", s)
		}
		_ = j.Stop(t.Context())
		close(release)
		synctest.Wait()
		if s := checkCursor(t, r); s.Dropped != 3 || s.Delivered != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRunnerStoppedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		add(t, j, numbered(0, 3))
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		r.Start()
		synctest.Wait()
		if s := checkCursor(t, r); s.Pending != 3 || sink.Closed != 1 || len(sink.Calls) != 0 {
			t.Errorf("got %+v", s)
		}
		if err := j.Stop(t.Context()); err == nil {
			t.Error("the loss is not told")
		}
	})
}

// unsure is a sink that does not know what has arrived.
type unsure struct {
	*fakeSink
	held atomic.Int32
}

func (u *unsure) Held() int { return int(u.held.Load()) }

// TestHolder holds that events which may not have arrived are kept and come again.
func TestHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{Answer: func(_ context.Context, call, n int) error {
			if call == 3 {
				return &sinks.RetryError{Sent: -20, Err: errAway} // the connection broke
			}
			return nil
		}}}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		sink.held.Store(30)
		for i := range 3 {
			add(t, j, numbered(10*i, 10))
			synctest.Wait()
		}
		if s := checkCursor(t, r); s.Delivered != 30 || s.Held != 30 {
			t.Errorf("got %+v", s)
		}
		if n := j.Stats().InMemory; n != 30 {
			t.Errorf("%d events kept, want 30", n)
		}
		add(t, j, numbered(30, 5))
		time.Sleep(time.Second)
		want := append(numbers(0, 30), numbers(10, 25)...)
		s := checkCursor(t, r)
		if !slices.Equal(sink.Got, want) || s.Delivered != 35 || s.Repeated != 20 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		sink.held.Store(0)
		time.Sleep(2 * time.Second)
		if s := checkCursor(t, r); s.Held != 0 || j.Stats().InMemory != 0 {
			t.Errorf("got %+v, %+v", s, j.Stats())
		}
		stopAll(t, j, r)
	})
}

// TestHolderIsAsked holds that events which a sink holds come again without others
// behind them, and that the sink counts as failing until they are certain.
func TestHolderIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		sink := &unsure{fakeSink: &fakeSink{}}
		sink.Answer = func(_ context.Context, _, n int) error {
			if n > 0 {
				return nil
			}
			if n := asked.Add(1); n%3 == 0 && n < 10 {
				return &sinks.RetryError{Sent: -7, Err: errAway}
			}
			return nil
		}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		sink.held.Store(10)
		add(t, j, numbered(0, 10))
		time.Sleep(2500 * time.Millisecond)
		if s := checkCursor(t, r); asked.Load() != 2 || s.Failing != 0 || s.Held != 10 {
			t.Errorf("asked %d times, %+v", asked.Load(), s)
		}
		time.Sleep(27 * time.Second)
		want := slices.Concat(numbers(0, 10), numbers(0, 10), numbers(0, 10), numbers(0, 10))
		s := checkCursor(t, r)
		if !slices.Equal(sink.Got, want) || s.Delivered != 10 || s.Repeated != 30 || s.Errors != 3 || s.Failing != 3 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		sink.held.Store(0)
		time.Sleep(2 * time.Second)
		if s := checkCursor(t, r); s.Failing != 0 || s.Held != 0 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
	})
}
