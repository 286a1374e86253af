package fetch

import (
	"errors"
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
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// Names that are nobody's feed.
const (
	criticalServices = "critical-services"
	denyCategory     = "deny"
)

// A build is what is known of the last table.
type build struct {
	report lookup.Report
	lists  []*intel.Warninglist
	expiry time.Time // of the next entry; zero = none will
	at     time.Time // the date that decided what has expired
	made   time.Time // likewise, by the monotonic clock

	// again is when copies that could not be read are tried once more, and pause how long
	// that was waited for; zero = all could.
	again time.Time
	pause time.Duration

	// What the next build need not read again.
	table  *lookup.Table
	copies map[*runner]copied
}

// A copied is the copy of a feed that went into a table.
type copied struct {
	good    *store.Description // nil = there was none
	file    fs.FileInfo        // likewise
	checked time.Time          // when the source last stood by it
	said    time.Time          // the time of its data by its own words
	lost    bool               // it was in use until it was found damaged or missing
	expiry  time.Time          // of its next entry; zero = none will
}

// rebuild makes a table of all copies in use and publishes it.
func (m *Manager) rebuild() {
	m.building <- struct{}{}
	defer func() { <-m.building }()
	table, b := m.table(m.now())
	m.mu.Lock()
	m.built = b
	m.mu.Unlock()
	select {
	case m.replan <- struct{}{}:
	default:
	}
	if table != nil && m.opts.Publish != nil {
		m.opts.Publish(table, b.report)
	}
}

// Build makes a table of what is there, without publishing it.
func (m *Manager) Build() (*lookup.Table, lookup.Report, error) {
	if err := m.Load(); err != nil {
		return nil, lookup.Report{}, err
	}
	m.building <- struct{}{}
	defer func() { <-m.building }()
	t, b := m.table(m.now())
	return t, b.report, nil
}

// table makes a table of all copies. One that cannot be read spoils what is being built,
// so it is built again, and what the last table has of that feed stays: each time there is
// one copy less that could fail. Where that cannot be done, as another policy holds now,
// the table is nil, and the last one stays in force as a whole until the copy can be read.
func (m *Manager) table(now time.Time) (*lookup.Table, build) {
	failed := make(map[*runner]bool)
	for {
		t, b, r, err := m.tryTable(now, failed)
		switch {
		case err == nil:
			return t, b
		case errors.Is(err, errStays):
			m.mu.Lock()
			b = m.built
			m.mu.Unlock()
			b.retry(&b)
			return nil, b
		case store.IsBroken(err), isMissing(err):
			r.lost(err)
		default:
			r.unreadable(err)
		}
		failed[r] = true
	}
}

// errStays says that the last table must stay in force as a whole.
var errStays = errors.New("the last table stays")

// retry sets when the next attempt to read a copy is due.
func (b *build) retry(last *build) {
	b.pause = min(max(2*last.pause, firstReread), lastReread)
	b.again = time.Now().Add(b.pause)
}

// tryTable reads the copies in use from the disk: they are nowhere in memory beside the
// table. The operator's own come first, so that no feed can fill the table before. An
// error comes with the runner of the copy that cannot be read. What is as it was is not
// read, and what little has changed is changed in the last table.
func (m *Manager) tryTable(now time.Time, failed map[*runner]bool) (*lookup.Table, build, *runner, error) {
	m.mu.Lock()
	last := m.built
	m.mu.Unlock()
	b := build{at: now, made: time.Now(), copies: make(map[*runner]copied)}
	if r, err := m.warninglists(&b, &last, failed); err != nil {
		return nil, b, r, err
	}
	builder := lookup.NewBuilderFrom(last.table, lookup.Policy{
		Allow: m.cfg.Allow, Home: m.opts.Home, NAT64: m.opts.NAT64, Warninglists: b.lists, MaxIndicators: m.cfg.MaxIndicators,
	})
	same := b.sameRules(&last)
	for _, p := range m.cfg.Deny {
		builder.Add(intel.Indicator{Prefix: p, Feed: spec.DenyFeed, Score: spec.OperatorScore, Category: denyCategory}, lookup.OriginOperator)
	}
	for _, own := range []bool{true, false} {
		for _, r := range m.feeds {
			if r.spec.Operator != own {
				continue
			}
			c := r.copied()
			was, listed := last.copies[r]
			listed = listed && was.good != nil
			if failed[r] || c.lost {
				switch {
				case listed && same && m.alone(r) && builder.Keep(r.spec.Name):
					b.note(r, was)
				case listed && !c.lost:
					return nil, b, r, errStays
				}
				continue
			}
			if same && m.alone(r) && last.has(r, c, now) && builder.Keep(r.spec.Name) {
				r.readable()
				b.note(r, was)
				continue
			}
			if err := r.addTo(builder, &b, c); err != nil {
				return nil, b, r, err
			}
		}
	}
	if m.outOfReach() {
		b.retry(&last)
	}
	b.table, b.report = builder.Build(now.UTC().Format("20060102T150405.000Z"))
	return b.table, b, nil, nil
}

// outOfReach reports whether a copy is to be read again.
func (m *Manager) outOfReach() bool {
	return slices.ContainsFunc(m.runners(), func(r *runner) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.read.why != ""
	})
}

