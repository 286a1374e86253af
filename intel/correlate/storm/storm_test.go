package storm

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

var (
	t0      = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	wide    = netip.MustParsePrefix("62.0.0.0/8")
	narrow  = netip.MustParsePrefix("62.1.2.3/32")
	byHand  = netip.MustParsePrefix("62.9.9.9/32")
	unknown = netip.MustParsePrefix("63.0.0.0/8")
)

// A world is what a watch needs, without feeds and without a correlator.
type world struct {
	mu              sync.Mutex
	share, minFlows int
	inForce         []netip.Prefix
	accepted        []netip.Prefix // never quarantined again
	err             error
	hits            map[netip.Prefix]uint64
	rolledUp        []netip.Prefix
	calls           int // of RollUp
	flows           uint64
}

func (w *world) Limits() (int, int) { return w.share, w.minFlows }

func (w *world) Quarantined() []netip.Prefix {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.inForce)
}

func (w *world) Quarantine(p netip.Prefix, _ string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.inForce, p) || slices.Contains(w.accepted, p) {
		return false, nil
	}
	w.inForce = append(w.inForce, p)
	return true, w.err
}

func (w *world) TakeShares() map[netip.Prefix]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.hits = nil }()
	return maps.Clone(w.hits)
}

func (w *world) RollUp(all []netip.Prefix) { w.rolledUp, w.calls = all, w.calls+1 }

// minute lets a minute pass, and looks.
func (w *world) minute(watch *Watch, i int, flows uint64, hits map[netip.Prefix]uint64) News {
	w.flows += flows
	w.hits = hits
	return watch.Look(t0.Add(time.Duration(i) * Every))
}

func newWorld(t *testing.T) (*world, *Watch) {
	t.Helper()
	b := lookup.NewBuilder(lookup.Policy{})
	b.Add(intel.Indicator{Prefix: wide, Feed: "a", Score: 50}, lookup.OriginFeed)
	b.Add(intel.Indicator{Prefix: narrow, Feed: "b", Score: 50}, lookup.OriginFeed)
	b.Add(intel.Indicator{Prefix: byHand, Feed: "deny", Score: 50}, lookup.OriginOperator)
	table, _ := b.Build("v1")
	store := lookup.NewStore()
	store.Swap(table)
	w := &world{share: 20, minFlows: 100}
	return w, New(w, w, store, func() uint64 { return w.flows })
}

