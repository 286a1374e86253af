package journal

import (
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

const (
	// attachWithin is how long after the start the places of sinks that are not there
	// yet hold what they need.
	attachWithin = time.Minute
	// keepEvery is the pace of what a lane does by the clock.
	keepEvery = time.Second
)

// A lane holds its events in memory and in a directory of its own, and the places of all
// sinks among them. It numbers them: within a lane events keep their order. What is lost,
// synced, written again or saved in one lane does not concern the other; they share a
// lock and the room, see [Journal].
type lane struct {
	cfg  Config
	what string // of the events, for messages; empty or with a blank behind
	disk *disk.Watch

	due   chan struct{} // one token: there may be something to write
	moved chan struct{} // one token: a place has moved
	quit  chan struct{}
	work  sync.WaitGroup

	// No call to the disk is made under mu, for Append and Stats need it. The others are
	// of goroutines that may wait for the disk. They are taken before mu.
	saving gate // of the places' files
	place  gate // of making the directory anew, and of removing files

	mu        *sync.Mutex // the journal's; of all that follows
	room      *room
	lock      disk.File // keeps other processes out; nil without a directory
	closed    bool
	abandoned bool   // the stop did not wait for the disk
	next      uint64 // number of the next event
	tail      record.Tail
	writing   *record.Chunk // being written, without the lock
	segments  []*segment    // the oldest first
	active    *segment      // the last of them, while it is written to
	places    map[string]*place
	orphaned  bool          // places that no runner has taken by now are of sinks that are gone
	known     knownSinks    // by the file of that name
	trouble   error         // why the disk does not take events; nil = it does
	troubles  troubles      // what else is wrong with the disk
	again     error         // why events are to be written again; nil = they are not
	safeTo    uint64        // everything before is on the disk for good, or was never written
	gone      spans         // events that were dropped from memory
	leftovers []string      // files that could not be removed
	rewriting bool          // that is being done, without the lock
	tried     time.Time     // when it was last tried while in trouble
	wrote     chan struct{} // closed, and another made, whenever the writer got on
	spill     spill
	saved     time.Time // when the places were last saved without need
	stats     Stats
}

// A gate is a mutex that is held for as long as the disk likes. Unlike [sync.Mutex] it is
// a wait that testing/synctest understands.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// Lock waits until the gate is free.
func (g gate) Lock() { g <- struct{}{} }

// Unlock frees it.
func (g gate) Unlock() { <-g }

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
		l.wakeAll()
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
		n := l.onlyInMemory(0)
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

// unwritten gives the number of the first event that waits for the disk.
func (l *lane) unwritten() uint64 {
	if c := l.tail.Unwritten(); c != nil {
		return c.Unwritten()
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

// onlyInMemory counts the events from number on that are not on the disk.
func (l *lane) onlyInMemory(number uint64) (n uint64) {
	for _, c := range l.tail.Chunks {
		if from := max(number, c.Unwritten()); from < c.End() {
			n += c.End() - from
		}
	}
	return n
}

// inTrouble notes that the disk does not take events, and lets sinks have them.
func (l *lane) inTrouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = err
	l.stats.failed(err)
	l.wakeAll()
}

func (l *lane) wakeAll() {
	for _, c := range l.places {
		signal(c.wake)
	}
}
