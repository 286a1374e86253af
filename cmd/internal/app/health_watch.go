package app

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// healthEvery is how often the app judges itself.
const healthEvery = 10 * time.Second

// A healthWatch judges the app again and again, and says what has changed.
type healthWatch struct {
	log *zap.Logger

	mu     sync.Mutex
	past   past
	before []Status // of the last lossWindow, the oldest first
	times  []time.Time
	since  map[string]time.Time     // when each failing sink began to fail
	quiet  map[string]time.Duration // how long each exporter was silent at the last look
	said   map[string]State         // by check
	last   []Finding
	next   time.Time
}

func newHealthWatch(log *zap.Logger) *healthWatch {
	return &healthWatch{
		log: log, since: make(map[string]time.Time), said: make(map[string]State),
		past: past{failing: make(map[string]time.Duration), pauses: make(map[string]time.Duration)},
	}
}

// due reports whether it is time for a look.
func (h *healthWatch) due(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !now.Before(h.next)
}

// look judges the status at the time now. It takes in what later looks compare with, and
// logs each check whose state has changed.
func (h *healthWatch) look(s *Status, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = now.Add(healthEvery)
	h.remember(s, now)
	h.last = findings(s, &h.past, now)
	for _, f := range h.last {
		h.tell(&f)
	}
}

// remember brings the past up to date.
func (h *healthWatch) remember(s *Status, now time.Time) {
	h.before, h.times = append(h.before, countersOf(s)), append(h.times, now)
	for len(h.times) > 1 && now.Sub(h.times[1]) >= lossWindow {
		h.before, h.times = h.before[1:], h.times[1:]
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
	return Status{Listeners: s.Listeners, Decoded: s.Decoded, Hits: s.Hits, Journal: s.Journal, Sinks: s.Sinks,
		Exporters: ExporterStatus{ExportersStats: s.Exporters.ExportersStats}}
}

// learn notes the longest pause of each exporter, when it is over. One that was alarming
// teaches nothing.
func (h *healthWatch) learn(s *Status, now time.Time) {
	pauses, quiet := make(map[string]time.Duration), make(map[string]time.Duration)
	for i := range s.Exporters.List { // those that are not listed are forgotten
		e := &s.Exporters.List[i]
		last, ok := lastExport(e)
		if !ok {
			continue
		}
		name := e.Address.String()
		pauses[name], quiet[name] = h.past.pauses[name], now.Sub(last)
		over := h.quiet[name]
		if quiet[name] < over && over.Seconds() <= silenceCritical*silenceLimit(pauses[name]) {
			pauses[name] = max(pauses[name], over)
		}
	}
	h.past.pauses, h.quiet = pauses, quiet
}

// tell logs a check whose state has changed: how it is bad, or that it is well again.
func (h *healthWatch) tell(f *Finding) {
	if h.said[f.Check] == f.State {
		return
	}
	h.said[f.Check] = f.State
	switch f.State {
	case OK:
		h.log.Info("well again: "+f.Text, zap.String("check", f.Check))
	case Warning:
		h.log.Warn(f.Text, zap.String("check", f.Check))
	default:
		h.log.Error(f.Text, zap.String("check", f.Check))
	}
}

// findings gives what the last look has found.
func (h *healthWatch) findings() []Finding {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Findings gives the state of the app, one for each check, as of the last ten seconds.
// Before the first look it is empty.
func (a *App) Findings() []Finding { return a.checks.findings() }

// judgeHealth judges the app, if it is time.
func (a *App) judgeHealth() {
	if now := time.Now(); a.checks.due(now) {
		s := a.Status()
		a.checks.look(&s, now)
	}
}
