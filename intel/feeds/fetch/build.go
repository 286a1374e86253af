package fetch

import (
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
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

	// What the next build need not read again.
	table  *intel.Table
	copies map[*runner]copied
}

// A copied is the copy of a feed that went into a table.
type copied struct {
	good    *Description // nil = there was none
	file    fs.FileInfo  // likewise
	checked time.Time    // when the source last stood by it
	expiry  time.Time    // of its next entry; zero = none will
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
// error comes with the runner of the copy that cannot be read. What is as it was is not
// read, and what little has changed is changed in the last table.
func (m *Manager) tryTable(now time.Time) (*intel.Table, build, *runner, error) {
	m.mu.Lock()
	last := m.built
	m.mu.Unlock()
	b := build{at: now, made: time.Now(), copies: make(map[*runner]copied)}
	if r, err := m.warninglists(&b, &last); err != nil {
		return nil, b, r, err
	}
	builder := intel.NewBuilderFrom(last.table, intel.Policy{
		Allow: m.cfg.Allow, Home: m.opts.Home, Warninglists: b.lists, MaxIndicators: m.cfg.MaxIndicators,
	})
	same := b.sameRules(&last)
	for _, p := range m.cfg.Deny {
		builder.Add(intel.Indicator{Prefix: p, Feed: denyFeed, Score: operatorScore, Category: denyCategory}, intel.OriginOperator)
	}
	for _, own := range []bool{true, false} {
		for _, r := range m.feeds {
			if r.spec.Operator != own {
				continue
			}
			c := r.copied()
			if same && m.alone(r) && last.has(r, c, now) && builder.Keep(r.spec.Name) {
				b.note(r, last.copies[r])
				continue
			}
			if err := r.addTo(builder, &b, c); err != nil {
				return nil, b, r, err
			}
		}
	}
	b.table, b.report = builder.Build(now.UTC().Format("20060102T150405.000Z"))
	return b.table, b, nil, nil
}

// copied tells which copy is in use, without its expiry.
func (r *runner) copied() copied {
	r.mu.Lock()
	c := copied{good: r.good}
	if r.good != nil {
		c.checked = latest(r.good.Taken, r.state.Checked)
	}
	r.mu.Unlock()
	if c.good != nil {
		c.file, _ = os.Stat(r.file(extGood)) // nil if it cannot be opened either
	}
	return c
}

// same reports whether two copies are one, which nobody has touched.
func (c *copied) same(o *copied) bool {
	if c.file == nil || o.file == nil {
		return c.good == nil && o.good == nil
	}
	return c.good == o.good && os.SameFile(c.file, o.file) &&
		c.file.Size() == o.file.Size() && c.file.ModTime().Equal(o.file.ModTime())
}

// alone reports whether nobody else adds entries under the name of a feed.
func (m *Manager) alone(r *runner) bool {
	return r.spec.Name != denyFeed &&
		!slices.ContainsFunc(m.feeds, func(o *runner) bool { return o != r && o.spec.Name == r.spec.Name })
}

// sameRules reports whether all that a feed may list by the last build it may list still.
func (b *build) sameRules(last *build) bool {
	return !b.at.Before(last.at) && slices.Equal(b.lists, last.lists)
}

// has reports whether a copy went into the table as it would go into the next one.
func (b *build) has(r *runner, c copied, now time.Time) bool {
	was, ok := b.copies[r]
	return ok && was.same(&c) && (r.spec.MaxAge == 0 || was.checked.Equal(c.checked)) &&
		(was.expiry.IsZero() || was.expiry.After(now))
}

// note remembers a copy that is in the table.
func (b *build) note(r *runner, c copied) {
	b.copies[r] = c
	if !c.expiry.IsZero() && (b.expiry.IsZero() || c.expiry.Before(b.expiry)) {
		b.expiry = c.expiry
	}
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

// addTo adds the entries of the copy in use, which is c or a newer one.
func (r *runner) addTo(builder *intel.Builder, b *build, c copied) error {
	g, err := r.inUse()
	if g == nil {
		return err
	}
	defer g.Close()
	a := adder{r: r, now: b.at, taken: r.checked(&g.Description), origin: intel.OriginFeed, builder: builder}
	if r.spec.Operator {
		a.origin = intel.OriginOperator
	}
	err = g.each(nil, a.add)
	c.expiry = a.expiry
	b.note(r, c)
	return err
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
	builder *intel.Builder
	now     time.Time
	taken   time.Time
	expiry  time.Time // of the next entry; zero = none will
	origin  intel.Origin
}

func (a *adder) add(e *feeds.Entry) error {
	s := &a.r.spec
	end := a.end(e)
	over := !end.IsZero() && !end.After(a.now)
	if !over && !end.IsZero() && (a.expiry.IsZero() || end.Before(a.expiry)) {
		a.expiry = end
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

// warninglists gathers the lists of the next table: those of the last one if they are as
// they were. What they have stopped is counted on from table to table.
func (m *Manager) warninglists(b, last *build) (*runner, error) {
	same := last.table != nil
	for _, r := range m.warn {
		c := r.copied()
		was := last.copies[r]
		same = same && c.same(&was)
		b.copies[r] = c
	}
	if same {
		b.lists = last.lists
		return nil, nil
	}
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
