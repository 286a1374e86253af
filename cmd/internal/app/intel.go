package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"go.uber.org/zap"
)

// FeedsDir is the folder of the feeds in the state directory.
const FeedsDir = "feeds"

// A feedService keeps the feeds of an app fresh, and puts each new set into force. None of
// its methods waits for a fetch, a reload or the disk on behalf of another: whoever asks
// uses the keeper that is current then.
type feedService struct {
	store *lookup.Store
	alert func(name, text string, about *intel.Indicator)
	now   func() time.Time // the date that can be trusted
	place func(netip.Addr) enrich.Place
	book  *silence.Book // what is silenced, and the prefixes that are allowed for a time
	log   *zap.Logger

	cfg  *configs.Config // of the start
	opts *Options
	days dayCount
	// hits are those of each feed since the start, unlisted whether something can be a hit
	// that is in no feed.
	hits func() []listing.FeedHits
	// fresh is given each new set and when it came into force.
	fresh    func(t *lookup.Table, at time.Time)
	unlisted func() bool
	since    time.Time // of the instance

	current atomic.Pointer[keeper] // nil = nothing is loaded yet
	dates   atomic.Uint64          // how often dateChanged was called

	turn  sync.Mutex // held by whoever replaces the keeper
	swap  sync.Mutex // for current and ended together; held for a moment only
	ended bool

	// offenders gives the store of incidents, nil while there is none; quiet what people have
	// decided. A nil function is one of none.
	offenders func() (OffenderBase, error)
	quiet     func() (Barred, error)
	exports   *exportDesk

	mu    sync.Mutex
	built time.Time
	told  map[string]string // what was logged last, by subject
	own   map[string]bool
}

// A keeper is a manager of feeds, the configuration that it was made from, and a list of
// who is using it. Its folder belongs to it until end has returned.
type keeper struct {
	manager *fetch.Manager
	cfg     *configs.Config
	ctx     context.Context // ends when the keeper is replaced or stopped
	cancel  context.CancelFunc

	mu    sync.Mutex
	ended bool
	users sync.WaitGroup
}

// errReplaced answers requests that arrive, or are cancelled, while the feeds change hands.
const errReplaced = observe.Unavailable("the feeds are being reloaded or stopped; try again in a moment")

// use registers a user of the manager. done must be called when it has finished.
func (k *keeper) use() (done func(), err error) {
	if k == nil {
		return nil, observe.Unavailable("the feeds are not loaded yet; try again in a moment")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return nil, errReplaced
	}
	k.users.Add(1)
	return k.users.Done, nil
}

// end cancels what is under way, waits for it and gives the folder free. It may be called
// several times, each call waits.
func (k *keeper) end() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	k.cancel()
	k.manager.Interrupt() // users may be waiting for a scheduled fetch
	k.users.Wait()
	k.manager.Stop()
}

func newFeedService(a *App, alert func(string, string, *intel.Indicator)) *feedService {
	d := &feedService{
		store: a.store, alert: alert, now: a.watch.Now, place: a.places.P.Lookup, book: a.silences.book, log: a.log, cfg: &a.cfg, opts: &a.opts, since: a.since,
		exports: newExportDesk(), told: make(map[string]string), own: make(map[string]bool),
	}
	a.watch.changed = d.dateChanged
	a.background.every("the log of feeds", often, func(time.Time) { d.logComplaints() })
	a.background.every("the exported lists", often, d.exports.forget)
	a.background.every("the hits of the day", often, func(now time.Time) { d.days.look(d.hits(), now) })
	return d
}

// Register shows and judges the feeds, and answers questions to the set.
func (d *feedService) Register(c *observe.Component) {
	check := &feedCheck{limits: d.cfg.Health, intel: d.shown, otherwise: d.unlisted, since: func() time.Time { return d.since }, date: d.now}
	c.Add(observe.Printed("intel", d.shown, printIntel), observe.Check{Name: "feeds", State: check.state},
		observe.Printed("exports", d.exports.status, printExports))
	for _, r := range d.routes() {
		c.Add(r)
	}
}

