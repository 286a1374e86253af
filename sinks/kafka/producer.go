package kafka

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
)

// fewEvents is the size below which a batch counts as small, see Config.Linger.
const fewEvents = 100

// Stats counts what has happened. Delivered and Refused are final, each event is in
// one of them once.
type Stats struct {
	Delivered uint64 // events that the brokers have acknowledged
	Bytes     uint64 // keys and values of these, before compression
	Refused   uint64 // events that a broker will never take, given up
	Requests  uint64 // to produce
	Errors    uint64 // calls of Send that asked for another
	LastError string // the latest of these or the latest refusal, kept after recovery
}

// A Producer is the sink that publishes events. Send and Close are for its queue,
// Stats may be called from anywhere.
type Producer struct {
	cfg     Config
	form    form.Form
	session *session // nil until needed, and after a failure

	// ahead are events that are done though some before them are not: they must not
	// be sent again with those. It never holds more than one call of Send was given.
	ahead map[uuid.UUID]struct{}
	// refused are refusals that have not been reported to the queue yet.
	refused sinks.RefusedError
	last    time.Time // when the last request began

	mu    sync.Mutex // of stats
	stats Stats
}

// New makes a producer; nothing is opened or read yet. The error is about cfg.
func New(cfg Config) (*Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	form, err := cfg.form()
	if err != nil {
		return nil, err
	}
	return &Producer{cfg: cfg, form: form}, nil
}

// Name gives "kafka:" and the configured name, or the first broker.
func (p *Producer) Name() string { return "kafka:" + cmp.Or(p.cfg.Name, p.cfg.Brokers[0]) }

// Send publishes events and waits for the acknowledgements. Events that no attempt
// could ever deliver are given up and reported by a [*sinks.RefusedError] once everything
// else is delivered; any other trouble is a [*sinks.RetryError].
func (p *Producer) Send(ctx context.Context, events []event.Event) error {
	if err := p.linger(ctx, len(events)); err != nil {
		return &sinks.RetryError{Err: err}
	}
	messages := p.messages(events)
	err := p.publish(ctx, messages)
	p.account(messages)
	done := prefix(messages)
	if done < len(messages) {
		p.remember(messages[done:])
		err = p.failed(p.explain(err))
		p.drop()
		return &sinks.RetryError{Sent: done, Err: err}
	}
	p.ahead = nil
	if p.refused.Count > 0 {
		refused := p.refused
		p.refused = sinks.RefusedError{}
		return p.explain(&refused)
	}
	return nil
}

// explain adds whose error it is, and what can be done about it.
func (p *Producer) explain(err error) error {
	err = explain(p.cfg, p.session, err)
	if p.cfg.Name == "" { // the brokers distinguish it from other sinks
		return fmt.Errorf("kafka: %w", err)
	}
	return fmt.Errorf("%s: %w", p.Name(), err)
}

// Close ends the connections. It never waits.
func (p *Producer) Close(context.Context) error {
	p.drop()
	return nil
}

// Stats gives the counters at one moment.
func (p *Producer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// linger waits a little before a small batch that follows another one closely.
func (p *Producer) linger(ctx context.Context, n int) error {
	if wait := time.Until(p.last.Add(p.cfg.Linger)); n < fewEvents && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.last = time.Now()
	return nil
}

// drop ends the session; the next Send makes another.
func (p *Producer) drop() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

// remember notes those that are done behind one that is not.
func (p *Producer) remember(rest []message) {
	p.ahead = map[uuid.UUID]struct{}{}
	for i := range rest {
		if rest[i].state.done() && rest[i].id != uuid.Nil {
			p.ahead[rest[i].id] = struct{}{}
		}
	}
}

// account counts what became of the messages.
func (p *Producer) account(messages []message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range messages {
		switch m := &messages[i]; m.state {
		case delivered:
			p.stats.Delivered++
			p.stats.Bytes += uint64(len(m.key) + len(m.value))
		case refused:
			p.stats.Refused++
			p.stats.LastError = m.err.Error()
			p.refused.Count++
			p.refused.Err = m.err
		}
	}
}

// failed counts an error and returns it.
func (p *Producer) failed(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Errors++
	p.stats.LastError = err.Error()
	return err
}

func (p *Producer) countRequest() {
	p.mu.Lock()
	p.stats.Requests++
	p.mu.Unlock()
}
