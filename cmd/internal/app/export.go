package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/names"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
)

// ExportPath is where the running instance gives block lists of the set in force: a line
// of JSON, an [Exported], and then the list. The target is the parameter "target"; with "set"
// the list is of all that is listed, else of offenders seen here. The others are those of
// [choice.Parse] and filters of incidents.
const ExportPath = "/export"

// Exported is what has become of the set in a block list.
type Exported struct {
	Report  export.Report `json:"report"`
	Names   *names.Report `json:"names,omitempty"`   // of a list of names
	Seen    bool          `json:"seen,omitempty"`    // the list is of offenders that were seen here
	Missing []string      `json:"missing,omitempty"` // feeds without a complete copy, which the list lacks
}

// errNothing is the error of a list without any entry.
type errNothing string

func (e errNothing) Error() string { return string(e) }

// A Listing is a block list that can be written.
type Listing struct {
	Exported
	to    *target.Target
	list  *export.List
	names *names.List
}

// Write writes the list.
func (l *Listing) Write(w io.Writer) error {
	if l.names != nil {
		return l.to.WriteNames(w, l.names)
	}
	return l.to.Write(w, l.list)
}

// ExportSet makes a block list of a table. feeds are those that it was made of. A table
// without any entry is an error: a list of nothing would open what should stay blocked.
func ExportSet(t *lookup.Table, feeds []fetch.Status, barred Barred, to *target.Target, o choice.Options, now time.Time) (*Listing, error) {
	l := &Listing{Exported: Exported{Missing: missing(feeds)}, to: to}
	if t.Len() == 0 {
		return nil, errNothing("nothing is listed: no list has an entry yet" + lackingText(l.Missing))
	}
	var known []string
	for _, f := range t.Feeds() {
		known = append(known, f.Feed)
	}
	if err := l.knows(known, o.Feeds); err != nil {
		return nil, err
	}
	never, err := barred.from(t)
	if err != nil {
		return nil, err
	}
	o.Without = barred.Feeds
	if l.list, err = export.Make(to.Can, t.Pieces(), never, o, now); err != nil {
		return nil, err
	}
	l.Report, l.list.Lacks = l.list.Report, l.Missing
	return l, nil
}

// knows makes sure that feeds which are asked for are there.
func (l *Listing) knows(known, asked []string) error {
	for _, f := range asked {
		if !slices.Contains(known, f) && !slices.Contains(l.Missing, f) {
			return fmt.Errorf("feed: %q is not in the set; it has %s", f, strings.Join(known, ", "))
		}
	}
	if len(asked) > 0 && !slices.ContainsFunc(asked, func(f string) bool { return slices.Contains(known, f) }) {
		return errors.New("feed: there is no complete copy yet of " + strings.Join(asked, ", "))
	}
	return nil
}

// exportNames makes a block list of the names in the copies of a manager that is loaded.
func exportNames(m *fetch.Manager, cfg *configs.Config, barred Barred, to *target.Target, o choice.Options, now time.Time) (*Listing, error) {
	feeds := m.Status()
	l := &Listing{Exported: Exported{Missing: missing(feeds)}, to: to}
	var known []string
	all := 0
	for i := range feeds {
		if f := &feeds[i]; f.Names > 0 && f.Class == "" {
			known, all = append(known, f.Name), all+f.Names
		}
	}
	if all == 0 {
		return nil, errNothing("nothing is listed: no feed has a domain or host name yet" + lackingText(l.Missing))
	}
	if err := l.knows(known, o.Feeds); err != nil {
		return nil, err
	}
	o.Without = barred.Feeds
	maker, err := names.New(o, allowedNames(cfg, feeds), to.LongestName, now)
	if err != nil {
		return nil, err
	}
	un, err := m.EachName(func(n *fetch.Name) error {
		maker.Add(&names.Listing{Name: n.Name, OfURL: n.OfURL, Feed: n.Feed, Category: n.Category, TLP: n.TLP, Score: n.Score, Expires: n.Expires})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(un.Unread) > 0 { // a list without them would open what should stay blocked
		return nil, observe.Unavailable("the copies of these feeds cannot be read now: " + strings.Join(un.Unread, ", "))
	}
	l.names = maker.Done()
	l.names.Lacks = l.Missing
	r := l.names.Report
	r.Expired += un.Expired + un.Offline + un.LowScore
	r.Refused += un.Bad
	r.Cut += un.Dropped
	l.Names = &r
	return l, nil
}

// ExportOffline makes a block list of local files and of the last good copies, as
// [BuildTable] makes a set. It also gives the state of each feed.
func ExportOffline(ctx context.Context, cfg *configs.Config, lists []string, to *target.Target, o choice.Options, now time.Time) (*Listing, []fetch.Status, error) {
	m := offlineManager(cfg, lists)
	defer m.Stop()
	var barred Barred
	if len(lists) == 0 { // else the state directory has no part in it
		var err error
		if barred, err = barredAllOffline(ctx, cfg); err != nil {
			return nil, nil, err
		}
	}
	if to.TakesNames() {
		if err := m.Load(); err != nil {
			return nil, m.Status(), err
		}
		l, err := exportNames(m, cfg, barred, to, o, now)
		return l, m.Status(), err
	}
	t, _, err := m.Build()
	if err != nil {
		return nil, m.Status(), err
	}
	l, err := ExportSet(t, m.Status(), barred, to, o, now)
	return l, m.Status(), err
}

// missing gives the feeds that have no complete copy yet.
func missing(feeds []fetch.Status) (names []string) {
	for i := range feeds {
		if f := &feeds[i]; f.Class == "" && f.Taken.IsZero() {
			names = append(names, f.Name)
		}
	}
	return names
}

func lackingText(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (there is no complete copy yet of " + strings.Join(names, ", ") + ")"
}

// export answers on the control socket: a line of JSON, then the list.
func (d *feedService) export(w http.ResponseWriter, r *http.Request) {
	x, err := d.exportLocally(r)
	if err != nil {
		d.exports.failed(err)
		observe.Fail(w, err)
		return
	}
	defer x.done()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if json.NewEncoder(w).Encode(x.about) == nil {
		d.exports.send(w, x)
	}
}

// exportLocally makes the list that a request of the control socket asks for. done of it gives
// the place of the client back.
func (d *feedService) exportLocally(r *http.Request) (*exported, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	to := target.Find(q.Get("target"))
	if to == nil {
		return nil, fmt.Errorf("target: %q is not valid; use %s", q.Get("target"), strings.Join(target.Names(), ", "))
	}
	q.Del("target")
	ask, err := readExport(q, to, nil)
	if err != nil {
		return nil, err
	}
	leave, err := d.exports.enter()
	if err != nil {
		return nil, err
	}
	x, err := d.exports.get(r.Context(), "", nil, func() (*Listing, error) { return d.asked(r.Context(), to, ask) })
	if err != nil {
		leave()
		return nil, err
	}
	done := x.done
	x.done = func() { done(); leave() }
	return x, nil
}

// listing makes a block list of what is in force.
func (d *feedService) listing(ctx context.Context, to *target.Target, o choice.Options) (*Listing, error) {
	barred, err := d.barredAll(ctx)
	if err != nil {
		return nil, observe.Unavailable(err.Error()) // no fault of whoever asks
	}
	if !to.TakesNames() {
		return ExportSet(d.store.Load(), d.status().Feeds, barred, to, o, d.now())
	}
	k := d.current.Load()
	done, err := k.use()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := exportNames(k.manager, k.cfg, barred, to, o, d.now())
	if err == nil {
		d.exports.names.Store(l.Names)
	}
	return l, err
}
