package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// stopTime bounds the stop whatever hangs; sinkTime is the part of it in which sinks may
// send what waits, and sinkGrace what they and the journal need after that to close.
const (
	stopTime  = 9 * time.Second
	sinkTime  = 5 * time.Second
	sinkGrace = 3500 * time.Millisecond
)

// gcPercent is the garbage collector's pace unless GOGC says otherwise. Nearly all
// of the heap is the set, which lives as long as the process, and the path allocates
// nothing: collections are rare whatever the pace, and at half of the usual one the
// heap stays below 1.5 times the set instead of twice.
const gcPercent = 50

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
	// Colour tells whether Out is a terminal that shows colours.
	Colour bool
	// Version of the program, for the status.
	Version string
	// Machine is asked for the time; nil = this one.
	Machine clock.Machine
	// Notify tells the service manager, if one has started us, how we are.
	Notify bool
}

// An App is a running flowsnitch.
type App struct {
	cfg   configs.Config
	opts  Options
	log   *zap.Logger
	since time.Time

	store     *lookup.Store
	exporters *decode.Exporters
	sinks     *outputs
	loop      *queue.Loop
	contacts  *correlate.Correlator
	listeners []*listener
	control   *web.Control
	templates *templateFile
	watch     *watch
	canaries  *canary.Watch
	manager   *manager // nil = nobody to tell

	wrap   func(collect.Source) collect.Source // for tests: what a worker reads; nil = the socket
	feeds  *feedDesk
	dnsbl  *dnsbl.Checker // nil = nobody is asked
	days   dayCount
	checks *healthWatch

	registry *observe.Registry
	web      *web.Server // nil = not wanted
	storms   stormWatch  // only the chores use it

	quietNamed bool // that nobody sends anything is settled; only its chore uses it

	starting atomic.Pointer[string] // what Start is doing
	ready    atomic.Bool            // everything above is there
	stopping atomic.Bool

	reloads sync.Mutex     // one reload at a time
	latest  configs.Config // as read by the start or the last good reload

	stop   context.CancelFunc
	chores sync.WaitGroup
	work   workList // that is under way

	stopOnce sync.Once
	stopErr  error
}

// New makes an app; nothing is opened or started yet.
func New(cfg configs.Config, opts Options, log *zap.Logger) *App {
	a := &App{cfg: cfg, latest: cfg, opts: opts, log: log, since: time.Now(), store: lookup.NewStore()}
	a.work.slow = workSlow
	if opts.Notify {
		a.manager = &manager{log: log}
	}
	a.exporters = decode.NewExporters(cfg.Limits)
	ReadTunnels(a.exporters, &cfg)
	a.exporters.SetSites(cfg.Contact.ExporterSites())
	a.canaries = canary.NewWatch(cfg.Canary.Every)
	a.feeds = newFeedDesk(a.store, a.alert, log)
	a.registry = new(observe.Registry)
	a.showing().register(a.registry)
	a.checks = newHealthWatch(&cfg, a.registry, log)
	for _, r := range a.routes() {
		a.registry.Component(partInstance).Add(r)
	}
	for _, r := range a.feedRoutes() {
		a.registry.Component(partFeeds).Add(r)
	}
	a.registry.Component(partInstance).Ready()
	a.registry.Close(a.unready())
	return a
}

// Start opens and starts everything: first the ways out, as reading the lists may raise
// alerts, then what is listed, so that nothing comes through unmatched, the sockets last.
// On an error everything that was started is stopped again.
func (a *App) Start() (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" && a.cfg.MemoryLimit > 0 {
		debug.SetMemoryLimit(a.cfg.MemoryLimit)
	}
	a.starts("opening the state directory")
	concern, err := openStateDir(a.cfg.StateDir)
	if err != nil {
		return err
	}
	if concern != "" {
		a.log.Warn(concern)
	}
	a.warnExposed(&a.cfg)
	a.control = web.NewControl(a.cfg.StateDir)
	a.control.Serve(a.registry.Routes())
	if err := a.control.Start(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.abort()
		}
	}()
	if err := a.startWeb(); err != nil {
		return err
	}
	a.starts("opening the journal and the sinks")
	a.watch = openWatch(a.cfg.Clock, a.opts.Machine, a.cfg.StateDir, a.log)
	if a.sinks, err = openOutputs(&a.cfg, a.opts, a.watch.Now, a.canaries, a.log); err != nil {
		return err
	}
	a.starts("reading the lists")
	a.feeds.now = a.watch.Now
	if err := a.feeds.load(&a.cfg, &a.opts); err != nil {
		return err
	}
	a.nameExporters(a.cfg.Exporters)
	a.starts("reading the templates of the last run")
	a.templates = openTemplateFile(a.cfg.StateDir, a.exporters, a.watch.Now, a.log)
	a.starts("building the set")
	if err := a.feeds.start(); err != nil {
		return err
	}
	contact := a.cfg.Contact
	contact.Unsynced = a.watch.Unsynced
	a.contacts = correlate.New(contact, a.sinks.publish)
	a.contacts.OnCanary(a.canaries.Judge)
	a.loop = queue.NewLoop(a.contacts, contact.HitQueue)
	a.loop.Start()
	a.starts("opening the sockets")
	if err := a.startDNSBL(); err != nil {
		return err
	}
	if err := a.listen(); err != nil {
		return err
	}
	ctx := a.startChores()
	for _, part := range []string{partOutputs, partClock, partFeeds, partCorrelate, partDecoder, partListeners, partCanary, partHealth} {
		a.registry.Component(part).Ready()
	}
	if a.dnsbl != nil {
		a.registry.Component(partDNSBL).Ready()
	}
	a.ready.Store(true)
	a.registry.Close(a.unready())
	a.chores.Go(func() { a.watchHealth(ctx) })
	a.tellReady(ctx)
	return nil
}

