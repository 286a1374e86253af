package retro

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A past is a history in memory: files of rows, and rows that have not been flushed yet.
type past struct {
	mu      sync.Mutex
	files   []pastFile // oldest first
	held    []row.Row
	since   time.Time // of what is held
	off     bool
	broken  error
	flushes int
	reads   int
	bad     []string
	now     func() time.Time
	during  func() // called in each search
}

type pastFile struct {
	Span
	rows []row.Row
}

// set changes what is wrong with it.
func (p *past) set(off bool, broken error, bad ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off, p.broken, p.bad = off, broken, bad
}

// searched gives how many files were read.
func (p *past) searched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

func (p *past) On() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.off
}

func (p *past) Keep() time.Duration { return 30 * 24 * time.Hour }

// Flush makes a file, once a minute at most.
func (p *past) Flush(context.Context) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flushes++
	now := p.now()
	if p.broken != nil {
		return time.Time{}, p.broken
	}
	if now.Sub(p.since) < time.Minute {
		return p.since, nil
	}
	p.flush(now)
	return now, nil
}

func (p *past) flush(now time.Time) {
	slices.SortFunc(p.held, func(a, b row.Row) int { return row.Compare(&a, &b) })
	p.files = append(p.files, pastFile{Span{p.since, now}, p.held})
	p.held, p.since = nil, now
}

func (p *past) Search(ctx context.Context, ranges []span.Range, to time.Time, emit func(Span, []row.Row) error, next func() error) (Done, error) {
	p.mu.Lock()
	files := slices.Clone(p.files)
	broken := p.broken
	done := Done{Bad: p.bad}
	during := p.during
	p.mu.Unlock()
	if during != nil {
		during()
	}
	for _, f := range slices.Backward(files) {
		if broken != nil {
			return done, broken
		}
		done.Files++
		p.mu.Lock()
		p.reads++
		p.mu.Unlock()
		var found []row.Row
		for _, r := range f.rows {
			if slices.ContainsFunc(ranges, func(g span.Range) bool {
				return less(r.Outside, g.From) <= 0 && less(g.To, r.Outside) <= 0
			}) && int64(r.First) <= to.Unix() {
				found = append(found, r)
			}
		}
		for part := range slices.Chunk(found, 3) {
			if err := emit(f.Span, part); err != nil {
				return done, err
			}
		}
		if err := next(); err != nil {
			return done, err
		}
	}
	return done, nil
}

// less is positive when a comes before b, negative behind it.
func less(a, b flow.Addr6) int { return -a.Addr().Compare(b.Addr()) }

// A world is a hunter with all that it needs. It lives within synctest.
type world struct {
	t      *testing.T
	dir    string
	fs     disk.FS
	past   *past
	store  *lookup.Store
	policy lookup.Policy
	quiet  []netip.Prefix
	hunter *Hunter

	mu     sync.Mutex
	events []event.Event
	alerts []string
	// publish is called before events are taken; the process dies when it panics.
	publish func([]event.Event)
	refuse  error // of the journal
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "hunt"), fs: disk.OS{}, store: lookup.NewStore()}
	w.past = &past{since: time.Now(), now: time.Now}
	return w
}

func (w *world) start() {
	w.hunter = New(Config{
		Dir: w.dir, Disk: w.fs, History: w.past, Table: w.store.Load, Quiet: func() []netip.Prefix { return w.quiet },
		Publish: func(events []event.Event) error {
			if w.publish != nil {
				w.publish(events)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse != nil {
				return w.refuse
			}
			w.events = append(w.events, slices.Clone(events)...)
			return nil
		},
		Alert: func(name, text string, _ *intel.Indicator) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.alerts = append(w.alerts, name+": "+text)
		},
		Factors: score.DefaultFactors(), Sensor: "test", Now: time.Now, Log: zap.NewNop(),
	})
	if err := w.hunter.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	if err := w.hunter.Stop(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// list puts a set into force: prefixes of a feed, or "own PREFIX", or "PREFIX PORT".
func (w *world) list(entries ...string) {
	b := lookup.NewBuilder(w.policy)
	for _, e := range entries {
		ind, origin := intel.Indicator{Feed: "feodo", Score: 90, Category: "c2"}, lookup.OriginFeed
		var text string
		if n, _ := fmt.Sscanf(e, "own %s", &text); n == 1 {
			origin, ind.Feed = lookup.OriginOperator, "deny"
		} else if n, _ := fmt.Sscanf(e, "%s %d", &text, &ind.Port); n == 0 {
			w.t.Fatal(e)
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a := netip.MustParseAddr(text)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		ind.Prefix = p
		b.Add(ind, origin)
	}
	t, _ := b.Build("v")
	w.store.Swap(t)
	w.hunter.Feed(t, time.Now())
}

// settle lets everything be done that is due within an hour.
func (w *world) settle() {
	time.Sleep(time.Hour)
	synctest.Wait()
}

// flow records that 10.0.0.HOST called an address on a port just now.
func (w *world) flow(host byte, outside string, port uint16, change ...func(*row.Row)) {
	now := uint32(time.Now().Unix())
	r := row.Row{
		Outside: flow.Addr6Of(netip.MustParseAddr(outside)), Inside: flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, 0, host})),
		Protocol: 6, Port: port, Exporter: netip.MustParseAddr("192.0.2.1"), Direction: row.Outbound,
		First: now, Last: now, Flows: 1, PacketsOut: 5, PacketsIn: 4, BytesOut: 500, BytesIn: 400, Sampling: 1,
	}
	for _, f := range change {
		f(&r)
	}
	w.past.mu.Lock()
	defer w.past.mu.Unlock()
	w.past.held = append(w.past.held, r)
}

// flush writes what is held.
func (w *world) flush() {
	w.past.mu.Lock()
	defer w.past.mu.Unlock()
	w.past.flush(time.Now())
}

// merge makes one file of all.
func (w *world) merge() {
	w.past.mu.Lock()
	defer w.past.mu.Unlock()
	p := w.past
	if len(p.files) < 2 {
		return
	}
	var all []row.Row
	for _, f := range p.files {
		all = append(all, f.rows...)
	}
	slices.SortFunc(all, func(a, b row.Row) int { return row.Compare(&a, &b) })
	var merged []row.Row
	for i := range all {
		if n := len(merged); n > 0 && row.Compare(&merged[n-1], &all[i]) == 0 {
			merged[n-1].Add(&all[i])
		} else {
			merged = append(merged, all[i])
		}
	}
	p.files = []pastFile{{Span{p.files[0].From, p.files[len(p.files)-1].To}, merged}}
}

// taken gives the events so far, as text, and forgets them.
func (w *world) taken() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		list = append(list, fmt.Sprintf("%s %s %s:%d %s x%d %dd", e.Indicators[0].Feed, e.Local, e.Offender, e.ServicePort, e.Direction, e.Flows, e.Days))
	}
	w.events = nil
	slices.Sort(list)
	return list
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.taken(); !slices.Equal(got, want) {
		w.t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

var errDisk = errors.New("the disk is broken")

func ids(events []event.Event) (list []uuid.UUID) {
	for _, e := range events {
		list = append(list, e.ID)
	}
	return list
}
