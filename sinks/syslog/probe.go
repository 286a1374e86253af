package syslog

import (
	"context"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// refusal is how long the refusal of a datagram is waited for.
const refusal = 50 * time.Millisecond

// Probe proves that a server can be reached: that it takes a connection, and with TLS
// proves its name. With UDP it sends an empty datagram, which servers pass over: a port
// without a server is refused by its host. The canary itself goes nowhere.
func (s *Sender) Probe(ctx context.Context, _ *event.Event) error {
	if err := s.check(); err != nil {
		if s.link.window.events > 0 {
			return s.retry(0, err)
		}
		_ = s.link.abandon() // servers may close what was idle; nothing was lost
		s.link = nil
	}
	if s.cfg.Transport == Unix && s.link != nil && !s.link.stream {
		// A connected datagram socket does not notice that its server has gone; a new
		// connection is refused. Nothing is sent: a local server would log it.
		_ = s.link.abandon()
		s.link = nil
	}
	if err := s.connect(ctx); err != nil {
		return s.retry(0, err)
	}
	if s.cfg.Transport != UDP {
		return nil
	}
	if err := s.link.write(ctx, nil); err != nil {
		return s.retry(0, err)
	}
	timer := time.NewTimer(refusal)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := s.link.write(ctx, nil); err != nil { // the kernel tells of the one before
		return s.retry(0, err)
	}
	return nil
}
