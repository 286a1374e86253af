package app

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"go.uber.org/zap"
)

// stopTime bounds the stop whatever hangs; sinkTime is the part of it in which sinks may
// send what waits, and sinkGrace what they and the journal need after that to close.
const (
	stopTime  = 9 * time.Second
	sinkTime  = 5 * time.Second
	sinkGrace = 3500 * time.Millisecond
)

// Options are what the command line adds to the configuration.
type Options struct {
	// ConfigFile is read again by Reload; empty = the built-in default.
	ConfigFile string
	// Profile holds instead of the one that the configuration names, unless empty.
	Profile string
	// Lists are files of the operator's own listed prefixes (--intel).
	Lists []string
	// Out is where a console sink prints.
	Out io.Writer
	// Colour reports whether Out is a terminal that shows colours.
	Colour bool
	// Version of the program, for the status.
	Version string
	// Machine is asked for the time; nil = this one.
	Machine clock.Machine
	// Notify informs the service manager, if one has started us, how we are.
	Notify bool
}

// An App is a running flowsnitch: the list of its components, and their common life.
type App struct {
	cfg   configs.Config
	opts  Options
	log   *zap.Logger
	since time.Time

	registry *observe.Registry
	parts    []part

	// The components, and what several of them use.
	store      *lookup.Store
	background *background
	control    *controlSocket
	web        *webServer
	watch      *watch
	silences   *silences
	sinks      *outputs
	incidents  *incidentLog
	rules      *ruleRunner
	feeds      *feedService
	decoder    *decoder
	contacts   *contacts
	dnsbl      *zones
	history    *contactLog
	hunts      *hunts
	retro      *retroHunt
	reports    *reports
	listeners  *listeners
	canaries   *selfTest
	storms     *stormWatch
	checks     *healthWatch
	manager    *manager
	places     *plugin[enrich.Config, *enrich.Bases]

	starting atomic.Pointer[string] // what Start is doing
	ready    atomic.Bool            // all components have started
	stopping atomic.Bool

	reloads sync.Mutex     // one reload at a time
	latest  configs.Config // as read by the start or the last good reload

	stopOnce sync.Once
	stopErr  error
}

// New makes an app; nothing is opened or started yet.
func New(cfg configs.Config, opts Options, log *zap.Logger) *App {
	a := &App{cfg: cfg, latest: cfg, opts: opts, log: log, since: time.Now(), store: lookup.NewStore(), registry: new(observe.Registry)}
	c, o := &a.cfg, &a.opts
	canaries := canary.NewWatch(cfg.Canary.Every)
	a.background = newBackground(log)
	a.control = &controlSocket{a: a}
	a.web = &webServer{a: a}
	a.watch = newWatch(c, o, a.background, log)
	a.places = newPlaces(c, log)
	a.sinks = newOutputs(c, o, func() time.Time { return a.since }, a.watch.Now, canaries, a.background, log)
	a.silences = newSilences(a)
	a.sinks.stamps = append(a.sinks.stamps, a.places.P.Stamp, a.silences.book.Stamp)
	a.incidents = newIncidentLog(a)
	a.sinks.handled = a.incidents.handled
	alerts := &alerts{sensor: cfg.Name, store: a.store, clock: a.watch, publish: a.sinks.publish, log: log}
	a.feeds = newFeedService(a, alerts.send)
	a.feeds.offenders = a.incidents.offenders
	a.feeds.quiet = func() (Barred, error) { return readBarred(&a.cfg, a.watch.Now) }
	a.decoder = newDecoder(c, a.since, a.watch.Now, a.background, log)
	a.contacts = newContacts(c, a.watch, func(events []event.Event) {
		a.retro.Live(events)
		a.sinks.publish(events)
	}, canaries, a.feeds)
	a.dnsbl = newZones(c, a.contacts.loop)
	a.feeds.hits, a.feeds.unlisted = a.contacts.feedHits, func() bool { return a.dnsbl.status().lists() }
	a.history = newContactLog(a)
	a.hunts = newHunts(c, a.history, a.store)
	a.retro = newRetroHunt(a, alerts.send)
	a.feeds.fresh = a.retro.Feed
	a.rules = newRuleRunner(a, alerts.send)
	a.listeners = newListeners(c, a)
	a.canaries = newSelfTest(a, canaries)
	a.storms = newStormWatch(a, alerts.send)
	a.checks = newHealthWatch(a.registry, a.background, log)
	a.manager = newManager(a)
	a.reports = newReports(a)
	a.parts = a.list()
	a.register()
	a.registry.Close(a.unready())
	return a
}

// Start starts all components. On an error everything that was started is stopped again.
func (a *App) Start() error {
	if err := a.begin(); err != nil {
		return err
	}
	a.ready.Store(true)
	a.registry.Close(a.unready())
	a.manager.ready()
	return nil
}

// starts notes what Start is doing, so that it can be named where that hangs.
func (a *App) starts(what string) {
	a.starting.Store(&what)
	a.registry.Close(a.unready())
}

// Starting returns what Start is doing, or was when it failed.
func (a *App) Starting() string {
	if what := a.starting.Load(); what != nil {
		return *what
	}
	return "starting"
}

// Stop ends everything in the order of the flow, so that what has been received still
// comes out. It returns within ten seconds; what does not end by then is named in the error
// and left behind. Calling it again only waits; after a Start that failed, or none, there is
// nothing to end.
func (a *App) Stop() error {
	a.stopOnce.Do(func() {
		a.stopping.Store(true)
		a.registry.Close(a.unready())
		if a.ready.Load() {
			a.manager.stopping()
			a.stopErr = a.shutdown(a.parts)
		}
	})
	return a.stopErr
}

// unready returns why requests and reloads cannot be met now; empty = they can.
func (a *App) unready() string {
	switch {
	case a.stopping.Load():
		return "flowsnitch is stopping"
	case !a.ready.Load():
		return "flowsnitch is starting (" + a.Starting() + "); try again in a moment"
	}
	return ""
}

// Findings gives the state of the app, one for each check, as of the last ten seconds.
// Before the app is ready there is none. The caller must not change it.
func (a *App) Findings() []observe.Finding { return a.checks.findings(time.Now()) }

// pathCause strips the path that package os puts into its errors.
func pathCause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
