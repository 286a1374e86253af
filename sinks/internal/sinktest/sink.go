// Package sinktest has a sink whose answers a test decides, and the steps that tests of the
// journal and of runners share: append events, wait for delivery, compare what has arrived.
// It is imported by tests alone.
package sinktest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// ErrAway is an error that sinks give.
var ErrAway = errors.New("away")

// A Sink keeps the numbers of the events that it takes, see [Numbered].
type Sink struct {
	// Answer decides on each call how many events are taken, and with which error; nil =
	// all, with none.
	Answer func(ctx context.Context, call, n int) error

	mu     sync.Mutex
	Calls  []time.Time
	Got    []uint64
	Closed int
}

// Name gives always the same.
func (s *Sink) Name() string { return "fake" }

// Send takes events.
func (s *Sink) Send(ctx context.Context, events []event.Event) error {
	s.mu.Lock()
	call := len(s.Calls)
	s.Calls = append(s.Calls, time.Now())
	s.mu.Unlock()
	var err error
	if s.Answer != nil {
		err = s.Answer(ctx, call, len(events))
	}
	sent := len(events)
	if retry := new(sinks.RetryError); errors.As(err, &retry) {
		sent = retry.Sent
	} else if err != nil {
		sent = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range max(0, min(sent, len(events))) {
		s.Got = append(s.Got, events[i].Flows)
	}
	return err
}

// Close counts.
func (s *Sink) Close(context.Context) error {
	s.Closed++
	return nil
}

// Numbered gives n events that carry the numbers from first on.
func Numbered(first, n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		events[i].Flows = uint64(first + i)
	}
	return events
}

// Numbers gives n numbers from first on.
func Numbers(first, n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(first + i)
	}
	return all
}

// NewRunner makes a runner, with changes to the default configuration.
func NewRunner(t *testing.T, j sinks.Journal, sink sinks.Sink, change ...func(*sinks.RunnerConfig)) *sinks.Runner {
	t.Helper()
	cfg := sinks.DefaultRunnerConfig()
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := sinks.NewRunner(j, sink, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Add appends events to a journal.
func Add(t *testing.T, j interface{ Append([]event.Event) error }, events []event.Event) {
	t.Helper()
	if err := j.Append(events); err != nil {
		t.Fatal(err)
	}
}

// StopAll stops runners and their journal, which must not lose anything.
func StopAll(t *testing.T, j interface{ Stop(context.Context) error }, runners ...*sinks.Runner) {
	t.Helper()
	for _, r := range runners {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		CheckCursor(t, r)
	}
	if err := j.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// CheckCursor gives the counters of a runner, which must add up.
func CheckCursor(t *testing.T, r *sinks.Runner) sinks.CursorStats {
	t.Helper()
	s := r.Stats()
	if s.Appended != s.Delivered+s.Failed+s.Filtered+s.Limited+s.Dropped+s.Pending {
		t.Errorf("%s: the counters do not add up: %+v", r.Name(), s)
	}
	return s
}

// WaitFor waits for something that is about to happen.
func WaitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
