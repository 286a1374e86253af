package history

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// Deps are what a history needs of others. Functions are called by any goroutine.
type Deps struct {
	Root  string // folder of the files, within one that is there
	Edge  bool   // files and limits for a small machine
	Homes []home.Home
	Sites []string // names, by the numbers of Homes
	// Sampling are the rates that the operator sets for exporters.
	Sampling map[netip.Addr]uint32
	// Exclude are prefixes that are left out beside those of the configuration.
	Exclude []netip.Prefix
	// Program and Home are for readers of the files: name and version, the home networks.
	Program, Home string
	// Now is the wall clock, by which flows are dated when they are received, Unsynced
	// whether it cannot be trusted.
	Now      func() time.Time
	Unsynced func() bool
	// Pressure reports whether memory is short; nil = it never is.
	Pressure func() bool
	// Note takes news for people; nil = nobody reads them.
	Note func(warn bool, text string)
	Disk disk.FS // nil = that of the machine
	// Space gives the free bytes and the size of a file system; nil = [disk.Space].
	Space func(path string) (free, total uint64, err error)
}

// A keeper is the store of the files, as it is used here.
type keeper interface {
	Write(ctx context.Context, from, to time.Time, tables []*table.Table, names table.Names, lost, folded uint64) error
	Tidy(ctx context.Context) error
	Erase(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error)
	Count(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error)
	Reconfigure(keep time.Duration, maxBytes int64)
	Folder() *folder.Folder
	Stats() store.Stats
	Close() error
}

// A History is the component. Its methods may be called from any goroutine.
type History struct {
	deps Deps
	pool *recorder.Pool
	disk *disk.Watch

	keep     func(store.Config) (keeper, error) // opens the store
	patience time.Duration                      // for tests: see the constant

	mu    sync.Mutex // for the next; never held during a call to the disk
	cfg   Config
	store keeper    // nil = not opened yet; it stays open until the stop
	on    bool      // contacts are kept
	off   string    // why not, although they should be
	bound disk.Size // of all files
	state writing

	changed chan struct{}
	asks    chan ask
	tidy    chan struct{}
	end     context.CancelFunc // of the loops
	abandon context.CancelFunc // of writing
	running sync.WaitGroup
	ended   chan struct{} // nobody answers asks any more
}

// New makes the component.
func New(cfg Config, d Deps) *History {
	if d.Disk == nil {
		d.Disk = disk.OS{}
	}
	if d.Note == nil {
		d.Note = func(bool, string) {}
	}
	if d.Space == nil {
		d.Space = disk.Space
	}
	if d.Pressure == nil {
		d.Pressure = func() bool { return false }
	}
	h := &History{
		deps: d, disk: disk.NewWatch(d.Disk), cfg: cfg, patience: patience,
		keep: func(c store.Config) (keeper, error) { return store.Open(c) },
		pool: recorder.NewPool(recorder.Config{
			Homes: d.Homes, Sites: d.Sites, Caps: cfg.caps(), Early: early,
			Sampling: d.Sampling, Unsynced: d.Unsynced,
		}),
		changed: make(chan struct{}, 1), asks: make(chan ask), tidy: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	h.pool.Enable(false) // until the folder is open, and what is excluded is set
	return h
}

// early is how many full tables a worker may hand over in one interval, each of which makes
// a file; beyond that contacts of scanners are lost first.
const early = 6

// Start opens the folder and starts the goroutines that write and tidy up. A folder that
// cannot be used, or not soon, is no error: everything else is more important than a history.
func (h *History) Start() error {
	loop, end := context.WithCancel(context.Background())
	writing, abandon := context.WithCancel(context.Background())
	h.end, h.abandon = end, abandon
	w, opened := newWriter(h, loop), make(chan struct{})
	h.running.Go(func() {
		defer close(h.ended)
		w.adopt(writing)
		close(opened)
		w.run(writing)
	})
	h.running.Go(func() { h.tidyUp(loop) })
	select {
	case <-opened:
	case <-time.After(h.patience): // a disk that hangs must not keep us from receiving
		h.opening()
	}
	return nil
}

// Stop writes everything that the tables hold; the workers must have ended. What is not on
// the disk when ctx ends is lost, and counted.
func (h *History) Stop(ctx context.Context) error {
	before := h.Stats().Unwritten
	h.end()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		h.abandon()
		return errors.New("stop: the last contacts could not be written to the history in time" + after(h.failure()))
	}
	h.abandon()
	if h.store != nil {
		if err := h.store.Close(); err != nil {
			return err
		}
	}
	if lost := h.Stats().Unwritten - before; lost > 0 {
		return fmt.Errorf("stop: the contacts of %d flows could not be written to the history%s", lost, after(h.failure()))
	}
	return nil
}

