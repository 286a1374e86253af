package history

import (
	"context"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

const (
	// patience is how long the writer waits for the tables of all workers, each of which
	// turns once a second. One that hangs hands its own over later.
	patience = 3 * time.Second
	// soonest is the least time between two intervals that are cut short: for a hunt, or
	// because memory is short.
	soonest = time.Minute
	// again is when a write that has failed is tried again.
	again = time.Minute
	// giveUp is how long tables that cannot be written are kept, from the first attempt on.
	giveUp = 24 * time.Hour
	// jumped is by how much the wall clock must be off after a second for a jump.
	jumped = 30 * time.Second
	// pressureLook is how often the memory is looked at.
	pressureLook = 5 * time.Second
)

// A moment is a time by the wall clock, and by the monotonic one, which goes on when the
// wall clock is set.
type moment struct{ wall, steady time.Time }

// A writer takes the tables over and has them written. It belongs to one goroutine.
type writer struct {
	h    *History
	loop context.Context // ends at the stop

	interval uint32            // the number of the current one
	begun    map[uint32]moment // when intervals began of which tables may come
	complete bool              // all workers have handed over at the last turn
	pending  []recorder.Handed // to be written
	lost     uint64            // flows of tables without contacts
	failed   time.Time         // time of the last failed write, by the steady clock; zero = it succeeded
	failing  time.Time         // when it failed for the first time of those in a row
	looked   time.Time         // when the memory was looked at
}

func newWriter(h *History, loop context.Context) *writer {
	w := &writer{h: h, loop: loop, begun: make(map[uint32]moment)}
	w.begun[0] = w.now()
	return w
}

func (w *writer) now() moment { return moment{w.h.deps.Now().Round(0), time.Now()} }

// run serves until the stop, and then writes what there is. Calls to the store end with
// disk.
func (w *writer) run(disk context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-w.loop.Done():
			w.rest()
			w.complete = true // there are no workers any more
			_ = w.write(disk, w.now())
			w.giveBack()
			return
		case <-tick.C:
			w.tick(disk)
		case t := <-w.h.pool.Handed():
			w.take(t)
			if t.Why == recorder.WhyFull {
				_ = w.write(disk, moment{})
			}
		case a := <-w.h.asks:
			err := w.serve(disk, a.now)
			if a.now && err == nil && !w.complete {
				err = w.turnAgain(disk)
			}
			a.answer <- err
		case <-w.h.changed:
			w.adopt(disk)
		}
	}
}

// rest takes over all tables that there are, after the workers have ended.
func (w *writer) rest() {
	for {
		select {
		case t := <-w.h.pool.Handed():
			w.take(t)
		default:
			for _, t := range w.h.pool.Drain() {
				w.take(t)
			}
			return
		}
	}
}

// tick does what is due.
func (w *writer) tick(ctx context.Context) {
	if w.h.current() == nil {
		w.retryOpen()
		return
	}
	now, since := w.now(), w.begun[w.interval]
	age := now.steady.Sub(since.steady)
	early := false
	if now.steady.Sub(w.looked) >= pressureLook {
		w.looked = now.steady
		early = age >= soonest && w.h.deps.Pressure()
	}
	jump := now.wall.Sub(since.wall) - age
	switch {
	case age >= w.h.config().Flush || early || jump.Abs() > jumped ||
		w.h.config().Flush <= time.Hour && otherHour(since.wall, now.wall):
		_ = w.turn(ctx)
	case len(w.pending) > 0 && now.steady.Sub(w.failed) >= again:
		_ = w.write(ctx, moment{})
	}
}

// otherHour reports whether a full hour, by UTC, lies between two times. No interval of up to
// an hour goes across one: then the hour of a file is that of all of its flows, and what is
// counted by the hour does not depend on how often tables are written.
func otherHour(a, b time.Time) bool { return !a.Truncate(time.Hour).Equal(b.Truncate(time.Hour)) }

// serve has the tables written for somebody, unless that has just been done.
func (w *writer) serve(ctx context.Context, now bool) error {
	switch {
	case w.h.current() == nil:
		return ErrOff
	case !now && w.h.Rests() > 0:
		return w.h.failure()
	}
	return w.turn(ctx)
}

// turn begins a new interval, and writes the tables of the old one.
func (w *writer) turn(ctx context.Context) error {
	at := w.now()
	w.interval = w.h.pool.Turn()
	w.begun[w.interval] = at
	delete(w.begun, w.interval-1000)
	w.collect(w.loop)
	return w.write(ctx, at)
}

// turnAgain is for who must have everything written: a worker whose other table was waiting to
// be written hands its own over now.
func (w *writer) turnAgain(ctx context.Context) error {
	if err := w.turn(ctx); err != nil || w.complete {
		return err
	}
	return errLate
}

