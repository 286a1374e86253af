package app

import (
	"context"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// A gate lets a few hunts work at a time and some wait. One whose client does not read its
// answer does not count among those at work.
type gate struct {
	seats    chan struct{}
	patience time.Duration // how long a client may not read before its seat is lent

	mu              sync.Mutex
	waiting, paused int
}

const errHunts = observe.Unavailable("too many hunts are running and waiting; try again in a moment")

// counts gives how many are at work, waiting and paused.
func (g *gate) counts() (running, waiting, paused int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seats), g.waiting, g.paused
}

// take waits for a seat.
func (g *gate) take(ctx context.Context) (*seat, error) {
	select {
	case g.seats <- struct{}{}:
		return &seat{g: g, held: true}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// step counts one more, up to a number.
func (g *gate) step(n *int, most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if *n >= most {
		return false
	}
	*n++
	return true
}

func (g *gate) back(n *int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*n--
}

// A seat is the right to work. It belongs to one goroutine.
type seat struct {
	g    *gate
	held bool
}

// leave gives the seat back.
func (s *seat) leave() {
	if s.held {
		<-s.g.seats
	}
	s.held = false
}

// lend calls f, which waits for the client. When that takes long, others may have the seat
// until f has returned; when too many have lent theirs, giveUp must end f.
func (s *seat) lend(ctx context.Context, f func() error, giveUp func()) error {
	lent, over := false, make(chan struct{})
	timer := time.AfterFunc(s.g.patience, func() {
		defer close(over)
		if lent = s.g.step(&s.g.paused, huntsPaused); !lent {
			giveUp()
			return
		}
		s.leave()
	})
	err := f()
	if timer.Stop() {
		return err
	}
	<-over
	if !lent {
		return err
	}
	s.g.back(&s.g.paused)
	if err != nil {
		return err
	}
	again, err := s.g.take(ctx)
	if err == nil {
		*s = *again
	}
	return err
}
