package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/runner"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/schedule"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// Options are what a Manager needs beside its configuration.
type Options struct {
	// Dir holds the last good copies and the schedule; a lock in it keeps a second
	// process out. Empty = a temporary folder that Stop removes, for programs that only
	// read local lists.
	Dir string
	// ReadOnly leaves Dir, which need not be there, as it is: what is written goes to a
	// temporary folder. It is for programs that look at the feeds of a running one; they
	// call neither Start nor Update.
	ReadOnly bool
	// Version of the program, for the User-Agent.
	Version string
	// Home are our own networks: no feed can list them.
	Home []netip.Prefix
	// NAT64 are our own prefixes for NAT64, see intel.Embedding.
	NAT64 []netip.Prefix
	// Allow gives prefixes that are allowed now beside those of the configuration; nil = none.
	// After it has changed, PolicyChanged is to be called.
	Allow func() []netip.Prefix
	// Lists are files of the operator's own word, beside deny.
	Lists []string
	// Publish is given every new table with the report of its making. It is called by
	// one goroutine at a time and should be quick. nil = it is not called.
	Publish func(*lookup.Table, lookup.Report)
	// Alert is called once for every copy that is held back, with the reason; nil = it is not.
	Alert func(feed, why string)
	// Now gives the date that decides what has expired; it may go back. nil = the wall
	// clock. Whatever is waited for is waited for by the monotonic clock.
	Now func() time.Time
	// Log receives faults and updates; nil = no log.
	Log *zap.Logger
}

// How the names of the files of feeds begin, and of those of the operator's own lists.
const (
	feedPrefix = "feed-"
	listPrefix = "list-"
)

// Limits of a manager.
const (
	// coalesce is how long a build waits for further changes.
	coalesce = time.Second
	// minRebuild is the shortest pause between two builds that only expiry asks for.
	minRebuild = 5 * time.Minute
)

// A Manager keeps all feeds up to date and publishes a table whenever one of them
// has changed. New is inert; its methods may be called from any goroutine.
type Manager struct {
	cfg    spec.Config
	opts   Options
	log    *zap.Logger
	shared *runner.Shared
	folder *store.Folder // nil = not open
	feeds  []*runner.Runner
	warn   []*runner.Runner
	change chan struct{}
	replan chan struct{} // a build has set another time for the next

	life    sync.Mutex // Load, Start, Stop
	stopped bool
	cancel  context.CancelFunc
	wait    sync.WaitGroup

	unreached chan unreached // feeds whose providers could not be reached
	gathering atomic.Bool    // somebody reads them

	quarantine quarantine.List

	building chan struct{} // holds a token while a table is built
	mu       sync.Mutex
	built    build
	stops    map[string]*atomic.Uint64 // by warninglist
}

// New makes a manager of a valid configuration.
func New(cfg spec.Config, opts Options) *Manager {
	m := &Manager{
		cfg: cfg, opts: opts, log: opts.Log, change: make(chan struct{}, 1), replan: make(chan struct{}, 1),
		stops: make(map[string]*atomic.Uint64), building: make(chan struct{}, 1), unreached: make(chan unreached, maxUnreached),
	}
	if m.log == nil {
		m.log = zap.NewNop()
	}
	if m.opts.Alert == nil {
		m.opts.Alert = func(_, _ string) {}
	}
	m.shared = &runner.Shared{
		Bounds: cfg.Fetch.OrDefault(), MaxIndicators: cfg.MaxIndicators, Dir: opts.Dir, Agent: userAgent(opts.Version, cfg.Contact),
		Gate: schedule.NewGate(), Now: m.now, Changed: m.changed, Alert: m.opts.Alert, Unreached: m.gathers,
	}
	for _, path := range opts.Lists {
		m.feeds = append(m.feeds, runner.New(m.shared, spec.List(path), listPrefix, m.log))
	}
	for _, f := range cfg.Feeds {
		m.feeds = append(m.feeds, runner.New(m.shared, f, feedPrefix, m.log))
	}
	for _, f := range cfg.Warninglists {
		m.warn = append(m.warn, runner.New(m.shared, f, "warn-", m.log))
	}
	return m
}

// userAgent names the program and an address for complaints.
func userAgent(version, contact string) string {
	if version == "" {
		version = "unknown"
	}
	if contact == "" {
		contact = "https://github.com/flowsnitch/flowsnitch"
	}
	return "flowsnitch/" + strings.ReplaceAll(version, " ", "-") + " (+" + contact + ")"
}

// runners gives those of all sources.
func (m *Manager) runners() []*runner.Runner { return slices.Concat(m.feeds, m.warn) }