// warnExposed names keys that are missing, and files with secrets that cannot be read, or
// that the wrong people can read or write.
func (a *App) warnExposed(cfg *configs.Config) {
	for _, err := range cfg.CheckKeys(a.opts.ConfigFile) {
		a.log.Warn(err.Error())
	}
	for _, text := range cfg.Exposed(a.opts.ConfigFile) {
		a.log.Warn(text)
	}
}

// starts notes what Start is doing, so that it can be named where that hangs.
func (a *App) starts(what string) {
	a.starting.Store(&what)
	a.registry.Close(a.unready())
}

// Starting says what Start is doing, or was when it failed.
func (a *App) Starting() string {
	if what := a.starting.Load(); what != nil {
		return *what
	}
	return "starting"
}

// abort undoes a Start that failed half-way.
func (a *App) abort() {
	s := &stopper{log: a.log, deadline: time.Now().Add(stopTime)}
	s.step("the listeners", time.Second, sinkTime, func() error {
		for _, l := range a.listeners {
			l.discard() // no worker has been started
		}
		return nil
	})
	a.shutdown(s)
}

// Stop ends everything in the order of the flow, so that what has been received still
// comes out: sockets, workers, correlator, sinks, control socket. It returns within ten
// seconds; what does not end by then is named in the error and left behind. Calling it
// again only waits; after a Start that failed, or none, there is nothing to end.
func (a *App) Stop() error {
	a.stopOnce.Do(func() {
		a.stopping.Store(true)
		a.registry.Close(a.unready())
		if a.ready.Load() {
			a.stopErr = a.end()
		}
	})
	return a.stopErr
}

func (a *App) end() error {
	s := &stopper{log: a.log, deadline: time.Now().Add(stopTime)}
	if a.manager != nil {
		a.manager.send(daemon.SdNotifyStopping)
	}
	a.stop()
	s.step("a worker", sinkTime, sinkGrace, func() error {
		for _, l := range a.listeners {
			l.close()
		}
		for _, l := range a.listeners {
			l.wait()
		}
		return nil
	})
	s.step("a reload", time.Second, sinkGrace, func() error {
		a.reloads.Lock() // later ones find that we are stopping
		defer a.reloads.Unlock()
		return nil
	})
	a.shutdown(s)
	return s.err()
}

// shutdown ends what comes after the sockets, as far as it was started.
func (a *App) shutdown(s *stopper) {
	feeds := s.begin(func() error { a.feeds.stop(); return nil })
	s.step("the questions to DNS lists", time.Second, sinkGrace, func() error { a.stopDNSBL(); return nil })
	if a.loop != nil {
		s.step("the correlator", stopTime, sinkGrace, func() error { a.loop.Stop(); return nil })
	}
	s.wait("a feed", time.Second, sinkGrace, feeds)
	chores := s.begin(func() error { a.chores.Wait(); return nil })
	s.wait("the background: "+strings.Join(a.work.names(), ", "), time.Second, sinkGrace, chores)
	if a.ready.Load() {
		s.step("the files of templates and time", time.Second, sinkGrace, func() error {
			a.watch.keep(0)
			return a.templates.save(true)
		})
	}
	if a.sinks != nil {
		s.step("sinks and journal", stopTime, leastStep, func() error {
			return a.sinks.stop(max(time.Until(s.deadline)-sinkGrace, leastStep))
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), leastStep)
	defer cancel()
	s.step("the web server", time.Second, 0, func() error {
		if a.web != nil {
			a.web.Stop(ctx)
		}
		a.control.Stop(ctx)
		return nil
	})
}

// startChores runs what is to be done now and then, until Stop ends the context. Each
// chore that may wait for a disk has a goroutine of its own.
func (a *App) startChores() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	const often = 5 * time.Second
	a.chores.Go(func() { a.watch.run(ctx, a.feeds.dateChanged) })
	a.chore(ctx, "saving the time", 10*time.Second, func(time.Time) { a.watch.keep(saveClock) })
	a.chore(ctx, "the expiry of exporters", often, func(now time.Time) { a.exporters.Sweep(now); a.nameRefused() })
	a.chore(ctx, "the log of silence", often, a.nameQuiet)
	a.chore(ctx, "the log of sinks", often, func(time.Time) { a.sinks.tell() })
	a.chore(ctx, "the service manager", often, func(time.Time) { a.tellManager() })
	a.chore(ctx, "the log of feeds", often, func(time.Time) { a.feeds.tellComplaints() })
	a.chore(ctx, "the quarantine", often, a.watchStorms)
	a.chore(ctx, "the hits of the day", often, func(now time.Time) {
		hits, _ := a.contacts.FeedHits()
		a.days.look(hits, now)
	})
	saving := trouble{log: a.log, begins: "templates cannot be saved; after a restart data is not decoded until exporters resend them", ends: "templates are saved again"}
	a.chore(ctx, "saving templates", often, func(time.Time) { saving.tell(a.templates.save(false)) })
	a.chores.Go(func() { a.selfTest(ctx) })
	a.chores.Go(func() { a.nameStalled(ctx) })
	return ctx
}

// nameStalled logs which work of the background has stalled, until ctx ends.
func (a *App) nameStalled(ctx context.Context) {
	tick := time.NewTicker(workLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.work.tell(a.log)
		}
	}
}

// nameExporters tells the decoder which exporters the configuration names.
func (a *App) nameExporters(exporters []sites.Exporter) {
	var addrs []netip.Addr
	for _, e := range exporters {
		addrs = append(addrs, e.Address)
	}
	a.exporters.SetNamed(addrs)
}

// pathCause strips the path that package os puts into its errors.
func pathCause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
