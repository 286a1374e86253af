package app

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"go.uber.org/zap"
)

// FeedsDir is the folder of the feeds in the state directory.
const FeedsDir = "feeds"

// A feedDesk keeps the feeds of an app fresh, and puts each new set into force.
type feedDesk struct {
	store *intel.Store
	alert func(name, text string, about *intel.Indicator)
	now   func() time.Time // the date that can be trusted
	log   *zap.Logger

	// life is held to read by whoever uses the manager, and to write by who replaces it.
	life    sync.RWMutex
	manager *fetch.Manager
	cfg     *configs.Config // of the manager

	mu    sync.Mutex
	built time.Time
	told  map[string]string // what was logged last, by subject
	own   map[string]bool
}

// newManager makes the manager of a configuration.
func (d *feedDesk) newManager(cfg *configs.Config, opts *Options) *fetch.Manager {
	return fetch.New(cfg.Intel, fetch.Options{
		Dir: filepath.Join(cfg.StateDir, FeedsDir), Version: opts.Version, Home: cfg.Home, Lists: opts.Lists,
		Publish: d.publish, Alert: d.heldBack, Now: d.now, Log: d.log,
	})
}

func newFeedDesk(store *intel.Store, alert func(string, string, *intel.Indicator), log *zap.Logger) *feedDesk {
	return &feedDesk{store: store, alert: alert, log: log, told: make(map[string]string), own: make(map[string]bool)}
}

// load reads what is on the disk. Files that cannot be used and have no good copy are
// an error.
func (d *feedDesk) load(cfg *configs.Config, opts *Options) error {
	d.life.Lock()
	defer d.life.Unlock()
	d.manager, d.cfg = d.newManager(cfg, opts), cfg
	return d.manager.Load()
}

// start puts the first set into force and begins to fetch.
func (d *feedDesk) start() error {
	d.life.RLock()
	defer d.life.RUnlock()
	return d.manager.Start()
}

func (d *feedDesk) stop() {
	d.life.RLock()
	defer d.life.RUnlock()
	if d.manager != nil {
		d.manager.Stop()
	}
}

// reload reads the local files again, and goes on with another configuration if it is
// another one. When anything is wrong with it the old one comes back, and its set has
// never gone.
func (d *feedDesk) reload(cfg *configs.Config, opts *Options) error {
	d.life.Lock()
	defer d.life.Unlock()
	if reflect.DeepEqual(cfg.Intel, d.cfg.Intel) && slices.Equal(cfg.Home, d.cfg.Home) {
		return d.manager.Reread()
	}
	d.manager.Stop() // two cannot keep the same folder
	next := d.newManager(cfg, opts)
	err := next.Load()
	if err != nil {
		next.Stop()
		cfg = d.cfg
		next = d.newManager(cfg, opts)
		_ = next.Load() // that is what was just said, or was said before
	}
	d.manager, d.cfg = next, cfg
	return errors.Join(err, next.Start())
}

// dateChanged has the set made anew: other entries have expired now.
func (d *feedDesk) dateChanged() {
	d.life.RLock()
	defer d.life.RUnlock()
	d.manager.DateChanged()
}

// update fetches the feeds named, or all, as far as their providers may be asked.
func (d *feedDesk) update(ctx context.Context, names []string) ([]fetch.Answer, error) {
	d.life.RLock()
	defer d.life.RUnlock()
	return d.manager.Update(ctx, names...)
}

// accept takes into use what is held back of a feed.
func (d *feedDesk) accept(name string) error {
	d.life.RLock()
	defer d.life.RUnlock()
	return d.manager.Accept(name)
}

// quarantine keeps the feeds from listing a prefix.
func (d *feedDesk) quarantine(p netip.Prefix, why string) error {
	d.life.RLock()
	defer d.life.RUnlock()
	return d.manager.Quarantine(p, why)
}

// publish puts a table into force and says what is new about it.
func (d *feedDesk) publish(t *intel.Table, r intel.Report) {
	d.store.Swap(t)
	// The old set and what the building left behind are as large as the new one.
	// On a small machine that memory is needed now, not when the collector gets
	// round to it; a hundred milliseconds of one core once a swap are cheap.
	debug.FreeOSMemory()
	d.mu.Lock()
	d.built = time.Now()
	d.mu.Unlock()
	d.log.Info("new set in force", zap.String("version", t.Version()), zap.Int("indicators", t.Len()))
	d.tellFeeds(r)
	d.tellOwn(r.OwnListed)
}

func (d *feedDesk) status() IntelStatus {
	d.mu.Lock()
	built := d.built
	d.mu.Unlock()
	t := d.store.Load()
	s := IntelStatus{Version: t.Version(), Built: byWall(built), Indicators: t.Len()}
	d.life.RLock()
	defer d.life.RUnlock()
	if d.manager != nil {
		s.Feeds, s.Quarantined = d.manager.Status(), d.manager.Quarantined()
	}
	return s
}

// BuildTable compiles the set that a configuration and further lists of the operator
// give, of local files and of the last good copies in the state directory, which stays
// as it is; nobody is asked. It also tells the state of each feed.
func BuildTable(cfg *configs.Config, lists []string) (*intel.Table, []fetch.Status, error) {
	m := fetch.New(cfg.Intel, fetch.Options{
		Dir: filepath.Join(cfg.StateDir, FeedsDir), ReadOnly: true, Home: cfg.Home, Lists: lists,
	})
	defer m.Stop()
	t, _, err := m.Build()
	return t, m.Status(), err
}
