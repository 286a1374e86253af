package sinks

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// fakeSink keeps the numbers of the events that it takes; answer decides on each
// call how many and with which error.
type fakeSink struct {
	answer func(ctx context.Context, call, n int) error

	mu     sync.Mutex
	calls  []time.Time
	got    []uint64
	closed int
}

func (s *fakeSink) Name() string { return "fake" }

func (s *fakeSink) Send(ctx context.Context, events []event.Event) error {
	s.mu.Lock()
	call := len(s.calls)
	s.calls = append(s.calls, time.Now())
	s.mu.Unlock()
	var err error
	if s.answer != nil {
		err = s.answer(ctx, call, len(events))
	}
	sent := len(events)
	if retry := new(RetryError); errors.As(err, &retry) {
		sent = retry.Sent
	} else if err != nil {
		sent = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range max(0, min(sent, len(events))) {
		s.got = append(s.got, events[i].Flows)
	}
	return err
}

func (s *fakeSink) Close(context.Context) error {
	s.closed++
	return nil
}

// numbered gives events that carry the numbers from first on.
func numbered(first, n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		events[i].Flows = uint64(first + i)
	}
	return events
}

func numbers(first, n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(first + i)
	}
	return all
}

var errAway = errors.New("away")
