package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// often is how often most chores look.
const often = 5 * time.Second

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

// A background does what is to be done now and then, each chore in a goroutine of its own:
// one that hangs keeps no other waiting. Chores are added before Start.
type background struct {
	log  *zap.Logger
	work workList

	chores  []func(ctx context.Context)
	running sync.WaitGroup
	cancel  context.CancelFunc
}

func newBackground(log *zap.Logger) *background {
	return &background{log: log, work: workList{slow: workSlow}}
}

// every adds a chore that is done again and again. While it is under way it can be named
// as stalled.
func (b *background) every(name string, period time.Duration, do func(now time.Time)) {
	b.everyUntil(name, period, func(context.Context) { do(time.Now()) })
}

// everyUntil is every for work that can be broken off: at the stop its context ends.
func (b *background) everyUntil(name string, period time.Duration, do func(ctx context.Context)) {
	b.add(func(ctx context.Context) {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				end := b.work.begin(name)
				do(ctx)
				end()
			}
		}
	})
}

// add adds a chore that runs until the context ends.
func (b *background) add(chore func(ctx context.Context)) { b.chores = append(b.chores, chore) }

// Register shows which work has stalled, and judges it.
func (b *background) Register(c *observe.Component) {
	stalled := func() []Stalled { return b.work.longer(b.work.slow) }
	c.Add(observe.Printed("stalled", stalled, printStalled), stalledCheck(stalled))
}

func stalledCheck(stalled func() []Stalled) observe.Check {
	return observe.Check{Name: "workers", State: func(time.Time) observe.Finding {
		var f finding
		for _, w := range stalled() {
			f.Warn(w.Work, "%s has stalled for %s: see whether the disk of the state directory answers", w.Work, ago(w.Seconds))
		}
		return f.Finding
	}}
}

// Start starts all chores.
func (b *background) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, chore := range append(b.chores, b.nameStalled) {
		b.running.Go(func() { chore(ctx) })
	}
	return nil
}

// Stop ends all chores and waits for them.
func (b *background) Stop(context.Context) error {
	b.cancel()
	b.running.Wait()
	return nil
}

// ending names what is under way.
func (b *background) ending() string { return "the background: " + strings.Join(b.work.names(), ", ") }

// nameStalled logs which work has stalled, until ctx ends.
func (b *background) nameStalled(ctx context.Context) {
	tick := time.NewTicker(workLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.work.tell(b.log)
		}
	}
}

// leastStep is what a step has even when those before it have used up the time.
const leastStep = 200 * time.Millisecond

// A stopper takes down one thing after another, each for a bounded time, and all of them
// together before a deadline. What does not end is named and left behind.
type stopper struct {
	log      *zap.Logger
	deadline time.Time
	errs     []error
}

// step runs f and waits for it, but for limit at most; reserve is the time that the steps
// after it need, and which it cannot have.
func (s *stopper) step(name string, limit, reserve time.Duration, f func(context.Context) error) {
	limit = max(min(limit, time.Until(s.deadline)-reserve), leastStep)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	timer := time.NewTimer(limit + leastStep/2) // whoever looks at ctx can say more
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

func printStalled(w io.Writer, list []Stalled, _ bool) {
	for _, l := range list {
		fmt.Fprintf(w, "stalled    %s, for %s\n", show.Printable(l.Work), time.Duration(l.Seconds*float64(time.Second)).Round(time.Second))
	}
}
