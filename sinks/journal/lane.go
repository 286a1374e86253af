package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/memory"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/segment"
)

// A lane holds its events in memory and in a directory of its own, and the places of all
// sinks among them. It numbers them: within a lane events keep their order. What is lost,
// synced, written again or saved in one lane does not concern the other; they share a
// lock and the room, see [Journal].
type lane struct {
	cfg    Config
	what   string // of the events, for messages; empty or with a blank behind
	dir    *folder.Folder
	files  *segment.Files
	places *position.Set // guarded by mu, but for what uses the disk

	due   chan struct{}   // one token: there may be something to write
	moved chan struct{}   // one token: a place has moved
	syncs chan chan error // each gets the outcome of a sync that begins after it was sent
	quit  chan struct{}
	work  sync.WaitGroup

	mu        *sync.Mutex // the journal's; of all that follows
	room      *room
	closed    bool
	abandoned bool   // the stop did not wait for the disk
	next      uint64 // number of the next event
	tail      memory.Tail
	trouble   error         // why the disk does not take events; nil = it does
	tried     time.Time     // when it was last tried while in trouble
	wrote     chan struct{} // closed, and another made, whenever the writer got on
	spill     spill
	stats     Stats
}

// openLane opens what the run before has left in the directory, and adds to the report.
func openLane(cfg Config, what string, d *disk.Watch, mu *sync.Mutex, report *OpenReport) (*lane, error) {
	l := &lane{
		cfg: cfg, what: what, mu: mu,
		spill: spill{durability: cfg.Durability, after: cfg.SpillAfter},
		due:   make(chan struct{}, 1), moved: make(chan struct{}, 1), syncs: make(chan chan error),
		quit: make(chan struct{}), wrote: make(chan struct{}),
	}
	at := folder.Now(cfg.Date)
	var err error
	if l.dir, err = folder.Open(d, cfg.Dir); err != nil {
		return nil, err
	}
	files, found, err := segment.Open(l.dir, cfg.SegmentBytes, at)
	if err != nil {
		l.dir.Close()
		return nil, err
	}
	places, known, err := position.Open(l.dir, l, mu, at)
	if err != nil {
		files.Close()
		l.dir.Close()
		return nil, err
	}
	l.files, l.places = files, places
	// Numbers are not used again: what a crash took is missing between the last record and
	// the first new one, and counted as dropped.
	end := found.End
	l.next = max(found.End, known.End)
	if found.Unreadable != nil {
		l.next = max(l.next, files.Bound(known.End, known.Clean))
		end = l.next
	}
	l.places.Lose(0, l.first())
	report.add(found, known, known.LostBehind(end))
	report.Segments += files.Counts().Segments
	report.Bytes += files.Counts().Bytes
	report.Events += l.next - l.first()
	return l, nil
}

// closeFiles closes all that is open.
func (l *lane) closeFiles() {
	l.files.Close()
	l.places.Close()
	l.dir.Close()
}

// start starts writing.
func (l *lane) start() {
	l.work.Go(l.writeLoop)
	l.work.Go(l.keepLoop)
	l.work.Go(l.syncLoop)
}

// push adds an event.
func (l *lane) push(e *event.Event, now time.Time) {
	if l.tail.Push(l.next, e, now) {
		l.stats.Shortened++
	}
	l.next++
	l.stats.Appended++
}

// offer lets the sinks and the writer know of what was pushed.
func (l *lane) offer() {
	if l.readable() == l.next {
		l.places.Wake()
	}
	signal(l.due)
}

// await waits until everything before number is on the disk, or the time is over.
func (l *lane) await(number uint64, within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		l.mu.Lock()
		trouble, wrote, safe := l.trouble, l.wrote, l.unwritten() >= number
		n := l.tail.Only(0)
		l.mu.Unlock()
		switch {
		case safe:
			return nil
		case trouble != nil:
			return fmt.Errorf("journal: %d %sevents in memory only: %w", n, l.what, trouble)
		}
		select {
		case <-wrote:
		case <-l.quit:
			return ErrStopped
		case <-timer.C:
			l.inTrouble(errSlowDisk)
		}
	}
}