// copied tells which copy is in use, without its expiry.
func (r *runner) copied() copied {
	if err := r.recall(); err != nil && !store.IsBroken(err) {
		r.unreadable(err)
	}
	r.mu.Lock()
	c := copied{good: r.good, lost: r.good == nil && r.read.gone != nil}
	if r.good != nil {
		c.checked, c.said = source.Latest(r.good.Taken, r.state.Checked), r.good.Parsed.Updated
	}
	r.mu.Unlock()
	if c.good != nil {
		c.file, _ = r.m.disk.Stat(r.file(store.ExtGood)) // nil if it cannot be opened either
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
	return r.spec.Name != spec.DenyFeed &&
		!slices.ContainsFunc(m.feeds, func(o *runner) bool { return o != r && o.spec.Name == r.spec.Name })
}

// sameRules reports whether all that a feed may list by the last build it may list still.
func (b *build) sameRules(last *build) bool {
	return !b.at.Before(last.at) && slices.Equal(b.lists, last.lists)
}

// has reports whether a copy went into the table as it would go into the next one.
func (b *build) has(r *runner, c copied, now time.Time) bool {
	was, ok := b.copies[r]
	return ok && was.same(&c) && (r.spec.MaxAge == 0 || was.checked.Equal(c.checked) && was.said.Equal(c.said)) &&
		(was.expiry.IsZero() || was.expiry.After(now))
}

// note remembers a copy that is in the table.
func (b *build) note(r *runner, c copied) {
	b.copies[r] = c
	if !c.expiry.IsZero() && (b.expiry.IsZero() || c.expiry.Before(b.expiry)) {
		b.expiry = c.expiry
	}
}

// inUse opens the copy in use; nil when there is none.
func (r *runner) inUse() (*store.Reader, error) {
	r.mu.Lock()
	there := r.good != nil
	r.mu.Unlock()
	if !there {
		return nil, nil
	}
	g, err := r.open(store.ExtGood)
	if g == nil && err == nil {
		err = fmt.Errorf("%s: %w", r.file(store.ExtGood), fs.ErrNotExist)
	}
	return g, err
}

// addTo adds the entries of the copy in use, which is c or a newer one.
func (r *runner) addTo(builder *lookup.Builder, b *build, c copied) error {
	g, err := r.inUse()
	if g == nil {
		return err
	}
	defer g.Close()
	a := adder{r: r, now: b.at, taken: r.dated(&g.Description), origin: lookup.OriginFeed, builder: builder}
	if r.spec.Operator {
		a.origin = lookup.OriginOperator
	}
	if err := g.Each(nil, a.add); err != nil {
		return err
	}
	r.readable()
	c.expiry = a.expiry
	b.note(r, c)
	return nil
}

// dated is the age of what bears no date in the copy: by the words of the copy itself,
// else when the source last stood by it. A mirror can stand by data that nobody renews.
func (r *runner) dated(d *store.Description) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	checked := source.Latest(d.Taken, r.state.Checked)
	if said := d.Parsed.Updated; !said.IsZero() && said.Before(checked) {
		return said
	}
	return checked
}

