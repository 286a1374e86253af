package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// healthEvery is how often the app judges itself, and healthLate when what it has found
// then means nothing any more.
const (
	healthEvery = 10 * time.Second
	healthLate  = 6 * healthEvery
)

// A healthWatch judges the app again and again, and states what has changed.
type healthWatch struct {
	passive
	registry *observe.Registry
	work     *workList
	log      *zap.Logger

	mu     sync.Mutex // of last and looked
	last   []observe.Finding
	looked time.Time

	turn sync.Mutex                 // one look at a time
	said map[string]observe.Finding // by check; under turn
}

func newHealthWatch(registry *observe.Registry, b *background, log *zap.Logger) *healthWatch {
	h := &healthWatch{registry: registry, work: &b.work, log: log, said: make(map[string]observe.Finding)}
	b.add(h.run)
	return h
}

// Register shows what the last look has found.
func (h *healthWatch) Register(c *observe.Component) {
	c.Add(observe.Printed("health", func() []observe.Finding { return h.findings(time.Now()) }, printHealth))
}

// run judges the app until ctx ends. It has a goroutine of its own: a disk that hangs does
// not keep it from reporting that.
func (h *healthWatch) run(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		end := h.work.begin("the health checks")
		h.look(time.Now())
		end()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look runs all checks at the time now, and logs what has changed.
func (h *healthWatch) look(now time.Time) {
	h.turn.Lock()
	defer h.turn.Unlock()
	list := h.registry.Findings(now) // reads the sections, of which what is found here is one
	for i := range list {
		h.tell(&list[i])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked, h.last = now, list
}

// tell logs a check whose state has changed, or that has found one thing more: how it is
// bad, or that it is OK again.
func (h *healthWatch) tell(f *observe.Finding) {
	said := h.said[f.Check]
	h.said[f.Check] = *f
	more := f.HasNews(&said)
	if f.State == said.State && (f.State == observe.OK || !more) {
		return
	}
	check := zap.String("check", f.Check)
	switch f.State {
	case observe.OK:
		h.log.Info("OK again: "+f.Text, check)
	case observe.Warning:
		h.log.Warn(f.Text, check)
	default:
		h.log.Error(f.Text, check)
	}
}

// findings gives what the last look has found. One that is too long ago is a finding, too.
func (h *healthWatch) findings(now time.Time) []observe.Finding {
	h.mu.Lock()
	defer h.mu.Unlock()
	late := now.Sub(h.looked)
	if len(h.last) == 0 || late <= healthLate {
		return h.last
	}
	list := slices.Clone(h.last)
	for i := range list {
		if f := &list[i]; f.Check == "workers" {
			f.Text = ""
			f.AtLeast(observe.Critical)
			f.Add("health", "the instance has not judged itself for %s: restart it and report this", ago(late.Seconds()))
		}
	}
	return list
}

// printHealth prints what is not well.
func printHealth(w io.Writer, list []observe.Finding, final bool) {
	if final {
		return
	}
	for _, f := range list {
		if f.State != observe.OK {
			fmt.Fprintf(w, "%-10s %s: %s\n", f.State, f.Check, show.Printable(f.Text))
		}
	}
}
