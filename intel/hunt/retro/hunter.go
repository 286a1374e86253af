package retro

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/contact"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/jobs"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A History is what is searched. Its methods are called from one goroutine at a time.
type History interface {
	// On reports whether contacts are kept. While they are not nothing is hunted, and what came
	// meanwhile counts as hunted.
	On() bool
	// Keep is how long contacts are kept.
	Keep() time.Duration
	// Flush writes what was received, and gives until when the history is complete on the disk.
	Flush(ctx context.Context) (until time.Time, err error)
	// Search hands over the rows of contacts that touch the time until to and whose outside
	// address is in one of the ranges, see [file.Ranges]: those of one file at a time, with
	// the time over which the file was received. Rows belong to emit for the time of the
	// call. Between files it calls next, whose error ends it as one of emit does.
	Search(ctx context.Context, ranges []span.Range, to time.Time, emit func(received Span, rows []row.Row) error, next func() error) (Done, error)
}

// A Span is the time over which the rows of a file were received.
type Span struct{ From, To time.Time }

// Done is what a search has read.
type Done struct {
	Files int
	Bad   []string // damaged files, whose rows are missing
}

// Config is what a Hunter needs.
type Config struct {
	Dir     string // STATE/hunt
	Disk    disk.FS
	History History
	Table   func() *lookup.Table  // the one in force
	Quiet   func() []netip.Prefix // what is in quarantine
	// Publish puts events into the journal, and returns when they are as safe as its durability
	// allows. With an error a crash may lose them: they do not count as sent, and come again
	// with the same ids.
	Publish func([]event.Event) error
	Alert   func(name, text string, about *intel.Indicator)
	Factors score.Factors
	Sensor  string
	Now     func() time.Time
	Log     *zap.Logger
}

// How a Hunter works.
const (
	maxContacts = 10_000           // of one job, that are sent one by one
	maxSent     = 1_000_000        // ids that are remembered
	maxLive     = 65_536           // contacts with a live hit since the listing
	maxSwaps    = 2                // sets that wait to be compared
	chunk       = 1_000_000        // entries that are searched for at once
	flushEvery  = 15 * time.Second // between looks whether the history is complete
	flushTries  = 20
	firstRetry  = time.Minute
	lastRetry   = time.Hour
	longestRest = time.Second // between files
)

// A Hunter searches the history for what is new in each set. Feed, Live and Stats may be called
// from any goroutine.
type Hunter struct {
	cfg    Config
	folder *jobs.Folder
	fed    bool // a set has come since the start

	mu    sync.Mutex
	swaps []swap
	live  map[contact.ID]struct{}
	stats Stats

	watching atomic.Bool // Live has something to note
	wake     chan struct{}
	cancel   context.CancelFunc
	work     sync.WaitGroup
}

// A swap is a set and when it came into force.
type swap struct {
	table *lookup.Table
	at    time.Time
}

// New makes a hunter.
func New(cfg Config) *Hunter {
	h := &Hunter{cfg: cfg, wake: make(chan struct{}, 1), live: make(map[contact.ID]struct{})}
	h.folder = jobs.New(cfg.Disk, cfg.Dir, h.damaged)
	return h
}

// Start starts the goroutine. Nothing is opened before it does.
func (h *Hunter) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.work.Go(func() { h.run(ctx) })
	return nil
}

// Stop ends a job that is under way, and waits. The job is done again after the next Start.
func (h *Hunter) Stop(context.Context) error {
	if h.cancel != nil {
		h.cancel()
		h.work.Wait()
	}
	return nil
}

// Feed takes a set that has come into force at a time. It does not wait. Where sets come faster
// than they are compared with what is known, those in between are left out.
func (h *Hunter) Feed(t *lookup.Table, at time.Time) {
	h.mu.Lock()
	if len(h.swaps) == maxSwaps {
		h.swaps = h.swaps[:maxSwaps-1]
	}
	h.swaps = append(h.swaps, swap{t, at})
	h.mu.Unlock()
	h.watching.Store(true)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Live takes note of live hits, so that they are not sent as contacts before the listing.
func (h *Hunter) Live(events []event.Event) {
	if !h.watching.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Kind != event.KindHit || e.Retro {
			continue
		}
		id := contact.OfEvent(e)
		if _, known := h.live[id]; !known && len(h.live) == maxLive {
			h.stats.LiveForgotten++
			continue
		}
		h.live[id] = struct{}{}
	}
}

// hasLive reports whether a contact has met a live match since the listing.
func (h *Hunter) hasLive(id contact.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.live[id]
	return ok
}

// run does what there is to do until ctx ends.
func (h *Hunter) run(ctx context.Context) {
	opened, retry := false, firstRetry
	for {
		err := h.turn(ctx, &opened)
		again := make(<-chan time.Time)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.failed(err)
			again = time.After(retry)
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-again:
		}
	}
}

