package sinks

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
)

// inMemory opens a journal without a directory and starts it.
func inMemory(t *testing.T, change ...func(*JournalConfig)) *Journal {
	t.Helper()
	cfg := DefaultJournalConfig()
	cfg.Durability = InMemory
	for _, f := range change {
		f(&cfg)
	}
	j, report, err := OpenJournal(cfg)
	if err != nil || report.Damaged() {
		t.Fatal(report, err)
	}
	j.Start()
	return j
}

// newRunner makes a runner with the defaults, changed.
func newRunner(t *testing.T, j *Journal, sink Sink, change ...func(*RunnerConfig)) *Runner {
	t.Helper()
	cfg := DefaultRunnerConfig()
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := NewRunner(j, sink, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// add appends events and fails when the journal does.
func add(t *testing.T, j *Journal, events []event.Event) {
	t.Helper()
	if err := j.Append(events); err != nil {
		t.Fatal(err)
	}
}

// stopAll stops runners and journal, which must not lose anything.
func stopAll(t *testing.T, j *Journal, runners ...*Runner) {
	t.Helper()
	for _, r := range runners {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		checkCursor(t, r)
	}
	if err := j.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// checkCursor holds the sum that every event must appear in, and gives the numbers.
func checkCursor(t *testing.T, r *Runner) CursorStats {
	t.Helper()
	s := r.Stats()
	if s.Appended != s.Delivered+s.Failed+s.Filtered+s.Limited+s.Dropped+s.Pending {
		t.Errorf("%s: the counters do not add up: %+v", r.Name(), s)
	}
	return s
}

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
		if !slices.Equal(sink.got, numbers(0, 3000)) || sink.closed != 1 {
			t.Errorf("got %d events, closed %d times", len(sink.got), sink.closed)
		}
		if s := r.Stats(); s.Appended != 3000 || s.Delivered != 3000 || s.Pending != 0 {
			t.Errorf("got %+v", s)
		}
		if err := j.Append(numbered(0, 7)); !errors.Is(err, ErrStopped) || j.Stats().Refused != 7 {
			t.Errorf("after Stop: %v, %+v", err, j.Stats())
		}
	})
}

func TestRunnerBacksOffAndSendsTheRestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return fmt.Errorf("wrapped: %w", &RetryError{Sent: 4, Err: errAway})
			case 1, 2, 3, 4:
				return &RetryError{Err: errAway}
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *RunnerConfig) { c.BackoffMin, c.BackoffMax = time.Second, 3*time.Second })
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
		if !slices.Equal(sink.got, numbers(0, 10)) {
			t.Errorf("got %v", sink.got)
		}
		var pauses []time.Duration
		for i := 1; i < len(sink.calls); i++ {
			pauses = append(pauses, sink.calls[i].Sub(sink.calls[i-1]))
		}
		if want := []time.Duration{1e9, 2e9, 3e9, 3e9, 3e9}; !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		stopAll(t, j, r)
	})
}

func TestRunnerGivesUpWhatTheSinkGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return &RetryError{Sent: 1, Err: errAway}
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
		if s.Failed != 2 || s.Delivered != 3 || s.Errors != 2 || !slices.Equal(sink.got, []uint64{0, 3, 4}) {
			t.Errorf("got %v, %+v", sink.got, s)
		}
	})
}

// TestRunnerRefused holds that events refused among others are counted alone, also those
// of an earlier call, and that the sink is not taken for one that fails.
func TestRunnerRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			switch call {
			case 0:
				return &RetryError{Sent: 3, Err: errAway}
			case 1:
				return fmt.Errorf("wrapped: %w", &RefusedError{Count: 2, Err: errors.New("too large")})
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
		sink := &fakeSink{answer: func(ctx context.Context, call, n int) error {
			if call == 0 {
				<-ctx.Done()
				return ctx.Err() // no RetryError
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *RunnerConfig) { c.Timeout = 3 * time.Second })
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
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			if call%2 == 0 {
				return &RetryError{Sent: n / 2, Err: errAway}
			}
			return nil
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *RunnerConfig) {
			c.Filter.MinSeverity, c.Batch = "high", 100
			c.Limit = RateLimit{Rate: 1, Burst: 60}
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
		if !slices.Equal(sink.got, want) || s.Delivered != 60 || s.Filtered != 100 || s.Limited != 40 {
			t.Errorf("got %v, %+v", sink.got, s)
		}
	})
}

func TestRunnersAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := named{&fakeSink{answer: func(context.Context, int, int) error { <-release; return nil }}, "hangs"}
		fails := named{&fakeSink{answer: func(context.Context, int, int) error { return &RetryError{Err: errAway} }}, "fails"}
		good := &fakeSink{}
		j := inMemory(t)
		runners := []*Runner{newRunner(t, j, hangs), newRunner(t, j, fails), newRunner(t, j, good)}
		for _, r := range runners {
			r.Start()
		}
		for i := range 100 {
			add(t, j, numbered(100*i, 100))
		}
		synctest.Wait()
		if !slices.Equal(good.got, numbers(0, 10_000)) {
			t.Errorf("the good one has %d", len(good.got))
		}
		close(release)
		synctest.Wait()
		if !slices.Equal(hangs.got, numbers(0, 10_000)) {
			t.Errorf("the slow one has %d", len(hangs.got))
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

// named gives a sink a name of its own.
type named struct {
	*fakeSink
	name string
}

func (n named) Name() string { return n.name }

func TestRunnerNamesAreUnique(t *testing.T) {
	j := inMemory(t)
	r := newRunner(t, j, &fakeSink{})
	if _, err := NewRunner(j, &fakeSink{}, DefaultRunnerConfig()); err == nil || !strings.Contains(err.Error(), "fake") {
		t.Errorf("got %v", err)
	}
	stopAll(t, j, r)
	if _, err := NewRunner(j, named{&fakeSink{}, "late"}, DefaultRunnerConfig()); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// TestRunnerStopInMemory holds that a stop tries for as long as it may when nothing
// else keeps the events.
func TestRunnerStopInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(context.Context, int, int) error { return &RetryError{Err: errAway} }}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *RunnerConfig) { c.BackoffMin, c.BackoffMax = 2*time.Second, time.Hour })
		r.Start()
		add(t, j, numbered(0, 10))
		synctest.Wait()
		began := time.Now()
		if err := r.Stop(t.Context()); err != nil || !errors.Is(r.Stop(t.Context()), err) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != 5*time.Second || len(sink.calls) != 3 || sink.closed != 1 {
			t.Errorf("took %v, %d calls, %d times closed", d, len(sink.calls), sink.closed)
		}
		if err := j.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "10 events dropped") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRunnerStopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(ctx context.Context, _, _ int) error {
			<-ctx.Done()
			return &RetryError{Sent: 1, Err: ctx.Err()}
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
		if s := checkCursor(t, r); s.Delivered != 1 || s.Pending != 2 || sink.closed != 1 {
			t.Errorf("got %+v", s)
		}
		_ = j.Stop(t.Context())
	})
}

func TestRunnerLeavesAHangingSinkBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		sink := &fakeSink{answer: func(context.Context, int, int) error { <-release; return nil }}
		j := inMemory(t)
		r := newRunner(t, j, sink)
		r.Start()
		add(t, j, numbered(0, 3))
		err := r.Stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "left behind") || sink.closed != 0 {
			t.Errorf("got %v, closed %d times", err, sink.closed)
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
		if s := checkCursor(t, r); s.Pending != 3 || sink.closed != 1 || len(sink.calls) != 0 {
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
		sink := &unsure{fakeSink: &fakeSink{answer: func(_ context.Context, call, n int) error {
			if call == 3 {
				return &RetryError{Sent: -20, Err: errAway} // the connection broke
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
		if !slices.Equal(sink.got, want) || s.Delivered != 35 || s.Repeated != 20 {
			t.Errorf("got %v, %+v", sink.got, s)
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
		sink.answer = func(_ context.Context, _, n int) error {
			if n > 0 {
				return nil
			}
			if n := asked.Add(1); n%3 == 0 && n < 10 {
				return &RetryError{Sent: -7, Err: errAway}
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
		if !slices.Equal(sink.got, want) || s.Delivered != 10 || s.Repeated != 30 || s.Errors != 3 || s.Failing != 3 {
			t.Errorf("got %v, %+v", sink.got, s)
		}
		sink.held.Store(0)
		time.Sleep(2 * time.Second)
		if s := checkCursor(t, r); s.Failing != 0 || s.Held != 0 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
	})
}

// TestPastIsBounded goes back to marks that were thinned out: more come again than
// were asked for, never fewer.
func TestPastIsBounded(t *testing.T) {
	c := newCursor("", "x", 0)
	for i := uint64(1); i <= 20_000; i++ {
		c.remember(c.done)
		c.settle(mark{Position: i, Delivered: i}, false)
		if len(c.past) > maxPast || c.held().Position != 0 {
			t.Fatalf("%d marks from %d on", len(c.past), c.held().Position)
		}
	}
	c.forget(10_000)
	if p := c.held().Position; p > 10_000 || p < 9_000 {
		t.Errorf("holds from %d on, want about 10000", p)
	}
	if !c.back(100) || c.done.Position > 19_900 || c.done.Position < 19_800 || c.next != c.done.Position {
		t.Errorf("went back to %d", c.done.Position)
	}
	c.forget(0)
	if c.back(1) {
		t.Error("went back to nowhere")
	}
}

// TestSkipWhileLent drops events while a batch is at the sink: what is lent counts
// as delivered, what lies behind it as dropped.
func TestSkipWhileLent(t *testing.T) {
	c := newCursor("", "x", 0)
	c.next = 10 // ten are lent
	c.skip(5)
	c.skip(15)
	c.skip(12)
	if c.dropped() != 5 || c.next != 15 {
		t.Errorf("dropped %d up to %d", c.dropped(), c.next)
	}
	c.settle(mark{Position: 4, Delivered: 4}, false)
	c.settle(mark{Position: 10, Delivered: 10}, true)
	if want := (mark{Position: 15, Delivered: 10, Dropped: 5}); c.done != want || c.lost != 0 {
		t.Errorf("got %+v, want %+v", c.done, want)
	}
}
