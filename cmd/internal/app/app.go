package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// stopTime bounds a clean end.
const stopTime = 5 * time.Second

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

	store     *intel.Store
	exporters *decode.Exporters
	sinks     *outputs
	loop      *correlate.Loop
	contacts  *correlate.Correlator
	listeners []*listener
	control   *web.Control
	templates *templateFile
	watch     *watch
	canaries  *canary.Watch
	manager   *manager // nil = nobody to tell

	wrap   func(correlate.Source) correlate.Source // for tests: what a worker reads; nil = the socket
	feeds  *feedDesk
	dnsbl  *dnsbl.Checker // nil = nobody is asked
	days   dayCount
	checks *healthWatch
	web    *web.Server // nil = not wanted
	storms stormWatch  // only the chores use it

	ready    atomic.Bool // everything above is there
	stopping atomic.Bool

	reloads sync.Mutex     // one reload at a time
	latest  configs.Config // as read by the start or the last good reload

	stop   context.CancelFunc
	chores sync.WaitGroup

	stopOnce sync.Once
	stopErr  error
}

// New makes an app; nothing is opened or started yet.
func New(cfg configs.Config, opts Options, log *zap.Logger) *App {
	a := &App{cfg: cfg, latest: cfg, opts: opts, log: log, since: time.Now(), store: intel.NewStore()}
	if opts.Notify {
		a.manager = &manager{log: log}
	}
	a.exporters = decode.NewExporters(cfg.Limits)
	a.exporters.ReadTunnels(cfg.SFlow.Tunnels)
	a.canaries = canary.NewWatch(cfg.Canary.Every)
	a.checks = newHealthWatch(&cfg, log)
	a.feeds = newFeedDesk(a.store, a.alert, log)
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
	if err := os.MkdirAll(a.cfg.StateDir, 0o750); err != nil {
		return fmt.Errorf("state directory %s: %w; set state_dir to one that can be written", a.cfg.StateDir, pathCause(err))
	}
	a.control = web.NewControl(a.cfg.StateDir)
	a.serveControl()
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
	a.watch = openWatch(a.cfg.Clock, a.opts.Machine, a.cfg.StateDir, a.log)
	if a.sinks, err = openOutputs(&a.cfg, a.opts, a.watch.Now, a.canaries, a.log); err != nil {
		return err
	}
	a.feeds.now = a.watch.Now
	if err := a.feeds.load(&a.cfg, &a.opts); err != nil {
		return err
	}
	a.nameExporters(a.cfg.Exporters)
	a.templates = openTemplateFile(a.cfg.StateDir, a.exporters, a.watch.Now, a.log)
	if err := a.feeds.start(); err != nil {
		return err
	}
	contact := a.cfg.Contact
	contact.Unsynced = a.watch.Unsynced
	a.contacts = correlate.New(contact, a.sinks.publish)
	a.contacts.OnCanary(a.canaries.Judge)
	a.loop = correlate.NewLoop(a.contacts)
	a.loop.Start()
	if err := a.startDNSBL(); err != nil {
		return err
	}
	if err := a.listen(); err != nil {
		return err
	}
	ctx := a.startChores()
	a.ready.Store(true)
	a.chores.Go(func() { a.watchHealth(ctx) })
	a.tellReady(ctx)
	return nil
}

// abort undoes a Start that failed half-way.
func (a *App) abort() {
	for _, l := range a.listeners {
		l.discard() // no worker has been started
	}
	a.feeds.stop()
	a.stopDNSBL()
	if a.loop != nil {
		a.loop.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if a.sinks != nil {
		a.sinks.stop(ctx)
	}
	if a.web != nil {
		a.web.Stop(ctx)
	}
	a.control.Stop(ctx)
}

// Stop ends everything in the order of the flow, so that what has been received
// still comes out: sockets, workers, correlator, sinks, control socket. Calling it
// again only waits; after a Start that failed, or none, there is nothing to end.
func (a *App) Stop() error {
	a.stopOnce.Do(func() {
		a.stopping.Store(true)
		if a.ready.Load() {
			a.stopErr = a.end()
		}
	})
	return a.stopErr
}

func (a *App) end() error {
	if a.manager != nil {
		a.manager.send(daemon.SdNotifyStopping)
	}
	a.stop()
	a.feeds.stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for _, l := range a.listeners {
		l.close()
	}
	for _, l := range a.listeners {
		l.wait()
	}
	a.stopDNSBL()
	a.loop.Stop()
	a.chores.Wait()
	a.watch.keep(0)
	errs := []error{a.templates.save(true), a.sinks.stop(ctx)}
	if a.web != nil {
		a.web.Stop(ctx)
	}
	a.control.Stop(ctx)
	return errors.Join(errs...)
}

// startChores runs what is to be done now and then, until Stop ends the context.
func (a *App) startChores() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	a.chores.Go(func() { a.watch.run(ctx, a.feeds.dateChanged) })
	a.chores.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		saving := trouble{log: a.log, begins: "templates are not saved; after a restart data waits for new ones", ends: "templates are saved again"}
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				a.exporters.Sweep(now)
				a.nameRefused()
				a.sinks.tell()
				a.tellManager()
				a.feeds.tellComplaints()
				a.watchStorms(now)
				hits, _ := a.contacts.FeedHits()
				a.days.look(hits, now)
				saving.tell(a.templates.save(false))
			}
		}
	})
	a.chores.Go(func() { a.selfTest(ctx) })
	return ctx
}

// nameExporters tells the decoder which exporters the configuration names.
func (a *App) nameExporters(exporters []correlate.Exporter) {
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