// inTrouble notes that the disk does not take events, and lets sinks have them.
func (l *lane) inTrouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = err
	l.dir.Failed(err)
	l.places.Wake()
}

// first gives the number of the oldest event that is held.
func (l *lane) first() uint64 {
	if number, ok := l.files.First(); ok {
		return number
	}
	if number, ok := l.tail.First(); ok {
		return number
	}
	return l.next
}

// unwritten gives the number of the first event that waits for the disk.
func (l *lane) unwritten() uint64 {
	if number, ok := l.tail.Unwritten(); ok {
		return number
	}
	return l.next
}

// readable gives the number up to which sinks may read: with durability always
// only what is on the disk, unless that is in trouble.
func (l *lane) readable() uint64 {
	if l.cfg.Durability == Always && l.trouble == nil {
		return l.unwritten()
	}
	return l.next
}

// OnDisk is for [position.Lane].
func (l *lane) OnDisk() bool {
	_, any := l.files.First()
	return any || l.cfg.Durability == Always
}

// EndFor is for [position.Lane]. Beyond what can be read Append has not returned.
func (l *lane) EndFor(held uint64) uint64 {
	if _, any := l.files.First(); !any && !l.closed {
		return held // nothing is on the disk that could be missed
	}
	return l.readable()
}

// settleTail lets go of what every sink has had.
func (l *lane) settleTail() {
	floor := l.places.Floor(l.next)
	l.tail.Settled(floor)
	l.tail.Release(l.places.Unread(l.next), max(floor, l.files.Safe()))
}

// lost drops what was cut off the files. Sinks that are not past it lose the events, and
// reason counts those that any of them had still to get.
func (l *lane) lost(c segment.Cut, reason *uint64) {
	if c.End == 0 {
		return
	}
	if unread := max(l.places.Unread(l.next), c.First); unread < c.End {
		*reason += c.End - unread - l.tail.Dropped(unread, c.End)
	}
	l.tail.Forget(c.End)
	l.places.Lose(0, c.End)
}

// shutdown ends the lane within ctx, and gives what was lost for whom.
func (l *lane) shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	finished := make(chan error, 1)
	go func() {
		l.work.Wait()
		finished <- l.finish()
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
	return errors.Join(append(l.loseMemory(), fmt.Errorf("journal %s: the disk does not answer: %w", l.cfg.Dir, ctx.Err()))...)
}

// finish writes what is only in memory, counts what cannot be, and saves.
func (l *lane) finish() error {
	l.mu.Lock()
	l.spill.stop(l.next)
	l.mu.Unlock()
	for range 2 { // a sync that fails is made up for once
		l.flush()
		l.sync()
	}
	l.mu.Lock()
	if l.abandoned {
		l.mu.Unlock()
		return nil
	}
	lost := l.loseMemory()
	l.mu.Unlock()
	if again := l.files.Again(); again != nil {
		lost = append(lost, fmt.Errorf("journal: a power cut may take the latest events: %w", again))
	}
	if err := l.places.Save(true, true); err != nil {
		lost = append(lost, fmt.Errorf("journal: positions not saved, what was delivered comes again: %w", err))
	}
	l.closeFiles()
	return errors.Join(lost...)
}

// loseMemory drops what is in memory only, under the lock, and gives who did not get it. Sinks
// that are not there yet count it when they come, after the next start.
func (l *lane) loseMemory() (lost []error) {
	l.settleTail()
	for _, p := range l.places.All() {
		if n := l.tail.Only(p.Next()); n > 0 && p.Attached() {
			lost = append(lost, fmt.Errorf("sink %s: %d %sevents dropped when the journal stopped", p.Name(), n, l.what))
		}
	}
	for _, span := range l.tail.Unsaved() {
		l.places.Lose(span[0], span[1])
	}
	l.places.Settle()
	return lost
}
