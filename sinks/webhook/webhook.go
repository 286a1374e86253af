package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

// maxTold is the number of offenders and alerts that are remembered as reported. Beyond
// it the oldest are forgotten, and would be reported again.
const maxTold = 10_000

// A Hook is the sink that notifies people. It is used by its queue alone.
type Hook struct {
	cfg     Config
	least   event.Severity
	deliver func(ctx context.Context, m *notice.Message) error

	last time.Time // of the last message
	told map[notice.Subject]time.Time
	// order has the subjects in the order in which they were reported.
	order []notice.Subject
}

// New makes a hook; nothing is opened or read yet. The error is about cfg.
func New(cfg Config) (*Hook, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	least, err := severity(cfg.MinSeverity)
	if err != nil {
		return nil, err
	}
	h := &Hook{cfg: cfg, least: least, told: map[notice.Subject]time.Time{}}
	h.deliver = func(ctx context.Context, m *notice.Message) error {
		return cfg.Mail.Send(ctx, m.Title(), m.Text(func(s string) string { return s }))
	}
	if cfg.Kind != KindMail {
		h.deliver = newPoster(cfg).post
	}
	return h, nil
}

// Name gives "webhook:" and the configured name, or the kind.
func (h *Hook) Name() string { return "webhook:" + cmp.Or(h.cfg.Name, h.cfg.Kind) }

// Send reports those events that are worth it, in one message, after the interval
// since the last one. Without any it returns at once.
func (h *Hook) Send(ctx context.Context, events []event.Event) error {
	m := h.digest(events, time.Now())
	if m.Empty() {
		return nil
	}
	if err := h.wait(ctx); err != nil {
		return &sinks.RetryError{Err: fmt.Errorf("%s: %w", h.Name(), err)}
	}
	attempt, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	err := h.deliver(attempt, m)
	if retry, ok := errors.AsType[*sinks.RetryError](err); ok {
		return &sinks.RetryError{Err: fmt.Errorf("%s: %w", h.Name(), retry.Err)}
	}
	h.last = time.Now() // also when it is given up: the next one could fail likewise
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name(), err)
	}
	h.remember(m)
	return nil
}

// Close does nothing: no connection outlives a message.
func (h *Hook) Close(context.Context) error { return nil }

// wait waits for the end of the interval.
func (h *Hook) wait(ctx context.Context) error {
	if h.last.IsZero() {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Until(h.last.Add(h.cfg.Interval)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// digest gathers what is to be reported.
func (h *Hook) digest(events []event.Event, now time.Time) *notice.Message {
	m := &notice.Message{}
	for i := range events {
		e := &events[i]
		s := notice.Of(e)
		if told, ok := h.told[s]; ok && now.Sub(told) < h.cfg.Repeat || !h.worth(e) {
			continue
		}
		m.Add(e)
	}
	return m
}

// worth reports whether people must hear of an event. An update counts as well: a
// contact may become grave when it is answered.
func (h *Hook) worth(e *event.Event) bool {
	switch e.Kind {
	case event.KindAlert:
		return true
	case event.KindHit, event.KindUpdate:
		return e.Severity >= h.least
	}
	return false
}

// remember notes what was reported, and forgets the oldest beyond maxTold.
func (h *Hook) remember(m *notice.Message) {
	for _, s := range m.Subjects() {
		if _, again := h.told[s]; !again {
			h.order = append(h.order, s)
		}
		h.told[s] = h.last
	}
	for len(h.order) > maxTold {
		delete(h.told, h.order[0])
		h.order = h.order[1:]
	}
}