// collect takes over the tables of all workers.
func (w *writer) collect(loop context.Context) {
	timeout := time.NewTimer(w.h.patience)
	defer timeout.Stop()
	w.complete = false
	for waiting := w.h.pool.Workers(); waiting > 0; {
		select {
		case t := <-w.h.pool.Handed():
			w.take(t)
			if t.Why == recorder.WhyInterval && t.Next == w.interval {
				waiting--
			}
		case <-timeout.C:
			return
		case <-loop.Done():
			return
		}
	}
	w.complete = true
}

// take keeps a table to be written, or gives one without contacts back at once.
func (w *writer) take(t recorder.Handed) {
	if t.Table == nil || t.Table.Len() == 0 {
		w.lost += t.Counts.Lost
		w.h.pool.Return(t)
		return
	}
	w.pending = append(w.pending, t)
	w.h.note(func(s *writing) { s.waiting = len(w.pending) })
}

// write writes all tables in one file and gives them back. at is when the interval ended;
// zero = it goes on. After an error the tables are kept, and tried again.
func (w *writer) write(ctx context.Context, at moment) error {
	s := w.h.current()
	if s == nil {
		w.giveBack()
		return ErrOff
	}
	// Files get too old without new ones, and if the disk is full those removed make room.
	defer wake(w.h.tidy)
	if len(w.pending) > 0 {
		tables, lost, folded := make([]*table.Table, 0, len(w.pending)), w.lost, uint64(0)
		for _, t := range w.pending {
			tables = append(tables, t.Table)
			lost, folded = lost+t.Counts.Lost, folded+t.Counts.Folded
		}
		from, to := w.span()
		err := s.Write(ctx, from, to, tables, w.h.pool.Names(), lost, folded)
		if err != nil {
			if w.failed = time.Now(); w.failing.IsZero() {
				w.failing = w.failed
			}
			w.h.note(func(s *writing) { s.err = err })
			if w.failed.Sub(w.failing) > giveUp {
				w.giveBack()
				w.failing = time.Time{}
			}
			return err
		}
		for _, t := range w.pending {
			w.h.pool.Return(t)
		}
		w.pending, w.lost, w.failed, w.failing = w.pending[:0], 0, time.Time{}, time.Time{}
		if !at.wall.IsZero() { // not of full tables only
			w.h.note(func(s *writing) { s.filed = time.Now() })
		}
	}
	w.h.note(func(s *writing) {
		s.waiting, s.err = 0, nil
		if w.complete && !at.wall.IsZero() {
			s.until = at.wall
		}
	})
	return nil
}

// oldest is when the oldest table to be written was begun.
func (w *writer) oldest() moment {
	first := w.begun[w.interval]
	for _, t := range w.pending {
		if m, ok := w.begun[t.Interval]; ok && m.steady.Before(first.steady) {
			first = m
		}
	}
	return first
}

// span gives from when to when the tables were filled, in whole seconds. When the clock was set
// meanwhile it is the time by both clocks: what was received a second before that is noticed
// already has the new one, and a file named by the old one alone could be removed at once as
// too old.
func (w *writer) span() (from, to time.Time) {
	first, now := w.oldest(), w.now()
	age := now.steady.Sub(first.steady)
	from, to = first.wall, now.wall
	if other := now.wall.Add(-age); other.Before(from) {
		from = other
	}
	if other := first.wall.Add(age); other.After(to) {
		to = other
	}
	return from.Truncate(time.Second).UTC(), to.Add(time.Second).Truncate(time.Second).UTC()
}

// giveBack gives up the tables that are not written.
func (w *writer) giveBack() {
	var flows uint64
	for _, t := range w.pending {
		flows += t.Counts.Kept + t.Counts.Folded
		w.lost += t.Counts.Lost
		w.h.pool.Return(t)
	}
	w.pending = w.pending[:0]
	w.lost += flows // the next file has them, for hunts to name what is missing
	w.h.note(func(s *writing) { s.waiting, s.lost = 0, s.lost+flows })
}

// adopt puts the configuration into force.
func (w *writer) adopt(ctx context.Context) {
	cfg, s := w.h.config(), w.h.current()
	w.h.pool.SetExclude(slices.Concat(cfg.Exclude, w.h.deps.Exclude))
	switch {
	case cfg.Enabled && s == nil:
		w.open(&cfg)
	case !cfg.Enabled && s != nil:
		w.h.pool.Enable(false)
		_ = w.turn(ctx)
		w.giveBack()
		w.lost = 0 // a file of much later has nothing to do with it
		w.h.close("")
	case !cfg.Enabled:
		w.h.close("")
	default:
		w.h.rebound(&cfg)
		wake(w.h.tidy)
	}
}

// open begins to keep contacts.
func (w *writer) open(cfg *Config) {
	w.failed = time.Now()
	if !w.h.open(cfg) {
		return
	}
	w.failed = time.Time{}
	w.begun[w.interval] = w.now()
	w.h.pool.Enable(true)
	wake(w.h.tidy)
}

// retryOpen tries to open a folder again that could not be used.
func (w *writer) retryOpen() {
	if cfg := w.h.config(); cfg.Enabled && time.Since(w.failed) >= again {
		w.open(&cfg)
	}
}