// An adder adds the entries of one feed that still count.
type adder struct {
	r       *runner
	builder *lookup.Builder
	now     time.Time
	taken   time.Time
	expiry  time.Time // of the next entry; zero = none will
	origin  lookup.Origin
}

func (a *adder) add(e *feeds.Entry) error {
	s := &a.r.spec
	end := a.end(e)
	over := !end.IsZero() && !end.After(a.now)
	if !over && !end.IsZero() && (a.expiry.IsZero() || end.Before(a.expiry)) {
		a.expiry = end
	}
	switch ind := complete(s, e.Indicator); {
	case e.Exclude && !over:
		a.builder.Exclude(s.Name, e.Prefix)
	case e.Exclude: // takes nothing out any more
	case over:
		ind.Expires = end
		a.builder.Refuse(ind, lookup.ReasonExpired)
	case e.Offline:
		a.builder.Refuse(ind, lookup.ReasonOffline)
	case e.Score != 0 && int(e.Score) < s.MinScore:
		a.builder.Refuse(ind, lookup.ReasonLowScore)
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
	seen := source.Latest(e.FirstSeen, e.LastSeen)
	if seen.IsZero() {
		seen = a.taken
	}
	if aged := seen.Add(a.r.spec.MaxAge); end.IsZero() || aged.Before(end) {
		end = aged
	}
	return end
}

// complete gives an entry the feed's name and what the entry itself leaves out.
func complete(s *spec.Spec, ind intel.Indicator) intel.Indicator {
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
func (m *Manager) warninglists(b, last *build, failed map[*runner]bool) (*runner, error) {
	if list := last.list(criticalServices); list != nil {
		b.lists = append(b.lists, list)
	} else {
		b.lists = append(b.lists, intel.NewWarninglist(criticalServices, intel.ClassInfrastructure,
			intel.CriticalServices(), m.counter(criticalServices)))
	}
	for _, r := range m.warn {
		c := r.copied()
		was, old := last.copies[r], last.list(r.spec.Name)
		switch {
		case old != nil && (failed[r] || c.lost):
			c = was
		case failed[r] || c.lost:
			continue // there never was one
		case old != nil && c.same(&was):
			r.readable()
		default:
			prefixes, err := r.prefixes()
			if err != nil {
				return r, err
			}
			r.readable()
			old = intel.NewWarninglist(r.spec.Name, intel.Class(r.spec.Class), prefixes, m.counter(r.spec.Name))
		}
		b.copies[r] = c
		b.lists = append(b.lists, old)
	}
	return nil, nil
}

// list gives a warninglist of the build; nil when there is none of the name.
func (b *build) list(name string) *intel.Warninglist {
	i := slices.IndexFunc(b.lists, func(w *intel.Warninglist) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return b.lists[i]
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
	err = g.Each(nil, func(e *feeds.Entry) error {
		if !e.Exclude {
			out = append(out, e.Prefix)
		}
		return nil
	})
	return out, err
}

// untilNext is how long the table in force can stay if no feed changes: until an entry
// expires, or until a copy that could not be read is tried again.
func (m *Manager) untilNext() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.built.again.IsZero():
		return max(time.Until(m.built.again), 0)
	case m.built.expiry.IsZero():
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
	i := slices.IndexFunc(b.report.Feeds, func(f lookup.FeedReport) bool { return f.Feed == s.Name })
	if i < 0 {
		return
	}
	f := b.report.Feeds[i]
	s.Accepted, s.Duplicate, s.Unique, s.Refused = f.Accepted, f.Duplicate, f.Unique, f.Refused
	s.Expired = f.Refused[lookup.ReasonExpired]
}

func (b *build) addList(s *Status) {
	for i, w := range b.lists {
		if w.Name == s.Name && i < len(b.report.Warned) {
			s.Stopped, s.Touched = w.Stopped.Load(), b.report.Warned[i].Entries
		}
	}
}
