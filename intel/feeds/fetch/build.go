package fetch

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"go.uber.org/zap"
)

// Names that are nobody's feed.
const (
	denyFeed         = "deny"
	criticalServices = "critical-services"
	denyCategory     = "deny"
)

// A build is what is known of the last table.
type build struct {
	report intel.Report
	lists  []*intel.Warninglist
	expiry time.Time // of the next entry; zero = none will
	at     time.Time // the date that decided what has expired
	made   time.Time // likewise, by the monotonic clock
}

// rebuild makes a table of all copies in use and publishes it.
func (m *Manager) rebuild() {
	m.building.Lock()
	defer m.building.Unlock()
	table, b := m.table(m.now())
	m.mu.Lock()
	m.built = b
	m.mu.Unlock()
	if m.opts.Publish != nil {
		m.opts.Publish(table, b.report)
	}
}

// Build makes a table of what is there, without publishing it.
func (m *Manager) Build() (*intel.Table, intel.Report, error) {
	if err := m.Load(); err != nil {
		return nil, intel.Report{}, err
	}
	m.building.Lock()
	defer m.building.Unlock()
	t, b := m.table(m.now())
	return t, b.report, nil
}

// table makes a table of all copies that can be read. A copy that turns out broken
// spoils what is being built, so it is built again without it: each time there is one
// copy less that could be broken.
func (m *Manager) table(now time.Time) (*intel.Table, build) {
	for {
		t, b, r, err := m.tryTable(now)
		if err == nil {
			return t, b
		}
		r.lost(err)
	}
}

// tryTable reads the copies in use from the disk: they are nowhere in memory beside the
// table. The operator's own come first, so that no feed can fill the table before. An
// error comes with the runner of the copy that cannot be read.
func (m *Manager) tryTable(now time.Time) (*intel.Table, build, *runner, error) {
	b := build{at: now, made: time.Now()}
	if r, err := m.warninglists(&b); err != nil {
		return nil, b, r, err
	}
	builder := intel.NewBuilder(intel.Policy{
		Allow: m.cfg.Allow, Home: m.opts.Home, Warninglists: b.lists, MaxIndicators: m.cfg.MaxIndicators,
		Quarantine: m.quarantine.prefixes(),
	})
	for _, p := range m.cfg.Deny {
		builder.Add(intel.Indicator{Prefix: p, Feed: denyFeed, Score: operatorScore, Category: denyCategory}, intel.OriginOperator)
	}
	for _, own := range []bool{true, false} {
		for _, r := range m.feeds {
			if r.spec.Operator != own {
				continue
			}
			if err := r.addTo(builder, &b); err != nil {
				return nil, b, r, err
			}
		}
	}
	var table *intel.Table
	table, b.report = builder.Build(now.UTC().Format("20060102T150405.000Z"))
	return table, b, nil, nil
}

// lost forgets a copy that cannot be read any more, so that the source is asked for
// all of it again.
func (r *runner) lost(err error) {
	r.log.Error("the copy of a feed cannot be read; it is fetched anew", zap.Error(err))
	r.mu.Lock()
	r.good = nil
	r.seen = ""
	r.state.Due = r.state.NotBefore
	r.mu.Unlock()
	r.poke()
}

// inUse opens the copy in use; nil when there is none.
func (r *runner) inUse() (*reader, error) {
	r.mu.Lock()
	there := r.good != nil
	r.mu.Unlock()
	if !there {
		return nil, nil
	}
	g, err := r.open(extGood)
	if g == nil && err == nil {
		err = fmt.Errorf("%s: has vanished", r.file(extGood))
	}
	return g, err
}

// addTo adds the entries of the copy in use.
func (r *runner) addTo(builder *intel.Builder, b *build) error {
	g, err := r.inUse()
	if g == nil {
		return err
	}
	defer g.Close()
	a := adder{r: r, build: b, taken: r.checked(&g.Description), origin: intel.OriginFeed, builder: builder}
	if r.spec.Operator {
		a.origin = intel.OriginOperator
	}
	return g.each(nil, a.add)
}

// checked is when the source last stood by the copy.
func (r *runner) checked(d *Description) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return latest(d.Taken, r.state.Checked)
}