// Load finds the last good copies and reads the local files. It sends no request. The
// error joins what is wrong with the operator's lists, which were named just now, and
// with other local files that have no good copy either; all others can be used.
func (m *Manager) Load() error {
	m.life.Lock()
	defer m.life.Unlock()
	return m.load()
}

func (m *Manager) load() error {
	if m.folder != nil {
		return nil
	}
	folder, err := store.OpenFolder(m.opts.Dir, m.opts.ReadOnly)
	if err != nil {
		return err
	}
	m.folder, m.shared.Dir = folder, folder.Dir
	if err := m.shared.Disk.Sweep(folder.Dir); err != nil {
		m.log.Warn("half-written files of an earlier process remain", zap.Error(err))
	}
	if err := m.quarantine.Load(folder.Dir); err != nil {
		m.log.Error("the quarantine cannot be read and begins empty", zap.Error(err))
	}
	for _, r := range m.runners() {
		if err := r.Load(time.Now()); err != nil {
			r.Log.Error("part of what was kept of a feed cannot be used", zap.Error(err))
		}
	}
	_, err = m.readLocal(func(r *runner.Runner) bool {
		return slices.Contains(m.feeds[:len(m.opts.Lists)], r) || statusOf(r).Taken.IsZero()
	})
	return err
}

// readLocal reads the local files that have changed. It reports whether there are any, and
// joins the errors of those that count.
func (m *Manager) readLocal(counts func(*runner.Runner) bool) (updated bool, err error) {
	var errs []error
	for _, r := range m.runners() {
		if !r.Spec.Kind.Local() {
			continue
		}
		out, err := r.ByHand(context.Background())
		updated = updated || out == source.Updated
		if err != nil && counts(r) {
			errs = append(errs, fmt.Errorf("list %w", err)) // it begins with the path
		}
	}
	return updated, errors.Join(errs...)
}

// Reread reads the local files that have changed at once, without waiting for the next
// look at them, and publishes a table if there are any. The error joins what is wrong
// with local files; of these the last good copies stay in use.
func (m *Manager) Reread() error {
	updated, err := m.readLocal(func(*runner.Runner) bool { return true })
	if m.isChanged() || updated {
		m.rebuild()
	}
	return err
}

// Start loads what is there, publishes the first table and begins to fetch. Local
// files that cannot be read are no reason not to start: the status has them.
func (m *Manager) Start() error {
	m.life.Lock()
	defer m.life.Unlock()
	if m.cancel != nil || m.stopped {
		return errors.New("fetch: started already")
	}
	if err := m.load(); err != nil {
		m.log.Error("lists that cannot be read", zap.Error(err))
		if m.folder == nil {
			return err
		}
	}
	m.isChanged() // what Load has read is in this table
	m.rebuild()
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.gathering.Store(true)
	for _, r := range m.runners() {
		m.wait.Go(func() { r.Run(ctx) })
	}
	m.wait.Go(func() { m.publish(ctx) })
	m.wait.Go(func() { m.nameUnreached(ctx) })
	return nil
}

// Stop ends all fetches and waits for their goroutines. It may be called twice.
func (m *Manager) Stop() {
	m.life.Lock()
	defer m.life.Unlock()
	if m.stopped {
		return
	}
	m.stopped = true
	if m.cancel != nil {
		m.cancel()
	}
	m.wait.Wait()
	if m.folder != nil {
		m.folder.Close()
	}
}

// Interrupt ends the fetches of the schedule, those under way too, without waiting for
// them. Whoever waits for one of them by Accept or Update can go on. Stop is to follow.
func (m *Manager) Interrupt() {
	m.life.Lock()
	defer m.life.Unlock()
	if m.cancel != nil {
		m.cancel()
	}
}

// now gives the date.
func (m *Manager) now() time.Time {
	if m.opts.Now != nil {
		return m.opts.Now().UTC()
	}
	return time.Now().UTC()
}

// DateChanged is called when another date is right. Other entries have expired, and
// other certificates hold: a new table is made, and feeds that failed are fetched as
// soon as their providers may be asked.
func (m *Manager) DateChanged() {
	m.changed()
	for _, r := range m.runners() {
		r.TryAgain()
	}
}

// PolicyChanged is called when other prefixes are allowed: a new table is made.
func (m *Manager) PolicyChanged() { m.changed() }

// changed asks for a new table.
func (m *Manager) changed() {
	select {
	case m.change <- struct{}{}:
	default:
	}
}

