package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// What is done now and then must not take long: workSlow is when a piece of work counts as
// stalled, and workLook how often that is looked at.
const (
	workSlow = 10 * time.Second
	workLook = time.Second
)

// A workList knows which work of the background is under way, and since when. It touches
// nothing that can hang, so that it can name what does.
type workList struct {
	slow time.Duration // from when on work counts as stalled

	mu    sync.Mutex
	since map[string]time.Time

	told map[string]bool // logged as stalled; only for tell
}

// Stalled is work that has been under way for too long: the disk or the network beneath it
// does not answer.
type Stalled struct {
	Work    string  `json:"work" label:"work"`
	Seconds float64 `json:"seconds" name:"stalled_seconds" help:"Time that stalled background work has been under way." show:"always" words:"for"`
}

// begin notes that work starts. The function that it returns notes the end.
func (w *workList) begin(name string) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = make(map[string]time.Time)
	}
	w.since[name] = time.Now()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.since, name)
	}
}

// longer gives the work that has been under way for longer than a time, by name.
func (w *workList) longer(limit time.Duration) (list []Stalled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, since := range w.since {
		if d := time.Since(since); d > limit {
			list = append(list, Stalled{name, d.Seconds()})
		}
	}
	slices.SortFunc(list, func(a, b Stalled) int { return strings.Compare(a.Work, b.Work) })
	return list
}

// names gives the work that is under way.
func (w *workList) names() (list []string) {
	for _, s := range w.longer(-1) {
		list = append(list, s.Work)
	}
	return list
}

// tell logs work that has stalled, and that it has ended at last, once each.
func (w *workList) tell(log *zap.Logger) {
	stalled := make(map[string]bool)
	for _, s := range w.longer(w.slow) {
		stalled[s.Work] = true
		if !w.told[s.Work] {
			log.Error("work in the background has stalled; everything else goes on; see whether the disk of the state directory answers",
				zap.String("work", s.Work), zap.Float64("seconds", s.Seconds))
		}
	}
	for name := range w.told {
		if !stalled[name] {
			log.Info("work in the background goes on again", zap.String("work", name))
		}
	}
	w.told = stalled
}

// chore does something again and again, until ctx ends, in a goroutine of its own: one
// that hangs keeps no other waiting.
func (a *App) chore(ctx context.Context, name string, every time.Duration, do func(now time.Time)) {
	a.chores.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				end := a.work.begin(name)
				do(now)
				end()
			}
		}
	})
}

// A stopper takes down one thing after another, each for a bounded time, and all of them
// together before a deadline. What does not end is named and left behind.
type stopper struct {
	log      *zap.Logger
	deadline time.Time
	errs     []error
}

// step runs f and waits for it, but for limit at most; reserve is the time that the steps
// after it need, and which it cannot have.
func (s *stopper) step(name string, limit, reserve time.Duration, f func() error) {
	s.wait(name, limit, reserve, s.begin(f))
}

// begin runs f in the background. wait is to follow.
func (s *stopper) begin(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// leastStep is what a step has even when those before it have used up the time.
const leastStep = 200 * time.Millisecond

// wait waits for what begin has started, as step does.
func (s *stopper) wait(name string, limit, reserve time.Duration, done <-chan error) {
	limit = max(min(limit, time.Until(s.deadline)-reserve), leastStep)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			s.errs = append(s.errs, err)
		}
	case <-timer.C:
		s.log.Error("the stop leaves something behind that does not end", zap.String("step", name), zap.Duration("after", limit))
		s.errs = append(s.errs, fmt.Errorf("stop: %s did not end within %v, left behind", name, limit.Round(time.Millisecond)))
	}
}

// err joins what went wrong.
func (s *stopper) err() error { return errors.Join(s.errs...) }
