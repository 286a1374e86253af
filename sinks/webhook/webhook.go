package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/reported"
)

// maxSubjects bounds the offenders and alerts of one message, for the memory's sake; events of
// others are counted in it.
const maxSubjects = reported.Max

// A Hook is the sink that notifies people. It is used by its queue alone, but for Stats.
type Hook struct {
	cfg     Config
	least   event.Severity
	deliver func(ctx context.Context, m *notice.Message) error

	memory *reported.Memory
	next   *notice.Message                  // what waits for the end of the interval
	facts  map[notice.Subject]reported.Fact // of its subjects
	held   int                              // events since the first of it
	last   time.Time                        // of the last message

	messages, named, unnamed, memoryErrors atomic.Uint64
	lastError                              atomic.Pointer[string]
}

// Stats counts what only this sink has, since the start.
type Stats struct {
	Messages uint64 // delivered
	Reported uint64 // offenders and alerts in them
	Unnamed  uint64 // of these, those that were only counted
	// MemoryErrors are failures to read or write the file of what was reported: people may
	// hear of it again after a restart.
	MemoryErrors uint64
	LastError    string // of the memory
}

// New makes a hook, and reads what was reported before. The error is about cfg.
func New(cfg Config) (*Hook, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	least, err := severity(cfg.MinSeverity)
	if err != nil {
		return nil, err
	}
	h := &Hook{cfg: cfg, least: least}
	h.begin()
	switch cfg.Kind {
	case KindMail:
		h.deliver = func(ctx context.Context, m *notice.Message) error {
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
			return cfg.Mail.Send(ctx, m.Title(), m.Text(func(s string) string { return s }))
		}
	default:
		p, err := newPoster(cfg)
		if err != nil {
			return nil, err
		}
		h.deliver = p.post
	}
	path := ""
	if cfg.StateDir != "" {
		path = filepath.Join(cfg.StateDir, "notified-"+fileName(cmp.Or(cfg.Name, cfg.Kind))+".json")
	}
	if h.memory, err = reported.Open(path, time.Now()); err != nil {
		h.forgot(err)
	}
	return h, nil
}

// fileName makes a name that is safe in a path, and another one for every other name.
func fileName(name string) string {
	safe := make([]byte, 0, 32)
	for i := range min(len(name), 32) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			safe = append(safe, c)
		} else {
			safe = append(safe, '_')
		}
	}
	if string(safe) != name {
		return fmt.Sprintf("%s-%08x", safe, uint32(hash(name)))
	}
	return name
}

func hash(s string) uint64 {
	f := fnv.New64a()
	_, _ = f.Write([]byte(s))
	return f.Sum64()
}

// Name gives "webhook:" and the configured name, or the kind.
func (h *Hook) Name() string { return "webhook:" + cmp.Or(h.cfg.Name, h.cfg.Kind) }

// Stats gives the counters. It may be called by any goroutine.
func (h *Hook) Stats() Stats {
	s := Stats{Messages: h.messages.Load(), Reported: h.named.Load() + h.unnamed.Load(), Unnamed: h.unnamed.Load(), MemoryErrors: h.memoryErrors.Load()}
	if text := h.lastError.Load(); text != nil {
		s.LastError = *text
	}
	return s
}

// Held gives the events that wait for the end of the interval. The journal keeps them until
// their message is delivered.
func (h *Hook) Held() int { return h.held }

// Send takes those events that are worth it into the next message, and delivers that when
// the interval since the last one is over; without events it only does the latter.
func (h *Hook) Send(ctx context.Context, events []event.Event) error {
	before := h.held
	now := time.Now()
	for i := range events {
		h.take(ctx, &events[i], now)
	}
	if h.next.Empty() || now.Before(h.last.Add(h.cfg.Interval)) {
		return nil
	}
	err := h.flush(ctx)
	if retry, ok := errors.AsType[*sinks.RetryError](err); ok { // all that waited comes again
		return &sinks.RetryError{Sent: -before, Err: fmt.Errorf("%s: %w", h.Name(), retry.Err)}
	}
	return err
}

// take notes an event for the next message if people must hear of it.
func (h *Hook) take(ctx context.Context, e *event.Event, now time.Time) {
	if h.held > 0 {
		h.held++
	}
	news, fact := h.news(ctx, e, now)
	if news == "" {
		return
	}
	h.held = max(h.held, 1)
	s := notice.Of(e)
	if !h.next.Has(s) && len(h.next.Subjects()) >= maxSubjects {
		h.next.Count()
		return
	}
	h.next.Add(e, news)
	h.facts[s] = h.facts[s].Worst(fact)
}

