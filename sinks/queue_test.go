package sinks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// checkSum holds the sum that every loss must appear in.
func checkSum(t *testing.T, s QueueStats) {
	t.Helper()
	if s.Offered != s.Sent+s.Dropped+s.Failed+s.Pending {
		t.Errorf("the counters do not add up: %+v", s)
	}
}

func TestQueueSendsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		q := NewQueue(sink, DefaultQueueConfig())
		q.Offer(numbered(0, 100)) // before Start: waits
		q.Start()
		q.Start()
		for i := 100; i < 3000; i += 100 {
			q.Offer(numbered(i, 100))
		}
		if err := q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if !slices.Equal(sink.got, numbers(0, 3000)) || sink.closed != 1 {
			t.Errorf("got %d events, closed %d times", len(sink.got), sink.closed)
		}
		if s := q.Stats(); s != (QueueStats{Offered: 3000, Sent: 3000}) {
			t.Errorf("got %+v", s)
		}
	})
}

func TestQueueCopies(t *testing.T) {
	sink := &fakeSink{}
	q := NewQueue(sink, DefaultQueueConfig())
	events := numbered(7, 1)
	q.Offer(events)
	events[0].Flows = 0
	q.Start()
	if err := q.Stop(t.Context()); err != nil || !slices.Equal(sink.got, []uint64{7}) {
		t.Errorf("got %v, %v", sink.got, err)
	}
}

func TestQueueDropsWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		sink := &fakeSink{answer: func(context.Context, int, int) error { <-release; return nil }}
		cfg := DefaultQueueConfig()
		cfg.Capacity, cfg.Batch = 150, 10
		q := NewQueue(sink, cfg)
		q.Start()
		q.Offer(numbered(0, 100))
		synctest.Wait() // ten are being sent and still count
		q.Offer(numbered(100, 100))
		s := q.Stats()
		if s.Pending != 150 || s.Dropped != 50 {
			t.Errorf("got %+v", s)
		}
		close(release)
		if err := q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		q.Offer(numbered(0, 5)) // stopped: dropped
		s = q.Stats()
		if !slices.Equal(sink.got, numbers(0, 150)) || s.Dropped != 55 {
			t.Errorf("got %d events, %+v", len(sink.got), s)
		}
		checkSum(t, s)
	})
}

func TestQueueBacksOffAndSendsTheRestAgain(t *testing.T) {
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
		cfg := DefaultQueueConfig()
		cfg.BackoffMin, cfg.BackoffMax = time.Second, 3*time.Second
		q := NewQueue(sink, cfg)
		q.Start()
		q.Offer(numbered(0, 10))
		time.Sleep(7 * time.Second)
		s := q.Stats()
		if s.Sent != 4 || s.Pending != 6 || s.Errors != 4 || s.Failing != 4 || !strings.Contains(s.LastError, "away") || s.LastErrorAt.IsZero() {
			t.Errorf("while away: %+v", s)
		}
		checkSum(t, s)
		time.Sleep(time.Minute)
		s = q.Stats()
		if s.Sent != 10 || s.Pending != 0 || s.Errors != 5 || s.Failing != 0 || s.LastError == "" {
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
		if err := q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestQueueGivesUpWhatTheSinkGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(_ context.Context, call, n int) error {
			if call == 0 {
				return errAway
			}
			return nil
		}}
		q := NewQueue(sink, DefaultQueueConfig())
		q.Start()
		q.Offer(numbered(0, 3))
		synctest.Wait()
		q.Offer(numbered(3, 2))
		if err := q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		s := q.Stats()
		if s.Failed != 3 || s.Sent != 2 || s.Errors != 1 || !slices.Equal(sink.got, numbers(3, 2)) {
			t.Errorf("got %v, %+v", sink.got, s)
		}
		checkSum(t, s)
	})
}

func TestQueueStopTriesOnceMoreAndDropsByTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(context.Context, int, int) error { return &RetryError{Err: errAway} }}
		cfg := DefaultQueueConfig()
		cfg.BackoffMin, cfg.BackoffMax = time.Hour, time.Hour
		q := NewQueue(sink, cfg)
		q.Start()
		q.Offer(numbered(0, 10))
		synctest.Wait()
		began := time.Now()
		err := q.Stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "10 events dropped") || !errors.Is(q.Stop(t.Context()), err) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != cfg.Drain {
			t.Errorf("took %v, want %v", d, cfg.Drain)
		}
		s := q.Stats()
		if s.Dropped != 10 || s.Pending != 0 || len(sink.calls) != 2 || sink.closed != 1 {
			t.Errorf("got %+v, %d calls, %d times closed", s, len(sink.calls), sink.closed)
		}
	})
}

func TestQueueStopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{answer: func(ctx context.Context, _, _ int) error {
			<-ctx.Done()
			return &RetryError{Sent: 1, Err: ctx.Err()}
		}}
		q := NewQueue(sink, DefaultQueueConfig())
		q.Start()
		q.Offer(numbered(0, 3))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := q.Stop(ctx); err == nil || time.Since(began) != time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if s := q.Stats(); s.Sent != 1 || s.Dropped != 2 || sink.closed != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestQueueLeavesAHangingSinkBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		sink := &fakeSink{answer: func(context.Context, int, int) error { <-release; return nil }}
		q := NewQueue(sink, DefaultQueueConfig())
		q.Start()
		q.Offer(numbered(0, 3))
		err := q.Stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "left behind") || sink.closed != 0 {
			t.Errorf("got %v, closed %d times", err, sink.closed)
		}
		close(release)
		synctest.Wait()
		s := q.Stats()
		if s.Dropped != 3 || s.Sent != 0 {
			t.Errorf("got %+v", s)
		}
		checkSum(t, s)
	})
}

func TestQueueStoppedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		q := NewQueue(sink, DefaultQueueConfig())
		q.Offer(numbered(0, 3))
		if err := q.Stop(t.Context()); err == nil {
			t.Error("the loss is not told")
		}
		q.Start()
		if s := q.Stats(); s.Dropped != 3 || sink.closed != 1 || len(sink.calls) != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestQueueUnderLoad offers from many sides to a sink that fails now and then.
func TestQueueUnderLoad(t *testing.T) {
	sink := &fakeSink{answer: func(_ context.Context, _, n int) error {
		switch rand.IntN(4) {
		case 0:
			return &RetryError{Sent: rand.IntN(2*n+1) - n/2, Err: errAway}
		case 1:
			return errAway
		}
		return nil
	}}
	cfg := QueueConfig{Capacity: 300, Batch: 7, BackoffMin: 1, BackoffMax: 10, Drain: 10 * time.Second}
	q := NewQueue(sink, cfg)
	q.Start()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				q.Offer(numbered(0, i%50))
				checkSum(t, q.Stats())
			}
		})
	}
	wg.Wait()
	if err := q.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	s := q.Stats()
	checkSum(t, s)
	if s.Pending != 0 || s.Sent != uint64(len(sink.got)) || s.Sent == 0 || s.Failed == 0 {
		t.Errorf("got %+v, the sink has %d", s, len(sink.got))
	}
}

// TestRing compares with a plain slice.
func TestRing(t *testing.T) {
	const limit = 200
	var r ring
	var want []uint64
	for next := range 20_000 {
		if rand.IntN(2) == 0 {
			n := rand.IntN(60)
			taken := r.push(numbered(next, n), limit)
			if taken != min(n, limit-len(want)) {
				t.Fatalf("took %d of %d with %d held", taken, n, len(want))
			}
			want = append(want, numbers(next, taken)...)
		} else {
			n := rand.IntN(r.n + 1)
			r.drop(n)
			want = want[n:]
		}
		got := r.peek(50)
		if (len(got) == 0) != (len(want) == 0) || len(got) > 50 || r.n != len(want) {
			t.Fatalf("lent %d, holds %d, want %d", len(got), r.n, len(want))
		}
		for i := range got {
			if got[i].Flows != want[i] {
				t.Fatalf("got %d, want %d", got[i].Flows, want[i])
			}
		}
	}
	r.drop(r.n)
	for i := range r.buf {
		if r.buf[i].Flows != 0 {
			t.Fatal("a dropped event is still held")
		}
	}
}

func TestQueueConfig(t *testing.T) {
	if err := DefaultQueueConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*QueueConfig){
		"capacity:":    func(c *QueueConfig) { c.Capacity = 0 },
		"batch:":       func(c *QueueConfig) { c.Batch = c.Capacity + 1 },
		"backoff_min:": func(c *QueueConfig) { c.BackoffMin = 0 },
		"backoff_max:": func(c *QueueConfig) { c.BackoffMax = c.BackoffMin - 1 },
		"drain:":       func(c *QueueConfig) { c.Drain = -1 },
	} {
		c := DefaultQueueConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