// after puts an error behind a colon, if there is one.
func after(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// Tap makes the tap of one worker, before any worker starts.
func (h *History) Tap() collect.Tap { return h.pool.Recorder() }

// Reconfigure takes up everything but the size of the tables. What it means for files is
// done soon afterwards.
func (h *History) Reconfigure(cfg Config) error {
	h.mu.Lock()
	cfg.MaxContacts, cfg.MaxContacts6 = h.cfg.MaxContacts, h.cfg.MaxContacts6
	h.cfg = cfg
	h.mu.Unlock()
	wake(h.changed)
	return nil
}

// wake gives a signal that is not there yet.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Folder gives the files; nil = contacts are not kept.
func (h *History) Folder() *folder.Folder {
	if s := h.current(); s != nil {
		return s.Folder()
	}
	return nil
}

// Keep is how long contacts are kept.
func (h *History) Keep() time.Duration { return h.config().Keep }

// current is the store while contacts are kept, else nil.
func (h *History) current() keeper {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return nil
	}
	return h.store
}

// ErrOff is the error of questions to a history that is not kept.
var ErrOff = errors.New("no contacts are kept: history.enabled is false, or there is no room for them (see flowsnitch status)")

// errLate is the error of an erasure that cannot have everything in memory written before.
var errLate = errors.New("a worker does not hand over the contacts that it has in memory (see the check workers); try again later")

// ErrStopped is the error of questions after the stop.
var ErrStopped = errors.New("the history has stopped")

// Written is the time until which everything that was received is on the disk; zero =
// nothing is yet.
func (h *History) Written() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.until
}

// Flush has the tables written, at most once a minute, and gives the time until which the
// files are complete, as Written does.
func (h *History) Flush(ctx context.Context) (until time.Time, err error) { return h.ask(ctx, false) }

// Rests is how long Flush will write nothing, as it has just done so; 0 = it would write now.
func (h *History) Rests() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state.filed.IsZero() {
		return 0
	}
	return max(soonest-time.Since(h.state.filed), 0)
}

// Erase removes all contacts with an end in the prefixes, those in memory too. It gives how
// many files were written anew, and how many rows they have less.
func (h *History) Erase(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error) {
	s, err := h.flushed(ctx)
	if err != nil {
		return 0, 0, err
	}
	return s.Erase(ctx, prefixes)
}

// Count gives what Erase would remove.
func (h *History) Count(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error) {
	s, err := h.flushed(ctx)
	if err != nil {
		return 0, 0, err
	}
	return s.Count(ctx, prefixes)
}

// flushed gives the files, after everything in memory was written.
func (h *History) flushed(ctx context.Context) (keeper, error) {
	if _, err := h.ask(ctx, true); err != nil && !errors.Is(err, ErrOff) {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.store == nil {
		return nil, ErrOff
	}
	return h.store, nil
}

// An ask is the wish of somebody to have the tables written.
type ask struct {
	now    bool // even if they have just been
	answer chan<- error
}

func (h *History) ask(ctx context.Context, now bool) (time.Time, error) {
	answer := make(chan error, 1)
	select {
	case h.asks <- ask{now, answer}:
	case <-h.ended:
		return h.Written(), ErrStopped
	case <-ctx.Done():
		return h.Written(), ctx.Err()
	}
	select {
	case err := <-answer:
		return h.Written(), err
	case <-ctx.Done():
		return h.Written(), ctx.Err()
	}
}

// tidyUp merges and removes files each time that some were written, until ctx ends.
func (h *History) tidyUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.tidy:
		}
		s := h.current()
		if s == nil {
			continue
		}
		_ = s.Tidy(ctx) // the store makes known what has failed, and tries it again
	}
}