// turn compares the sets that have come, and does all jobs.
func (h *Hunter) turn(ctx context.Context, opened *bool) error {
	if !*opened {
		if err := h.folder.Open(); err != nil {
			return err
		}
		if _, err := h.waiting(); err != nil {
			return err
		}
		*opened = true
	}
	for {
		if err := h.compare(); err != nil {
			return err
		}
		list, err := h.waiting()
		if err != nil {
			return err
		}
		if len(list) == 0 {
			h.rest()
			return nil
		}
		if !h.fed {
			return nil // nothing is in force yet
		}
		err = h.hunt(ctx, list)
		if _, e := h.waiting(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
}

// waiting gives the jobs that wait, from this run or the one before, and notes how many new
// entries they have and since when the oldest of them wait. It is not called while jobs run.
func (h *Hunter) waiting() ([]jobs.Change, error) {
	waiting := h.folder.Waiting()
	now := h.cfg.Now()
	entries, oldest := uint64(0), now
	for _, job := range waiting {
		list, err := h.folder.Read(job)
		if err != nil {
			return nil, err
		}
		for i := range list {
			e := &list[i]
			if e.Until != 0 || e.Quiet {
				continue
			}
			entries++
			if came := time.Unix(int64(e.Since), 0); came.Before(oldest) {
				oldest = came
			}
		}
	}
	if entries == 0 {
		oldest = time.Time{}
	}
	h.note(func(s *Stats) {
		s.Jobs, s.Entries, s.WaitingSince = [2]uint64{uint64(len(waiting)), 0}, entries, oldest
	})
	return waiting, nil
}

// rest forgets what is needed only while there are jobs.
func (h *Hunter) rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.swaps) == 0 {
		h.watching.Store(false)
		clear(h.live)
		h.stats.Failing = false
	}
}

// compare makes jobs of what is new in the sets that have come.
func (h *Hunter) compare() error {
	for {
		h.mu.Lock()
		if len(h.swaps) == 0 {
			h.mu.Unlock()
			return nil
		}
		s := h.swaps[0]
		h.mu.Unlock()
		if err := h.compareOne(s); err != nil {
			return err // and again
		}
		h.mu.Lock()
		h.swaps[0] = swap{} // the table is large
		h.swaps = h.swaps[1:]
		h.mu.Unlock()
		h.fed = true
	}
}

func (h *Hunter) compareOne(s swap) error {
	off := !h.cfg.History.On()
	if off && !h.folder.Exists {
		return nil // nothing is written for nothing
	}
	known, err := h.folder.Current()
	if err != nil {
		return err
	}
	at := jobs.Second(s.at)
	inQuarantine := make(map[netip.Prefix]bool)
	for _, p := range h.cfg.Quiet() {
		inQuarantine[intel.Canonical(p)] = true
	}
	lost := h.folder.Lost
	changed := listed.Diff(known, jobs.Entries(s.table), at, func(p netip.Prefix) bool { return lost || off || inQuarantine[p] })
	if len(changed) == 0 && !lost {
		return nil
	}
	fresh := uint64(0)
	for i := range changed {
		if changed[i].Until == 0 && !changed[i].Quiet {
			fresh++
		}
	}
	if err := h.folder.Add(changed, fresh == 0); err != nil {
		return err
	}
	if fresh == 0 {
		return h.foldUp()
	}
	since := s.at
	h.note(func(s *Stats) { // until waiting looks at the folder
		s.Jobs[0]++
		s.Entries += fresh
		if s.WaitingSince.IsZero() {
			s.WaitingSince = since
		}
	})
	return nil
}

// foldUp keeps the folder small.
func (h *Hunter) foldUp() error {
	before := h.cfg.Now().Add(-h.cfg.History.Keep())
	forgot, err := h.folder.Fold(jobs.Second(before))
	h.note(func(s *Stats) { s.Forgotten += uint64(forgot) })
	return err
}

// hunt does all jobs.
func (h *Hunter) hunt(ctx context.Context, list []jobs.Change) error {
	began := h.cfg.Now()
	h.note(func(s *Stats) { s.Jobs = [2]uint64{0, uint64(len(list))} })
	known, entries, err := h.pending(list)
	if err != nil {
		return err
	}
	h.note(func(s *Stats) { s.Entries = uint64(len(entries)) })
	if len(entries) > 0 && h.cfg.History.On() {
		if err := h.search(ctx, known, entries); err != nil {
			return err
		}
	}
	if err := h.folder.Finish(list); err != nil {
		return err
	}
	h.note(func(s *Stats) {
		s.Done += uint64(len(list))
		s.Seconds = h.cfg.Now().Sub(began).Seconds()
		s.Failing = false
	})
	return h.foldUp()
}

// pending gives all that is known, and of it what the jobs are to find, in order.
func (h *Hunter) pending(changes []jobs.Change) (known, entries []listed.Entry, err error) {
	if known, err = h.folder.Current(); err != nil {
		return nil, nil, err
	}
	fresh := make(map[uint32]bool) // few: one for each set
	for _, job := range changes {
		list, err := h.folder.Read(job)
		if err != nil {
			return nil, nil, err
		}
		for i := range list {
			if list[i].Until == 0 {
				fresh[list[i].Since] = true
			}
		}
	}
	now := jobs.Second(h.cfg.Now())
	for i := range known {
		e := &known[i]
		isFresh := fresh[e.Since]
		e.Since = min(e.Since, now) // the clock was ahead then
		if e.Until == 0 && !e.Quiet && isFresh {
			entries = append(entries, *e)
		}
	}
	return known, entries, nil
}

// flushed waits until the history is complete up to a second.
func (h *Hunter) flushed(ctx context.Context, at uint32) error {
	if err := h.wait(ctx, time.Unix(int64(at), 0).Sub(h.cfg.Now())); err != nil { // less than a second
		return err
	}
	for range flushTries {
		until, err := h.cfg.History.Flush(ctx)
		if err != nil {
			return err
		}
		if until.Unix() >= int64(at) {
			return nil
		}
		if err := h.wait(ctx, flushEvery); err != nil {
			return err
		}
	}
	return errors.New("the history does not write what was received")
}

// wait waits, and meanwhile compares the sets that come.
func (h *Hunter) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-h.wake:
			_ = h.compare() // turn tries again
		}
	}
}
