package app

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
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
	log *zap.Logger

	mu     sync.Mutex
	past   past
	before []Status // of the last lossWindow, the oldest first
	times  []time.Time
	since  map[string]time.Time         // when each failing sink began to fail
	quiet  map[netip.Addr]time.Duration // how long each exporter was silent at the last look
	said   map[string]Finding           // by check
	last   []Finding
	flows  transitWatch
	looked time.Time
}

func newHealthWatch(cfg *configs.Config, log *zap.Logger) *healthWatch {
	return &healthWatch{
		log: log, since: make(map[string]time.Time), said: make(map[string]Finding),
		past: past{limits: cfg.Health, caps: cfg.Limits, named: cfg.Exporters, failing: make(map[string]time.Duration)},
	}
}

// look judges the status at the time now, which a clock that can be trusted calls date. It
// takes in what later looks compare with, and logs what has changed.
func (h *healthWatch) look(s *Status, now, date time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked, h.past.date = now, date
	h.remember(s, now)
	h.last = findings(s, &h.past, now)
	for i := range h.last {
		h.tell(&h.last[i])
	}
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
	h.mu.Lock()
	defer h.mu.Unlock()
	h.past.transit = h.flows.note(now, sampled, transit)
}

// remember brings the past up to date.
func (h *healthWatch) remember(s *Status, now time.Time) {
	h.before, h.times = append(h.before, countersOf(s)), append(h.times, now)
	for len(h.times) > 1 && now.Sub(h.times[1]) >= lossWindow {
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
func (h *healthWatch) tell(f *Finding) {
	said := h.said[f.Check]
	h.said[f.Check] = *f
	more := slices.ContainsFunc(f.bad, func(what string) bool { return !slices.Contains(said.bad, what) })
	if f.State == said.State && (f.State == OK || !more) {
		return
	}
	check := zap.String("check", f.Check)
	switch f.State {
	case OK:
		h.log.Info("OK again: "+f.Text, check)
	case Warning:
		h.log.Warn(f.Text, check)
	default:
		h.log.Error(f.Text, check)
	}
}

// findings gives what the last look has found. One that is too long ago is a finding, too.
func (h *healthWatch) findings(now time.Time) []Finding {
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
			f.atLeast(Critical)
			f.add("health", "the instance has not judged itself for %s: restart it and report this", ago(late.Seconds()))
		}
	}
	return list
}

// Findings gives the state of the app, one for each check, as of the last ten seconds.
// Before the app is ready there is none. The caller must not change it.
func (a *App) Findings() []Finding { return a.checks.findings(time.Now()) }

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
