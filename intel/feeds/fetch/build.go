package fetch

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/runner"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// Names of what is listed by no feed.
const (
	criticalServices = "critical-services"
	denyCategory     = "deny"
)

// The first and the longest pause before copies that could not be read are tried again.
const (
	firstReread = time.Second
	lastReread  = 5 * time.Minute
)

// A build is what is known of the last table.
type build struct {
	report lookup.Report
	lists  []*intel.Warninglist
	allow  []netip.Prefix // all that are allowed
	expiry time.Time      // of the next entry; zero = none will
	at     time.Time      // the date that decided what has expired
	made   time.Time      // likewise, by the monotonic clock

	// again is when copies that could not be read are tried once more, and pause how long
	// that was waited for; zero = all could.
	again time.Time
	pause time.Duration

	// What the next build need not read again.
	table  *lookup.Table
	copies map[*runner.Runner]copied
}

// A copied is the copy of a feed that went into a table.
type copied struct {
	runner.Copy
	expiry time.Time // of its next entry; zero = none will
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
	failed := make(map[*runner.Runner]bool)
	for {
		t, b, r, err := m.tryTable(now, failed)
		if err == nil {
			return t, b
		}
		if errors.Is(err, errStays) {
			m.mu.Lock()
			b = m.built
			m.mu.Unlock()
			b.retry(&b)
			return nil, b
		}
		r.Failed(err)
		failed[r] = true
	}
}

// errStays means that the last table must stay in force as a whole.
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
func (m *Manager) tryTable(now time.Time, failed map[*runner.Runner]bool) (*lookup.Table, build, *runner.Runner, error) {
	m.mu.Lock()
	last := m.built
	m.mu.Unlock()
	b := build{at: now, made: time.Now(), copies: make(map[*runner.Runner]copied)}
	if r, err := m.warninglists(&b, &last, failed); err != nil {
		return nil, b, r, err
	}
	b.allow = m.cfg.Allow
	if m.opts.Allow != nil {
		b.allow = slices.Concat(b.allow, m.opts.Allow())
	}
	builder := lookup.NewBuilderFrom(last.table, lookup.Policy{
		Allow: b.allow, Home: m.opts.Home, NAT64: m.opts.NAT64, Warninglists: b.lists, MaxIndicators: m.cfg.MaxIndicators,
	})
	// Whether all that a feed may list by the last build it may list still.
	same := !b.at.Before(last.at) && slices.Equal(b.lists, last.lists) && slices.Equal(b.allow, last.allow)
	for _, p := range m.cfg.Deny {
		builder.Add(intel.Indicator{Prefix: p, Feed: spec.DenyFeed, Score: spec.OperatorScore, Category: denyCategory}, lookup.OriginOperator)
	}
	for _, own := range []bool{true, false} {
		for _, r := range m.feeds {
			if r.Spec.Operator != own {
				continue
			}
			c := r.Copy()
			was, listed := last.copies[r]
			listed = listed && was.Good != nil
			if failed[r] || c.Lost {
				switch {
				case listed && same && m.alone(r) && builder.Keep(r.Spec.Name):
					b.note(r, was)
				case listed && !c.Lost:
					return nil, b, r, errStays
				}
				continue
			}
			if same && m.alone(r) && last.has(r, c, now) && builder.Keep(r.Spec.Name) {
				r.Readable()
				b.note(r, was)
				continue
			}
			if err := b.add(builder, r, c); err != nil {
				return nil, b, r, err
			}
		}
	}
	if slices.ContainsFunc(m.runners(), func(r *runner.Runner) bool { return r.View().Unreadable != "" }) {
		b.retry(&last)
	}
	b.table, b.report = builder.Build(now.UTC().Format("20060102T150405.000Z"))
	return b.table, b, nil, nil
}

// alone reports whether a feed is the only one of its name.
func (m *Manager) alone(r *runner.Runner) bool {
	return r.Spec.Name != spec.DenyFeed &&
		!slices.ContainsFunc(m.feeds, func(o *runner.Runner) bool { return o != r && o.Spec.Name == r.Spec.Name })
}

