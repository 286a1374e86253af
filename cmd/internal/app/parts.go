package app

import (
	"context"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// A component is one part of the program. It is made inert, from its configuration and from
// what it needs of others; then Start opens and starts it. A component whose Start fails has
// closed again what it had opened.
type component interface {
	Start() error
	// Stop ends it and waits for it, until ctx ends at most. It comes once, and only after
	// a Start that succeeded.
	Stop(ctx context.Context) error
}

// passive is for components that have nothing to open and nothing to end.
type passive struct{}

// Start does nothing.
func (passive) Start() error { return nil }

// Stop does nothing.
func (passive) Stop(context.Context) error { return nil }

// A registrar has something that people look at: sections, checks, routes. Register comes
// before Start; nothing of it is used before all components have started.
type registrar interface{ Register(c *observe.Component) }

// A reconfigurer can take up a new configuration while it works.
type reconfigurer interface {
	// Takes reports whether Reconfigure puts a key that has changed into force; keys that no
	// component takes need a restart. Keys are as [configs.Changed] names them.
	Takes(cfg *configs.Config, key string) bool
	// Reconfigure puts a new configuration into force. After an error the old one holds.
	Reconfigure(cfg *configs.Config) error
}

// A reopener has files that others move away, as logrotate does. Reopen opens them anew,
// whatever the configuration is.
type reopener interface{ Reopen() }

// A part is a component at its place in the list.
type part struct {
	name    string        // in answers with status 503
	doing   string        // what its Start does
	ending  string        // what of it did not end, in the error of a stop
	limit   time.Duration // of its stop
	reserve time.Duration // what must be left for the stop of others then
	component
}

// list gives all components in the order in which they start: first the ways out, as
// reading the lists may raise alerts, then what is listed, so that nothing comes through
// unmatched, the sockets late, and what happens now and then last. They stop the other way
// round, so that what has been received still comes out.
func (a *App) list() []part {
	const second = time.Second
	parts := []part{
		{"instance", "opening the state directory", "the instance", second, 0, instance{a}},
		{"control socket", "opening the control socket", "the control socket", leastStep, 0, a.control},
		{"web", "opening the web server", "the web server", leastStep, 0, a.web},
		{"clock", "looking at the clock", "the file of the time", second, leastStep, a.watch},
		{"enrich", "reading the databases of countries and AS", "the databases of countries and AS", second, sinkGrace, a.places},
		{"silences", "reading the silences", "the file of silences", second, leastStep, a.silences},
		{"outputs", "opening the journal and the sinks", "sinks and journal", stopTime, leastStep, a.sinks},
		{"incidents", "opening the database of incidents", "the database of incidents", 2 * second, sinkGrace, a.incidents},
		{"feeds", "reading the lists and building the set", "a feed", second, sinkGrace, a.feeds},
		{"rules over hits", "making room for the rules over hits", "the rules over hits", 2 * second, sinkGrace, hitRules{r: a.rules}},
		{"correlator", "starting the correlator", "the correlator", stopTime, sinkGrace, a.contacts},
		{"dnsbl", "asking the DNS lists", "the questions to DNS lists", second, sinkGrace, a.dnsbl},
		{"decoder", "reading the templates of the last run", "the file of templates", second, sinkGrace, a.decoder},
		{"history", "opening the history of contacts", "the history", stopTime, sinkGrace, a.history},
		{"hunt", "preparing hunts", "a hunt", second, sinkGrace, a.hunts},
		{"retro-hunt", "preparing the search for contacts before a listing", "the search for contacts before a listing", second, sinkGrace, a.retro},
		{"rules", "reading the rules", "the rules over contacts", second, sinkGrace, a.rules},
		{"report", "looking at the times of reports", "a report by mail", second, sinkGrace, a.reports},
	}
	for _, p := range plugs {
		parts = append(parts, part{p.key, "starting " + p.key, p.key, second, sinkGrace, p.make(a.cfg.Blocks[p.key], a.log)})
	}
	return append(parts, []part{
		{"listeners", "opening the sockets", "a worker", sinkTime, sinkGrace, a.listeners},
		{"canary", "preparing the self-test", "the self-test", second, sinkGrace, a.canaries},
		{"quarantine", "watching for entries that match too much", "the quarantine", second, sinkGrace, a.storms},
		{"health", "preparing the checks", "the checks", second, sinkGrace, a.checks},
		{"service manager", "looking for a service manager", "the service manager", second, sinkGrace, a.manager},
		{"background", "starting the background", "the background", second, sinkGrace, a.background},
	}...)
}

// register lets all components register what people look at.
func (a *App) register() {
	for _, p := range a.parts {
		c := a.registry.Component(p.name)
		if r, ok := p.component.(registrar); ok {
			r.Register(c)
		}
	}
	a.registry.Component(a.parts[0].name).Ready() // the instance itself answers from the beginning
}

// begin starts all components. When one fails, those before it are stopped again.
func (a *App) begin() error {
	last := len(a.parts) - 1
	for i, p := range a.parts {
		if i == last { // the chores look at everything else
			a.allReady()
		}
		a.starts(p.doing)
		if err := p.Start(); err != nil {
			_ = a.shutdown(a.parts[:i])
			return err
		}
	}
	return nil
}

func (a *App) allReady() {
	for _, p := range a.parts {
		a.registry.Component(p.name).Ready()
	}
}

// shutdown stops components, the last one first, within stopTime for all of them.
func (a *App) shutdown(started []part) error {
	s := &stopper{log: a.log, deadline: time.Now().Add(stopTime)}
	s.step("a reload", time.Second, sinkGrace, func(context.Context) error {
		a.reloads.Lock() // later ones find that we are stopping
		defer a.reloads.Unlock()
		return nil
	})
	for _, p := range slices.Backward(started) {
		name := p.ending
		if p.component == a.background {
			name = a.background.ending()
		}
		s.step(name, p.limit, p.reserve, p.Stop)
	}
	return s.err()
}

// reconfigure hands a new configuration to all components that can take one up, and logs
// which keys need a restart. The first error ends it.
func (a *App) reconfigure(cfg *configs.Config) error {
	for _, p := range a.parts {
		if r, ok := p.component.(reconfigurer); ok {
			if err := r.Reconfigure(cfg); err != nil {
				return err
			}
		}
	}
	if keys := a.needRestart(cfg); len(keys) > 0 {
		a.log.Warn("changes of these keys take effect after a restart", zap.Strings("keys", keys))
	}
	a.warnExposed(cfg)
	return nil
}

// needRestart names the keys that differ from those of the start and that no component
// takes.
func (a *App) needRestart(cfg *configs.Config) []string {
	return slices.DeleteFunc(configs.Changed(&a.cfg, cfg), func(key string) bool {
		return slices.ContainsFunc(a.parts, func(p part) bool {
			r, ok := p.component.(reconfigurer)
			return ok && r.Takes(cfg, key)
		})
	})
}