// Start reads what is on the disk, puts the first set into force and begins to fetch.
func (d *feedService) Start() error {
	err := d.load(d.cfg, d.opts)
	if err == nil {
		err = d.start()
	}
	if err != nil {
		d.stop()
	}
	return err
}

// Stop ends all fetches.
func (d *feedService) Stop(context.Context) error {
	d.stop()
	return nil
}

// Reconfigure takes up everything that belongs to feeds; of home and nat64, which the rest
// of the program takes up at a restart, what the set needs.
func (d *feedService) Reconfigure(cfg *configs.Config) error {
	if err := d.reload(cfg, d.opts); err != nil {
		return fmt.Errorf("reload: %w; the old set stays in force", err)
	}
	return nil
}

// Takes all keys of feeds.
func (d *feedService) Takes(_ *configs.Config, key string) bool {
	return strings.HasPrefix(key, "intel.")
}

// newKeeper makes the manager of a configuration.
func (d *feedService) newKeeper(cfg *configs.Config, opts *Options) *keeper {
	k := &keeper{cfg: cfg}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.manager = fetch.New(cfg.Intel, fetch.Options{
		Dir: filepath.Join(cfg.StateDir, FeedsDir), Version: opts.Version, Home: cfg.AllHome(), NAT64: cfg.NAT64, Lists: opts.Lists, Allow: d.book.Prefixes,
		Publish: d.publish, Alert: d.heldBack, Now: d.now, Log: d.log,
	})
	return k
}

// install makes a keeper the current one; after stop it is ended instead.
func (d *feedService) install(k *keeper) error {
	d.swap.Lock()
	ended := d.ended
	if !ended {
		d.current.Store(k)
	}
	d.swap.Unlock()
	if ended {
		k.end()
		return errReplaced
	}
	return nil
}

// load reads what is on the disk. Files that cannot be used and have no good copy are
// an error.
func (d *feedService) load(cfg *configs.Config, opts *Options) error {
	k := d.newKeeper(cfg, opts)
	if err := d.install(k); err != nil {
		return err
	}
	return k.manager.Load()
}

// start puts the first set into force and begins to fetch.
func (d *feedService) start() error {
	k := d.current.Load()
	done, err := k.use()
	if err != nil {
		return err
	}
	defer done()
	return k.manager.Start()
}

// stop ends all fetches. A reload in progress ends its own keeper when it gets there.
func (d *feedService) stop() {
	d.swap.Lock()
	d.ended = true
	d.swap.Unlock()
	d.current.Load().end()
}

// config gives the configuration that the feeds are kept by: after a reload the new one.
// It must not be changed. nil = nothing is loaded yet.
func (d *feedService) config() *configs.Config {
	if k := d.current.Load(); k != nil {
		return k.cfg
	}
	return nil
}

// reload reads the local files again, and goes on with another configuration if it
// differs. An update by hand that is under way is cancelled then, as two managers cannot
// work in one folder. When anything is wrong with the new configuration the old one comes
// back, and its set has never gone.
func (d *feedService) reload(cfg *configs.Config, opts *Options) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	old := d.current.Load()
	if old == nil {
		return observe.Unavailable("the feeds are not loaded yet")
	}
	if reflect.DeepEqual(cfg.Intel, old.cfg.Intel) && slices.Equal(cfg.AllHome(), old.cfg.AllHome()) && slices.Equal(cfg.NAT64, old.cfg.NAT64) {
		done, err := old.use()
		if err != nil {
			return err
		}
		defer done()
		return old.manager.Reread()
	}
	dates := d.dates.Load()
	old.end()
	next := d.newKeeper(cfg, opts)
	err := next.manager.Load()
	if err != nil {
		next.end()
		next = d.newKeeper(old.cfg, opts)
		_ = next.manager.Load() // the error has just been reported, or was at the start
	}
	err = errors.Join(err, next.manager.Start(), d.install(next))
	if d.dates.Load() != dates {
		next.manager.DateChanged()
	}
	return err
}

