package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// What is done about errors: a datagram is tried maxTries times, with errorPause
// in between unless nobody listens; after maxDead datagrams in a row that could not
// be sent the sender gives up.
const (
	maxTries   = 3
	errorPause = time.Millisecond
	maxDead    = 100
)

// A transmitter takes datagrams off the sender's hands.
type transmitter interface {
	// send sends messages as one of the exporters, in order, and returns how many
	// were sent: at least one, or an error, which is that of the first message that
	// was not sent. Payloads must not be kept.
	send(exporter int, messages []message, now time.Time) (int, error)
	Close() error
}

// A sender sends rings of prepared datagrams, exporter by exporter. Nothing is
// allocated while datagrams go out.
type sender struct {
	plan  *plan
	tx    transmitter
	clock clock

	rings     [][]message // by process: the same flows, by its templates
	next      int         // in the rings
	given     int64       // flows taken from the rings
	templates []message   // by process
	batch     []message   // has room for the templates beside plan.batch datagrams

	exporters []exporter // the sessions, see plan.addresses
	turn      int        // the exporter that sends next

	bucket bucket
	dead   int // datagrams that could not be sent, since the last that could
	sum    summary
}

// An exporter is the state of one sending device, or of one process of it.
type exporter struct {
	enc *synth.Encoder
	// due counts the datagrams until the templates are sent again; negative: never.
	due int
}

// run sends until a limit of the plan is reached or ctx is done.
func (s *sender) run(ctx context.Context) error {
	start := s.clock.Now()
	s.bucket = newBucket(s.plan.rate, s.largest(), start)
	err := s.loop(ctx, start)
	s.sum.finish(s.clock.Now().Sub(start))
	return err
}

func (s *sender) loop(ctx context.Context, start time.Time) error {
	for ctx.Err() == nil {
		now := s.clock.Now()
		if s.plan.duration > 0 && now.Sub(start) >= s.plan.duration || s.remaining() == 0 {
			return nil
		}
		s.bucket.refill(now)
		if s.fill(now); len(s.batch) == 0 {
			s.clock.Sleep(ctx, s.idle(now.Sub(start)))
			continue
		}
		if err := s.send(ctx, now); err != nil {
			return err
		}
		s.turn = (s.turn + 1) % len(s.exporters)
	}
	return nil
}

// idle is how long to wait for the next datagram, but not beyond the end.
func (s *sender) idle(elapsed time.Duration) time.Duration {
	wait := s.bucket.wait(s.rings[0][s.next].flows)
	if s.plan.duration > 0 {
		wait = min(wait, s.plan.duration-elapsed)
	}
	return wait
}

// largest is the most flows in a datagram.
func (s *sender) largest() (n int) {
	for _, m := range s.rings[0] {
		n = max(n, m.flows)
	}
	return n
}

// remaining is how many flows are still to be sent; negative: no end. Flows that
// could not be sent are not made up for.
func (s *sender) remaining() int64 {
	if s.plan.count == 0 {
		return -1
	}
	return max(0, s.plan.count-s.given)
}

// fill makes the batch for the exporter whose turn it is: what the bucket and the
// count allow, no datagram twice, and the templates once at most, where they are
// due. Payloads are stamped in place, so one that stands in the batch twice would
// be sent twice alike.
func (s *sender) fill(now time.Time) {
	s.batch = s.batch[:0]
	e := &s.exporters[s.turn]
	process := s.plan.process(s.turn)
	ring := s.rings[process]
	templated := false
	for n := min(s.plan.batch, len(ring)); n > 0 && s.remaining() != 0; n-- {
		m := ring[s.next]
		if e.due == 0 && templated || !s.bucket.take(m.flows) {
			return
		}
		if e.due == 0 {
			s.add(e, s.templates[process], now)
			templated, e.due = true, s.plan.templateEvery
			if s.plan.onceTemplate {
				e.due = -1
			}
		}
		s.add(e, m, now)
		s.next = (s.next + 1) % len(ring)
		s.given += int64(m.flows)
		if e.due > 0 {
			e.due--
		}
	}
}

// add makes m the exporter's next datagram.
func (s *sender) add(e *exporter, m message, now time.Time) {
	e.enc.Restamp(m.payload, now)
	s.batch = append(s.batch, m)
}

// send hands the batch to the transmitter until all of it is sent or given up.
func (s *sender) send(ctx context.Context, now time.Time) error {
	tries := 0
	for rest := s.batch; len(rest) > 0; {
		n, err := s.tx.send(s.turn, rest, now)
		for i := range rest[:n] {
			s.sum.sent(&rest[i])
		}
		if n > 0 {
			rest, tries, s.dead = rest[n:], 0, 0
		}
		if err == nil {
			continue
		}
		s.sum.Errors.count(err)
		if tries++; tries < maxTries {
			s.pause(ctx, err)
			continue
		}
		s.sum.Unsent++
		rest, tries = rest[1:], 0
		if s.dead++; s.dead == maxDead {
			s.sum.Unsent += uint64(len(rest))
			return fmt.Errorf("giving up after %d datagrams that could not be sent to %s: %w", maxDead, s.plan.target, err)
		}
	}
	return nil
}

// pause waits before another try. A refusal is about an earlier datagram and
// leaves the way free.
func (s *sender) pause(ctx context.Context, err error) {
	if !errors.Is(err, syscall.ECONNREFUSED) {
		s.clock.Sleep(ctx, errorPause)
	}
}