// isChanged takes back a request for a new table that has not been made yet.
func (m *Manager) isChanged() bool {
	select {
	case <-m.change:
		return true
	default:
		return false
	}
}

// publish makes a new table when a feed has changed, or when enough time has passed
// for entries to expire.
func (m *Manager) publish(ctx context.Context) {
	for {
		expiry := time.NewTimer(m.untilNext())
		select {
		case <-ctx.Done():
			expiry.Stop()
			return
		case <-m.change:
			expiry.Stop()
			if client.Sleep(ctx, coalesce) != nil {
				return
			}
			m.isChanged() // what came meanwhile is in this build
		case <-m.replan:
			expiry.Stop()
			continue
		case <-expiry.C:
		}
		m.rebuild()
	}
}

// An Answer is what became of a fetch by hand.
type Answer struct {
	Feed    string         `json:"feed"`
	Outcome source.Outcome `json:"outcome"`
	// Detail is the reason, in words for people.
	Detail  string `json:"detail,omitempty"`
	Entries int    `json:"entries"`
	// Next is the next fetch by schedule.
	Next time.Time `json:"next,omitzero"`
}

// Update fetches the feeds named, or all, now, as far as their providers may be
// asked, and publishes a table if anything has changed. The error names a feed that
// is unknown; what goes wrong with a feed is in its answer.
func (m *Manager) Update(ctx context.Context, names ...string) ([]Answer, error) {
	if err := m.Load(); err != nil && m.folder == nil {
		return nil, err
	}
	chosen, err := m.choose(names)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(chosen))
	var wait sync.WaitGroup
	for i, r := range chosen {
		wait.Go(func() {
			out, err := r.ByHand(ctx)
			answers[i] = answerOf(statusOf(r), out, err)
		})
	}
	wait.Wait()
	updated := slices.ContainsFunc(answers, func(a Answer) bool { return a.Outcome == source.Updated })
	if m.isChanged() || updated {
		m.rebuild()
	}
	return answers, nil
}

// choose gives the runners of the names; no name = all.
func (m *Manager) choose(names []string) ([]*runner.Runner, error) {
	all := m.runners()
	if len(names) == 0 {
		return all, nil
	}
	var out []*runner.Runner
	for _, name := range names {
		i := slices.IndexFunc(all, func(r *runner.Runner) bool { return r.Spec.Name == name })
		if i < 0 {
			return nil, m.unknown(name)
		}
		out = append(out, all[i])
	}
	return out, nil
}

func (m *Manager) unknown(name string) error {
	var known []string
	for _, r := range m.runners() {
		known = append(known, r.Spec.Name)
	}
	return fmt.Errorf("no feed %q; there are %s", name, strings.Join(known, ", "))
}

// answerOf puts the outcome of a fetch into words.
func answerOf(s Status, out source.Outcome, err error) Answer {
	a := Answer{Feed: s.Name, Outcome: out, Entries: s.Entries, Next: s.Next, Detail: s.Note}
	switch {
	case err != nil:
		a.Detail = err.Error()
	case out == source.HeldBack:
		a.Detail = s.Held
	}
	return a
}

// Accept takes the copy of a feed that is held back into use, or ends the quarantine of
// an entry, named by its prefix, and publishes.
func (m *Manager) Accept(name string) error {
	if err := m.Load(); err != nil && m.folder == nil {
		return err
	}
	if p, err := netip.ParsePrefix(name); err == nil {
		return m.quarantine.Release(p, m.now())
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return m.quarantine.Release(netip.PrefixFrom(a, a.BitLen()), m.now())
	}
	chosen, err := m.choose([]string{name})
	if err != nil {
		return err
	}
	if err := chosen[0].Accept(); err != nil {
		return err
	}
	m.rebuild()
	return nil
}

// Quarantine marks a listed prefix as one whose hits are to be rolled up: for a day, also
// after a restart, or until Accept is called with it. It reports whether that is new:
// it is not while the prefix is there, and for a day after Accept. With an error that
// comes beside true the mark is not saved.
func (m *Manager) Quarantine(p netip.Prefix, why string) (added bool, err error) {
	return m.quarantine.Add(p, why, m.now())
}

// Quarantined gives what is in quarantine, the oldest first. It never waits.
func (m *Manager) Quarantined() []quarantine.Quarantined { return m.quarantine.InForce(m.now()) }

// Status gives the state of all feeds, then of all warninglists, in the order of the
// configuration.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	b := m.built
	m.mu.Unlock()
	var out []Status
	for _, r := range m.runners() {
		s := statusOf(r)
		b.addTo(&s)
		out = append(out, s)
	}
	return out
}