// An adder adds the entries of one feed that still count.
type adder struct {
	r       *runner
	build   *build
	builder *intel.Builder
	taken   time.Time
	origin  intel.Origin
}

func (a *adder) add(e *feeds.Entry) error {
	s := &a.r.spec
	end := a.end(e)
	over := !end.IsZero() && !end.After(a.build.at)
	if !over && !end.IsZero() && (a.build.expiry.IsZero() || end.Before(a.build.expiry)) {
		a.build.expiry = end
	}
	switch ind := s.complete(e.Indicator); {
	case e.Exclude && !over:
		a.builder.Exclude(s.Name, e.Prefix)
	case e.Exclude: // takes nothing out any more
	case over:
		ind.Expires = end
		a.builder.Refuse(ind, intel.ReasonExpired)
	case e.Offline:
		a.builder.Refuse(ind, intel.ReasonOffline)
	case e.Score != 0 && int(e.Score) < s.MinScore:
		a.builder.Refuse(ind, intel.ReasonLowScore)
	default:
		a.builder.Add(ind, a.origin)
	}
	return nil
}

// end is when an entry stops to count: by its own words, or by the age that the
// operator allows.
func (a *adder) end(e *feeds.Entry) time.Time {
	end := e.Expires
	if a.r.spec.MaxAge == 0 {
		return end
	}
	seen := latest(e.FirstSeen, e.LastSeen)
	if seen.IsZero() {
		seen = a.taken
	}
	if aged := seen.Add(a.r.spec.MaxAge); end.IsZero() || aged.Before(end) {
		end = aged
	}
	return end
}

// complete gives an entry the feed's name and what the entry itself leaves out.
func (s *spec) complete(ind intel.Indicator) intel.Indicator {
	ind.Feed = s.Name
	if ind.Score == 0 {
		ind.Score = uint8(s.Score)
	}
	if ind.Category == "" {
		ind.Category = s.Category
	}
	if ind.TLP == "" {
		ind.TLP = s.TLP
	}
	return ind
}

// warninglists gathers the lists of the next table. What they have stopped is counted
// on from table to table.
func (m *Manager) warninglists(b *build) (*runner, error) {
	b.lists = append(b.lists, intel.NewWarninglist(criticalServices, intel.ClassInfrastructure,
		intel.CriticalServices(), m.counter(criticalServices)))
	for _, r := range m.warn {
		prefixes, err := r.prefixes()
		if err != nil {
			return r, err
		}
		b.lists = append(b.lists, intel.NewWarninglist(r.spec.Name, intel.Class(r.spec.Class), prefixes, m.counter(r.spec.Name)))
	}
	return nil, nil
}

func (m *Manager) counter(list string) *atomic.Uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stops[list] == nil {
		m.stops[list] = new(atomic.Uint64)
	}
	return m.stops[list]
}

// prefixes reads the copy in use of a warninglist.
func (r *runner) prefixes() ([]netip.Prefix, error) {
	g, err := r.inUse()
	if g == nil {
		return nil, err
	}
	defer g.Close()
	var out []netip.Prefix
	err = g.each(nil, func(e *feeds.Entry) error {
		if !e.Exclude {
			out = append(out, e.Prefix)
		}
		return nil
	})
	return out, err
}

// untilExpiry is how long the table in force can stay if no feed changes.
func (m *Manager) untilExpiry() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.built.expiry.IsZero() {
		return math.MaxInt64
	}
	return max(m.built.expiry.Sub(m.now()), minRebuild-time.Since(m.built.made), 0)
}

// addTo completes a status with what the last build knows.
func (b *build) addTo(s *Status) {
	if s.Class != "" {
		b.addList(s)
		return
	}
	i := slices.IndexFunc(b.report.Feeds, func(f intel.FeedReport) bool { return f.Feed == s.Name })
	if i < 0 {
		return
	}
	f := b.report.Feeds[i]
	s.Accepted, s.Duplicate, s.Unique, s.Refused = f.Accepted, f.Duplicate, f.Unique, f.Refused
	s.Expired = f.Refused[intel.ReasonExpired]
}

func (b *build) addList(s *Status) {
	for i, w := range b.lists {
		if w.Name == s.Name && i < len(b.report.Warned) {
			s.Stopped, s.Touched = w.Stopped.Load(), b.report.Warned[i].Entries
		}
	}
}
