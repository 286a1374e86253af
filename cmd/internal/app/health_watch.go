package app

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// healthEvery is how often the app judges itself, and healthLate when what it has found
// then says nothing any more.
const (
	healthEvery = 10 * time.Second
	healthLate  = 6 * healthEvery
)

// A healthWatch judges the app again and again, and says what has changed.
type healthWatch struct {
	log      *zap.Logger
	registry *observe.Registry

	mu     sync.Mutex // of last and looked
	last   []observe.Finding
	looked time.Time

	turn   sync.Mutex // one look at a time; of everything below
	past   past
	before []Status // of the last observe.Window, the oldest first
	times  []time.Time
	since  map[string]time.Time         // when each failing sink began to fail
	quiet  map[netip.Addr]time.Duration // how long each exporter was silent at the last look
	said   map[string]observe.Finding   // by check
	status *Status                      // under judgement
	flows  transitWatch
}

func newHealthWatch(cfg *configs.Config, registry *observe.Registry, log *zap.Logger) *healthWatch {
	h := &healthWatch{
		log: log, registry: registry, since: make(map[string]time.Time), said: make(map[string]observe.Finding),
		past: past{limits: cfg.Health, caps: cfg.Limits, named: cfg.Exporters, failing: make(map[string]time.Duration)},
	}
	checks := registry.Component(partStatusChecks)
	checks.Add(observe.Checks{Names: statusChecks, States: h.judge})
	checks.Ready()
	return h
}

// judge gives the findings of the checks that look at a whole status.
func (h *healthWatch) judge(now time.Time) []observe.Finding { return findings(h.status, &h.past, now) }

// look judges the status at the time now, which a clock that can be trusted calls date. It
// takes in what later looks compare with, and logs what has changed.
func (h *healthWatch) look(s *Status, now, date time.Time) {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.past.date = date
	h.remember(s, now)
	h.status = s
	list := h.registry.Findings(now) // reads the sections, of which what is found here is one
	h.status = nil
	for i := range list {
		h.tell(&list[i])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked, h.last = now, list
}

// noteTransit takes in how many flows have no end of ours.
func (h *healthWatch) noteTransit(now time.Time, listeners []*listener) {
	var sampled, transit uint64
	for _, l := range listeners {
		for _, w := range l.workers {
			c := w.transit.Counts()
			sampled, transit = sampled+c.Sampled, transit+c.Transit
		}
	}
	h.turn.Lock()
	defer h.turn.Unlock()
	h.past.transit = h.flows.note(now, sampled, transit)
}

// remember brings the past up to date.
func (h *healthWatch) remember(s *Status, now time.Time) {
	h.before, h.times = append(h.before, countersOf(s)), append(h.times, now)
	for len(h.times) > 1 && now.Sub(h.times[1]) >= observe.Window {
		h.before, h.times = slices.Delete(h.before, 0, 1), slices.Delete(h.times, 0, 1)
	}
	h.past.status = h.before[0]
	for _, k := range s.Sinks {
		if !k.Failing {
			delete(h.since, k.Name)
			delete(h.past.failing, k.Name)
			continue
		}
		if h.since[k.Name].IsZero() {
			h.since[k.Name] = now
		}
		h.past.failing[k.Name] = now.Sub(h.since[k.Name])
	}
	h.learn(s, now)
}

// countersOf keeps of a status what later ones are compared with.
func countersOf(s *Status) Status {
	return Status{Listeners: s.Listeners, Decoded: s.Decoded, Hits: s.Hits, Journal: s.Journal, Sinks: s.Sinks, DNSBL: s.DNSBL,
		Exporters: ExporterStatus{ExportersStats: s.Exporters.ExportersStats, File: s.Exporters.File}}
}

// learn notes the long pauses of each exporter when they are over. Exporters that are not
// listed are forgotten.
func (h *healthWatch) learn(s *Status, now time.Time) {
	quiet := pausesOf(s, now)
	habits := make(map[netip.Addr]habit)
	for addr, pause := range quiet {
		known := h.past.habits[addr].since(now.Add(-habitMemory))
		if over := h.quiet[addr]; pause < over && silenceFactor*over > h.past.limits.Silence {
			known = known.with(over, now)
		}
		if len(known) > 0 {
			habits[addr] = known
		}
	}
	h.past.habits, h.quiet = habits, quiet
}

// tell logs a check whose state has changed, or that has found one thing more: how it is
// bad, or that it is well again.
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

// Findings gives the state of the app, one for each check, as of the last ten seconds.
// Before the app is ready there is none. The caller must not change it.
func (a *App) Findings() []observe.Finding { return a.checks.findings(time.Now()) }

// watchHealth judges the app until ctx ends. It has a goroutine of its own: a disk that
// hangs does not keep it from saying so.
func (a *App) watchHealth(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		end := a.work.begin("the health checks")
		a.judgeHealth()
		end()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judgeHealth judges the app now.
func (a *App) judgeHealth() {
	s := a.status(anyNumber)
	a.checks.noteTransit(time.Now(), a.listeners)
	a.checks.look(&s, time.Now(), a.watch.Now())
}
