package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"go4.org/netipx"
)

// An OffenderBase knows who was in contact with us: the store of incidents.
type OffenderBase interface {
	// Blockable calls row for each incident that fits, false alarms aside, with its listings.
	Blockable(ctx context.Context, f incident.Filter, row func(*incident.Incident) error) error
	List(ctx context.Context, q incident.Query) (incident.Page[incident.Incident], error)
}

// A Barred is what people have decided about offenders, beside the configuration: of its
// prefixes and feeds nothing is blocked.
type Barred struct {
	Prefixes []netip.Prefix
	Feeds    []string
}

// barredBy gives what silences and allowed prefixes keep out of block lists. A silence of an
// offender does, whatever else it asks for: who may be contacted by one of our hosts must not be
// blocked for it. So does a silence of a feed alone.
func barredBy(silences []silence.Silence, allowed []netip.Prefix) Barred {
	b := Barred{Prefixes: slices.Clone(allowed)}
	for i := range silences {
		c := silences[i].Conditions
		switch {
		case c.Rule != "":
		case c.Offender.IsValid():
			b.Prefixes = append(b.Prefixes, c.Offender)
		case c.Feed != "" && c == silence.Conditions{Feed: c.Feed}:
			b.Feeds = append(b.Feeds, c.Feed)
		}
	}
	return b
}

// addFalseAlarms adds the offenders that people have judged to be none.
func (b *Barred) addFalseAlarms(ctx context.Context, base OffenderBase) error {
	return eachFalseAlarm(ctx, base.List, func(a netip.Addr) bool {
		b.Prefixes = append(b.Prefixes, netip.PrefixFrom(a, a.BitLen()))
		return true
	})
}

// from gives what must never be blocked: by the set, and by people.
func (b *Barred) from(t *lookup.Table) (*netipx.IPSet, error) {
	never, err := t.Untouchable()
	if err != nil || len(b.Prefixes) == 0 {
		return never, err
	}
	var all netipx.IPSetBuilder
	all.AddSet(never)
	for _, p := range b.Prefixes {
		all.AddPrefix(p)
	}
	return all.IPSet()
}

// Which offenders are blocked if nothing else is asked for.
const (
	seenSeverity = event.Medium
	seenFor      = 7 * 24 * time.Hour
)

// seenFilter reads the filters of incidents, with the defaults of exports.
func seenFilter(v url.Values, o *choice.Options, now time.Time) (incident.Filter, error) {
	f, err := incident.ParseFilter(v)
	if err != nil {
		return f, err
	}
	if !v.Has("severity") {
		f.MinSeverity = seenSeverity
	}
	if f.LastAfter.IsZero() && f.LastBefore.IsZero() && f.FirstAfter.IsZero() && f.FirstBefore.IsZero() {
		f.LastAfter = now.Add(-seenFor).Truncate(time.Second)
	}
	f.Feeds, f.Categories = o.Feeds, o.Categories
	return f, nil
}

// ExportSeen makes a block list of offenders that were in contact with us. The table has what
// must never be blocked. Parameters are filters of incidents.
func ExportSeen(ctx context.Context, t *lookup.Table, base OffenderBase, barred Barred, parameters url.Values, to *target.Target, o choice.Options, now time.Time) (*Listing, error) {
	if to.TakesNames() {
		return nil, fmt.Errorf("set: %s has names, which feeds list; use it with --set (set=1 in a request)", to.Name)
	}
	f, err := seenFilter(parameters, &o, now)
	if err != nil {
		return nil, err
	}
	never, err := barred.from(t)
	if err != nil {
		return nil, err
	}
	o.Without = barred.Feeds
	maker, err := export.NewMaker(to.Can, never, o, seenAbout(&f), now)
	if err != nil {
		return nil, err
	}
	var s export.Seen
	if err := base.Blockable(ctx, f, func(i *incident.Incident) error {
		s = export.Seen{Addr: i.Offender, Contacts: i.Contacts, First: i.First, Last: i.Last, Listings: s.Listings[:0]}
		for _, l := range i.Listings {
			s.Listings = append(s.Listings, intel.Indicator{Feed: l.Feed, Category: l.Category, TLP: l.TLP, Score: l.Score, FirstSeen: l.First, LastSeen: l.Last, Expires: seenUntil(i.Last, &f, now)})
		}
		maker.Add(&s)
		return nil
	}); err != nil {
		return nil, observe.Unavailable("incidents: " + err.Error())
	}
	l := &Listing{to: to, list: maker.Done()}
	l.Report, l.Seen = l.list.Report, true
	return l, nil
}