// news gives why people must hear of an event, or nothing, and how bad it is.
func (h *Hook) news(ctx context.Context, e *event.Event, now time.Time) (string, reported.Fact) {
	fact := reported.Fact{
		At: now, Severity: e.Severity, Answered: e.Answered == event.AnsweredYes,
		Called: e.Direction == event.Outbound || e.Direction == event.Internal,
	}
	switch e.Kind {
	case event.KindAlert:
	case event.KindHit, event.KindUpdate:
		if e.Severity < h.least {
			return "", fact
		}
	default:
		return "", fact
	}
	s := notice.Of(e)
	if h.next.Has(s) {
		return h.worse(e, h.facts[s], fact, "more of the same"), fact
	}
	before, known := h.memory.Of(remembered(s))
	switch {
	case known && now.Sub(before.At).Abs() < h.cfg.Repeat: // more before than that, the clock was wrong
		return h.worse(e, before, fact, ""), fact
	case e.Kind == event.KindAlert:
		return "alert", fact
	case known && h.cfg.Handled != nil && h.cfg.Handled(ctx, e.Offender):
		return h.worse(e, before, fact, ""), fact
	case known:
		return "again, last reported on " + before.At.UTC().Format(time.DateTime) + " UTC", fact
	case e.Retro:
		return "first contact, before it was listed", fact
	}
	return "first contact", fact
}

// worse gives in what something that is known has got worse, or else.
func (h *Hook) worse(e *event.Event, before, now reported.Fact, otherwise string) string {
	switch {
	case e.RaisedBy() != nil && e.Rule.Update:
		return "at least twice as many as in the last alert"
	case e.Kind == event.KindAlert:
	case now.Severity > before.Severity:
		return fmt.Sprintf("severity rose from %s to %s", before.Severity, now.Severity)
	case now.Answered && !before.Answered:
		return "answered, where it was not before"
	case now.Called && !before.Called:
		return "called by a host of ours, where it was only seen to come in before"
	}
	return otherwise
}

// remembered is a subject as the memory has it.
func remembered(s notice.Subject) reported.Subject {
	r := reported.Subject{Offender: s.Offender, Alert: s.Alert}
	if s.Alert != "" {
		r.Reason = hash(s.Reason)
	}
	return r
}

// begin begins the next message.
func (h *Hook) begin() {
	h.next = &notice.Message{MaxTLP: intel.TLPRank(h.cfg.MaxTLP), Page: h.cfg.Page}
	h.facts, h.held = map[notice.Subject]reported.Fact{}, 0
}

// flush delivers what waits. After an error it waits no more: it is given up, or comes again.
func (h *Hook) flush(ctx context.Context) error {
	m, facts := h.next, h.facts
	h.begin()
	err := h.deliver(ctx, m)
	if _, retry := errors.AsType[*sinks.RetryError](err); retry {
		return err
	}
	h.last = time.Now() // also when it is given up: the next one could fail likewise
	if err != nil {
		return &sinks.RefusedError{Count: m.Events(), Err: fmt.Errorf("%s: %w", h.Name(), err)}
	}
	h.messages.Add(1)
	h.named.Add(uint64(m.Named()))
	h.unnamed.Add(uint64(m.Unnamed()))
	for _, s := range m.Subjects() {
		fact, r := facts[s], remembered(s)
		if before, known := h.memory.Of(r); known {
			fact = fact.Worst(before)
		}
		fact.At = h.last
		h.memory.Note(r, fact)
	}
	if err := h.memory.Save(); err != nil {
		h.forgot(err)
	}
	return nil
}

func (h *Hook) forgot(err error) {
	text := "what was reported: " + err.Error()
	h.lastError.Store(&text)
	h.memoryErrors.Add(1)
}

// Close delivers what waits. What cannot be delivered comes again after the next start.
func (h *Hook) Close(ctx context.Context) error {
	if h.next.Empty() {
		return nil
	}
	held := h.held
	err := h.flush(ctx)
	if _, retry := errors.AsType[*sinks.RetryError](err); retry {
		h.held = held
		return nil
	}
	return err
}