// dateChanged has the set made anew: other entries have expired now.
func (d *feedService) dateChanged() {
	d.dates.Add(1)
	k := d.current.Load()
	if done, err := k.use(); err == nil { // else reload does it
		defer done()
		k.manager.DateChanged()
	}
}

// policyChanged has the set made anew: other prefixes are allowed.
func (d *feedService) policyChanged() {
	k := d.current.Load()
	if done, err := k.use(); err == nil { // else the next set is made by whoever replaces the keeper
		defer done()
		k.manager.PolicyChanged()
	}
}

// update fetches the feeds named, or all, as far as their providers may be asked. It ends
// early with an error when the feeds are reloaded or stopped.
func (d *feedService) update(ctx context.Context, names []string) ([]fetch.Answer, error) {
	k := d.current.Load()
	done, err := k.use()
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)()
	answers, err := k.manager.Update(ctx, names...)
	if k.ctx.Err() != nil {
		return nil, errReplaced
	}
	return answers, err
}

// accept takes into use what is held back of a feed.
func (d *feedService) accept(name string) error {
	k := d.current.Load()
	done, err := k.use()
	if err != nil {
		return err
	}
	defer done()
	return k.manager.Accept(name)
}

// quarantine marks a prefix as one to roll up, and reports whether that is new.
func (d *feedService) quarantine(p netip.Prefix, why string) (added bool, err error) {
	k := d.current.Load()
	done, err := k.use()
	if err != nil {
		return false, err
	}
	defer done()
	return k.manager.Quarantine(p, why)
}

// quarantined gives what is in quarantine. It never waits.
func (d *feedService) quarantined() []quarantine.Quarantined {
	if k := d.current.Load(); k != nil {
		return k.manager.Quarantined()
	}
	return nil
}

// publish puts a table into force and states what is new about it.
func (d *feedService) publish(t *lookup.Table, r lookup.Report) {
	d.store.Swap(t)
	d.fresh(t, time.Now())
	// The old set and what the building left behind are as large as the new one.
	// On a small machine that memory is needed now, not when the collector gets
	// round to it; a hundred milliseconds of one core once a swap are cheap.
	debug.FreeOSMemory()
	d.mu.Lock()
	d.built = time.Now()
	d.mu.Unlock()
	d.log.Info("new set in force", zap.String("version", t.Version()), zap.Int("indicators", t.Len()))
	d.logRefused(r)
	d.alertOwnListed(r.OwnListed)
}

func (d *feedService) status() IntelStatus {
	d.mu.Lock()
	built := d.built
	d.mu.Unlock()
	t := d.store.Load()
	s := IntelStatus{Version: t.Version(), Built: byWall(built), Indicators: t.Len()}
	if k := d.current.Load(); k != nil {
		s.Feeds, s.Quarantined = k.manager.Status(), k.manager.Quarantined()
	}
	return s
}

// BuildTable compiles the set that a configuration and further lists of the operator
// give, of local files and of the last good copies in the state directory, which stays
// as it is; nobody is asked. It also reports the state of each feed.
func BuildTable(cfg *configs.Config, lists []string) (*lookup.Table, []fetch.Status, error) {
	m := offlineManager(cfg, lists)
	defer m.Stop()
	t, _, err := m.Build()
	return t, m.Status(), err
}

// offlineManager makes a manager that reads what is there, and leaves it as it is.
func offlineManager(cfg *configs.Config, lists []string) *fetch.Manager {
	allowed, _ := ReadSilences(cfg) // a damaged file allows nothing
	return fetch.New(cfg.Intel, fetch.Options{
		Dir: filepath.Join(cfg.StateDir, FeedsDir), ReadOnly: true, Home: cfg.AllHome(), NAT64: cfg.NAT64, Lists: lists, Allow: allowed.Prefixes,
	})
}