// seenUntil gives when an offender leaves the list by itself if it is not seen again, rounded up
// so that not every contact is a change; zero = never.
func seenUntil(last time.Time, f *incident.Filter, now time.Time) time.Time {
	if f.LastAfter.IsZero() || !f.LastAfter.Before(now) {
		return time.Time{}
	}
	return last.Add(now.Sub(f.LastAfter)).Truncate(time.Hour).Add(time.Hour)
}

// seenAbout gives the filter for the header, without feed and category, which the options have,
// and without times, which change from list to list.
func seenAbout(f *incident.Filter) string {
	v := f.Values()
	parts := []string{"seen here", "severity " + f.MinSeverity.String()}
	for _, name := range incident.Names() {
		if values := v[name]; len(values) > 0 && name != "severity" && name != "feed" && name != "category" && name != "last-after" {
			parts = append(parts, name+" "+strings.Join(values, "+"))
		}
	}
	return strings.Join(parts, ", ")
}

// errNoIncidents answers where there is no store of incidents.
var errNoIncidents = errors.New("incidents are off or not open, so there are no offenders to list; use --set (set=1 in a request) for all that is listed")

// seen makes a list of offenders that were seen by this instance.
func (d *feedService) seen(ctx context.Context, parameters url.Values, to *target.Target, o choice.Options) (*Listing, error) {
	base, err := d.base()
	if err != nil {
		return nil, observe.Unavailable(err.Error()) // no fault of whoever asks
	}
	if base == nil {
		return nil, observe.Unavailable(errNoIncidents.Error())
	}
	barred, err := d.barred()
	if err != nil {
		return nil, observe.Unavailable(err.Error())
	}
	return ExportSeen(ctx, d.store.Load(), base, barred, parameters, to, o, d.now())
}

// base gives the store of incidents, nil where there is none.
func (d *feedService) base() (OffenderBase, error) {
	if d.offenders == nil {
		return nil, nil
	}
	return d.offenders()
}

// barred gives what people have decided.
func (d *feedService) barred() (Barred, error) {
	if d.quiet == nil {
		return Barred{}, nil
	}
	return d.quiet()
}

// barredAll adds the false alarms: of those no list of the set has anything either.
func (d *feedService) barredAll(ctx context.Context) (Barred, error) {
	b, err := d.barred()
	if err != nil {
		return b, err
	}
	base, err := d.base()
	if err != nil || base == nil {
		return b, err
	}
	return b, b.addFalseAlarms(ctx, base)
}

// offenders gives the store, nil where no incidents are kept. A store that cannot be asked now is
// an error: a list without it would have what people have judged to be false alarms.
func (l *incidentLog) offenders() (OffenderBase, error) {
	l.mu.Lock()
	enabled := l.cfg.Enabled
	l.mu.Unlock()
	if !enabled {
		return nil, nil
	}
	s, err := l.ready()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ExportSeenOffline makes a block list of the offenders in the state directory, where no
// instance is running.
func ExportSeenOffline(ctx context.Context, cfg *configs.Config, t *lookup.Table, parameters url.Values, to *target.Target, o choice.Options, now time.Time) (*Listing, error) {
	if !cfg.Incidents.Enabled {
		return nil, errNoIncidents
	}
	desk, err := OpenDesk(ctx, cfg, true, "")
	if err != nil {
		return nil, err
	}
	defer desk.Close(ctx)
	barred, err := barredOffline(cfg)
	if err != nil {
		return nil, err
	}
	return ExportSeen(ctx, t, desk, barred, parameters, to, o, now)
}

// barredOffline gives what people have decided, from the state directory.
func barredOffline(cfg *configs.Config) (Barred, error) { return readBarred(cfg, nil) }

// readBarred reads what people have decided from the file of silences, which has every change
// at once. now is the date that can be trusted, nil = the clock's.
func readBarred(cfg *configs.Config, now func() time.Time) (Barred, error) {
	book, err := readBook(cfg, now)
	if err != nil {
		return Barred{}, err
	}
	return barredBy(book.List(false), book.Prefixes()), nil
}

// barredAllOffline adds the false alarms, as barredAll does in an instance. A state directory
// without a database has none.
func barredAllOffline(ctx context.Context, cfg *configs.Config) (Barred, error) {
	b, err := barredOffline(cfg)
	if err != nil || !cfg.Incidents.Enabled {
		return b, err
	}
	if cfg.Incidents.Database == "" {
		if _, err := os.Stat(IncidentsConfig(cfg).Path); errors.Is(err, fs.ErrNotExist) {
			return b, nil
		}
	}
	desk, err := OpenDesk(ctx, cfg, true, "")
	if err != nil {
		return b, err
	}
	defer desk.Close(ctx)
	return b, b.addFalseAlarms(ctx, desk)
}