// has reports whether a copy went into the table as it would go into the next one.
func (b *build) has(r *runner.Runner, c runner.Copy, now time.Time) bool {
	was, ok := b.copies[r]
	return ok && was.Same(&c) && (r.Spec.MaxAge == 0 || was.SameAge(&c)) && (was.expiry.IsZero() || was.expiry.After(now))
}

// note remembers a copy that is in the table.
func (b *build) note(r *runner.Runner, c copied) {
	b.copies[r] = c
	if !c.expiry.IsZero() && (b.expiry.IsZero() || c.expiry.Before(b.expiry)) {
		b.expiry = c.expiry
	}
}

// add adds the entries of the copy in use, which is c or a newer one.
func (b *build) add(builder *lookup.Builder, r *runner.Runner, c runner.Copy) error {
	a := adder{spec: &r.Spec, now: b.at, origin: lookup.OriginFeed, builder: builder}
	if r.Spec.Operator {
		a.origin = lookup.OriginOperator
	}
	there, err := r.Each(a.add)
	if there && err == nil {
		b.note(r, copied{c, a.expiry})
	}
	return err
}

// An adder adds the entries of one feed that still count.
type adder struct {
	spec    *spec.Spec
	builder *lookup.Builder
	now     time.Time
	expiry  time.Time // of the next entry; zero = none will
	origin  lookup.Origin
}

func (a *adder) add(e *document.Entry, dated time.Time) error {
	s := a.spec
	end := endOf(s, e, dated)
	why := notCounted(s, e, end, a.now)
	over := why == lookup.ReasonExpired
	if !over && !end.IsZero() && (a.expiry.IsZero() || end.Before(a.expiry)) {
		a.expiry = end
	}
	switch ind := complete(s, e.Indicator); {
	case e.Exclude && !over:
		a.builder.Exclude(s.Name, e.Prefix)
	case e.Exclude: // takes nothing out any more
	case over:
		ind.Expires = end
		a.builder.Refuse(ind, why)
	case why != "":
		a.builder.Refuse(ind, why)
	default:
		a.builder.Add(ind, a.origin)
	}
	return nil
}

// notCounted gives why an entry, of a prefix or of a name, that ends at a time does not count
// now; empty = it does.
func notCounted(s *spec.Spec, e *document.Entry, end, now time.Time) lookup.Reason {
	switch {
	case !end.IsZero() && !end.After(now):
		return lookup.ReasonExpired
	case e.Offline:
		return lookup.ReasonOffline
	case e.Score != 0 && int(e.Score) < s.MinScore:
		return lookup.ReasonLowScore
	}
	return ""
}

// endOf is when an entry ceases to count: by its own date, or by the age that the operator
// allows. dated is the date of one that has none.
func endOf(s *spec.Spec, e *document.Entry, dated time.Time) time.Time {
	end := e.Expires
	if s.MaxAge == 0 {
		return end
	}
	seen := source.Latest(e.FirstSeen, e.LastSeen)
	if seen.IsZero() {
		seen = dated
	}
	if aged := seen.Add(s.MaxAge); end.IsZero() || aged.Before(end) {
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
func (m *Manager) warninglists(b, last *build, failed map[*runner.Runner]bool) (*runner.Runner, error) {
	if list := last.list(criticalServices); list != nil {
		b.lists = append(b.lists, list)
	} else {
		b.lists = append(b.lists, intel.NewWarninglist(criticalServices, intel.ClassInfrastructure,
			intel.CriticalServices(), m.counter(criticalServices)))
	}
	for _, r := range m.warn {
		c := copied{Copy: r.Copy()}
		was, old := last.copies[r], last.list(r.Spec.Name)
		switch {
		case old != nil && (failed[r] || c.Lost):
			c = was
		case failed[r] || c.Lost:
			continue // there never was one
		case old != nil && c.Same(&was.Copy):
			r.Readable()
		default:
			var prefixes []netip.Prefix
			_, err := r.Each(func(e *document.Entry, _ time.Time) error {
				if !e.Exclude {
					prefixes = append(prefixes, e.Prefix)
				}
				return nil
			})
			if err != nil {
				return r, err
			}
			old = intel.NewWarninglist(r.Spec.Name, intel.Class(r.Spec.Class), prefixes, m.counter(r.Spec.Name))
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
