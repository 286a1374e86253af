package intake

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// A Committer writes a batch, exactly once however often it is given events: a [store.Store].
type Committer interface {
	Commit(ctx context.Context, b *batch.Batch) (store.Committed, error)
}

// Config sets when to commit.
type Config struct {
	Every time.Duration // at the latest after this time
	// MaxContacts and MaxBytes are what is held at most: then there is a commit at once.
	MaxContacts, MaxBytes int
	Now                   func() time.Time // nil = the clock
}

// DefaultConfig commits once a minute; on a small machine every five. A commit takes about as
// much memory as what is held, and the cache of the database 24 MB, or 3 on a small machine: all
// in all less than 64 and 8 MB.
func DefaultConfig(edge bool) Config {
	if edge {
		return Config{Every: 5 * time.Minute, MaxContacts: 4_000, MaxBytes: 3 << 19}
	}
	return Config{Every: time.Minute, MaxContacts: 60_000, MaxBytes: 24 << 20}
}

// A TakenError means that there was no commit though it is time for one; it is tried again
// when Send is called again. The first Taken events of the call are held all the same; the
// others are not.
type TakenError struct {
	Taken int
	Err   error
}

// Error gives the reason.
func (e *TakenError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *TakenError) Unwrap() error { return e.Err }

// ErrSlow means that a commit has not ended in the time that the caller had. It goes on.
var ErrSlow = errors.New("the database has not ended a commit yet")

// A commit is given up after commitLimit, for instance when the network ends without a word.
// After a failed one there is a pause.
const (
	commitLimit = 10 * time.Minute
	pause       = 5 * time.Second
)

// An Intake is the side of the journal: one goroutine calls Send, Held and Close. Stats may be
// called from any.
type Intake struct {
	cfg   Config
	to    Committer
	batch batch.Batch // while a commit runs, it is that of its goroutine
	held  int
	next  time.Time // of the commit
	run   *run      // a commit that has not ended, or whose end was not noted; nil = none

	mu    sync.Mutex
	stats Stats
}

// A run is a commit in a goroutine of its own, which ends by itself, because nothing ends a
// call to a disk that hangs.
type run struct {
	begun  time.Time
	early  bool
	cancel context.CancelFunc
	end    chan struct{} // closed when the rest is there
	done   store.Committed
	err    error
}

// Stats are what became of the events since the start.
type Stats struct {
	Committed uint64 // events, repeats included
	Repeats   uint64 // events that had been counted before
	Commits   uint64
	Early     uint64        // commits because there was no more room
	Errors    uint64        // commits that failed, and were or will be tried again
	Error     string        // of the last commit; empty = it succeeded
	Last      time.Time     // the last commit that succeeded; zero = none
	Took      time.Duration // that commit
	Waiting   int           // events held
	Contacts  int           // of the events held
	Bytes     int           // that they take
}

// New makes an intake for a store.
func New(to Committer, cfg Config) *Intake {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Intake{cfg: cfg, to: to, next: cfg.Now().Add(cfg.Every)}
}

// Name is that of the place in the journal.
func (*Intake) Name() string { return "incidents" }

// Held is how many events, the latest of those that Send has taken, no commit has yet.
func (i *Intake) Held() int { return i.held }

// Send takes events, and commits when it is time. It keeps nothing of them that is not
// copied. An error is a [TakenError]: those that it does not count are to be sent again.
func (i *Intake) Send(ctx context.Context, events []event.Event) error {
	if err := i.wait(ctx); err != nil {
		return &TakenError{0, err}
	}
	defer i.show()
	for n := range events {
		if i.full() {
			if err := i.commit(ctx, true); err != nil {
				return &TakenError{n, err}
			}
		}
		i.batch.Add(&events[n])
		i.held++
	}
	if i.held == 0 || i.cfg.Now().Before(i.next) {
		return nil
	}
	if err := i.commit(ctx, false); err != nil {
		return &TakenError{len(events), err}
	}
	return nil
}

// Close commits what is held, within ctx. What is not committed comes again from the journal.
func (i *Intake) Close(ctx context.Context) error {
	err := i.wait(ctx)
	if err == nil && i.held > 0 {
		err = i.commit(ctx, false)
	}
	if i.run != nil {
		i.run.cancel()
	}
	return err
}

func (i *Intake) full() bool {
	return len(i.batch.Contacts) >= i.cfg.MaxContacts || i.batch.Bytes() >= i.cfg.MaxBytes
}

// commit writes what is held, and waits for it as long as ctx lasts.
func (i *Intake) commit(ctx context.Context, early bool) error {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	r := &run{begun: i.cfg.Now(), early: early, cancel: cancel, end: make(chan struct{})}
	i.run = r
	go func() {
		defer close(r.end)
		defer cancel()
		r.done, r.err = i.to.Commit(own, &i.batch)
	}()
	return i.wait(ctx)
}

// wait waits for the end of a commit, if one runs, and notes what it did.
func (i *Intake) wait(ctx context.Context) error {
	r := i.run
	if r == nil {
		return nil
	}
	select {
	case <-r.end:
	case <-ctx.Done():
		i.note(0, ErrSlow)
		return ErrSlow
	}
	i.run = nil
	now := i.cfg.Now()
	if r.err != nil {
		i.next = now.Add(min(pause, i.cfg.Every))
		i.note(1, r.err)
		return r.err
	}
	i.committed(r, now)
	return nil
}

// note shows an error.
func (i *Intake) note(failed uint64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stats.Errors += failed
	i.stats.Error = err.Error()
}

// committed notes a commit, after which nothing is held.
func (i *Intake) committed(r *run, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := &i.stats
	s.Committed += uint64(i.held)
	s.Repeats += r.done.Repeats
	s.Commits++
	if r.early {
		s.Early++
	}
	s.Error, s.Last, s.Took = "", now, now.Sub(r.begun)
	s.Waiting, s.Contacts, s.Bytes = 0, 0, 0
	i.held, i.next = 0, now.Add(i.cfg.Every)
	i.batch.Reset()
}

// show brings the counters of what is held up to date.
func (i *Intake) show() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stats.Waiting, i.stats.Contacts, i.stats.Bytes = i.held, len(i.batch.Contacts), i.batch.Bytes()
}

// Stats gives the counters.
func (i *Intake) Stats() Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stats
}