// TestShare: which minutes make a storm, of which entry.
func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		share int
		flows uint64
		hits  map[netip.Prefix]uint64
		want  []netip.Prefix
	}{
		"at the limit":          {20, 1000, map[netip.Prefix]uint64{wide: 200}, []netip.Prefix{wide}},
		"below it":              {20, 1000, map[netip.Prefix]uint64{wide: 199}, nil},
		"each by itself":        {20, 1000, map[netip.Prefix]uint64{wide: 500, narrow: 300}, []netip.Prefix{wide, narrow}},
		"one of two":            {20, 1000, map[netip.Prefix]uint64{wide: 500, narrow: 30}, []netip.Prefix{wide}},
		"too few flows":         {20, 99, map[netip.Prefix]uint64{wide: 99}, nil},
		"just enough flows":     {20, 100, map[netip.Prefix]uint64{wide: 99}, []netip.Prefix{wide}},
		"of the operator":       {20, 1000, map[netip.Prefix]uint64{byHand: 1000}, nil},
		"gone with a newer set": {20, 1000, map[netip.Prefix]uint64{unknown: 1000}, nil},
		"switched off":          {0, 1000, map[netip.Prefix]uint64{wide: 1000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, watch := newWorld(t)
			w.share = c.share
			news := w.minute(watch, 1, c.flows, c.hits)
			var got []netip.Prefix
			for _, s := range news.Found {
				got = append(got, s.Entry.Prefix)
				if s.Entry.Feed == "" || s.Why == "" {
					t.Errorf("%+v", s)
				}
			}
			slices.SortFunc(got, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
			rolled := slices.SortedFunc(slices.Values(w.rolledUp), func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
			if !slices.Equal(got, c.want) || !slices.Equal(rolled, c.want) || len(news.Over)+len(news.Failed) > 0 {
				t.Errorf("%+v, %v rolled up; want %v", news, w.rolledUp, c.want)
			}
		})
	}
}

// TestMinutes: flows and hits are those of one minute, a storm is news once, and what the
// operator has ended is rolled up no longer at the next look.
func TestMinutes(t *testing.T) {
	w, watch := newWorld(t)
	if n := w.minute(watch, 0, 1_000_000, nil); len(n.Found) > 0 {
		t.Fatalf("%+v", n)
	}
	w.flows, w.hits = w.flows+1000, map[netip.Prefix]uint64{wide: 900}
	if n := watch.Look(t0.Add(Every - 1)); len(n.Found) > 0 || w.hits == nil {
		t.Errorf("a minute that is not over was judged: %+v", n)
	}
	n := watch.Look(t0.Add(Every))
	if len(n.Found) != 1 || n.Found[0].Why != "it matched 900 of 1000 flows within a minute" {
		t.Errorf("%+v", n)
	}
	calls := w.calls
	if n := w.minute(watch, 2, 1000, map[netip.Prefix]uint64{wide: 900}); len(n.Found) > 0 || w.calls != calls {
		t.Errorf("it goes on: %+v, rolled up anew %v", n, w.calls != calls)
	}
	w.inForce, w.accepted = nil, []netip.Prefix{wide}
	if n := watch.Look(t0.Add(2*Every + 1)); !slices.Equal(n.Over, []netip.Prefix{wide}) || len(w.rolledUp) > 0 {
		t.Errorf("accepted: %+v, %v rolled up", n, w.rolledUp)
	}
	if n := w.minute(watch, 3, 1000, map[netip.Prefix]uint64{wide: 900}); len(n.Found)+len(n.Over) > 0 || len(w.rolledUp) > 0 {
		t.Errorf("too much again: %+v", n)
	}
}

// TestRestartAndReload: what was in quarantine before is rolled up at the first look, and
// nothing is once the share is 0.
func TestRestartAndReload(t *testing.T) {
	w, watch := newWorld(t)
	w.inForce = []netip.Prefix{narrow}
	if n := watch.Look(t0); len(n.Found)+len(n.Over) > 0 || !slices.Equal(w.rolledUp, []netip.Prefix{narrow}) {
		t.Errorf("%+v, %v rolled up", n, w.rolledUp)
	}
	w.share = 0
	if n := watch.Look(t0.Add(time.Second)); !slices.Equal(n.Over, []netip.Prefix{narrow}) || len(w.rolledUp) > 0 {
		t.Errorf("%+v, %v rolled up", n, w.rolledUp)
	}
}

// TestNotSaved: an entry that could not be saved is in force, and the error is news.
func TestNotSaved(t *testing.T) {
	w, watch := newWorld(t)
	w.err = errors.New("no space left")
	n := w.minute(watch, 1, 1000, map[netip.Prefix]uint64{wide: 900})
	if len(n.Found) != 1 || len(n.Failed) != 1 || n.Failed[0].Error() != "quarantine of entry 62.0.0.0/8: no space left" || len(w.rolledUp) != 1 {
		t.Errorf("%+v, %v rolled up", n, w.rolledUp)
	}
}

// TestLooksOverlap: looks may come at once, and a storm is found once.
func TestLooksOverlap(t *testing.T) {
	w, watch := newWorld(t)
	watch.Look(t0)
	w.flows, w.hits = 1000, map[netip.Prefix]uint64{wide: 900}
	found := make(chan int, 8)
	var all sync.WaitGroup
	for range cap(found) {
		all.Go(func() { found <- len(watch.Look(t0.Add(Every)).Found) })
	}
	all.Wait()
	close(found)
	n := 0
	for one := range found {
		n += one
	}
	if n != 1 {
		t.Errorf("found %d times", n)
	}
}
