package journal

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/internal/disk"
)

const (
	// appendWait is the longest time that Append waits for the disk. After it the
	// disk counts as failing until it moves again.
	appendWait = 250 * time.Millisecond
	// attachWithin is how long after Start the cursors of sinks that are not there
	// yet hold what they need.
	attachWithin = time.Minute
	// keepEvery is the pace of what the journal does by the clock.
	keepEvery = time.Second
)

// The reasons why Append has kept events in memory only.
var (
	ErrStopped  = errors.New("the journal is stopped")
	errSlowDisk = fmt.Errorf("the disk did not take it within %v", appendWait)
)

// A Journal holds events from the moment they exist until every sink has had them,
// in memory and in files, bounded in bytes and age. It numbers them; the sinks
// follow, each with a [Cursor]. All methods may be called from any goroutine.
type Journal struct {
	cfg  Config
	disk *disk.Watch

	start, stop sync.Once
	stopErr     error
	due         chan struct{} // one token: there may be something to write
	moved       chan struct{} // one token: a cursor has moved
	quit        chan struct{}
	work        sync.WaitGroup

	// No call to the disk is made under mu, for Append and Stats need it. The others are
	// of goroutines that may wait for the disk. They are taken before mu.
	saving gate // of the cursors' files
	place  gate // of making the directory anew, and of removing files

	mu        sync.Mutex // of all that follows
	lock      disk.File  // keeps other processes out; nil without a directory
	closed    bool
	abandoned bool   // the stop did not wait for the disk
	next      uint64 // number of the next event
	tail      tail
	writing   *chunk     // being written, without the lock
	segments  []*segment // the oldest first
	active    *segment   // the last of them, while it is written to
	places    map[string]*place
	orphaned  bool          // cursors that no runner has taken by now are of sinks that are gone
	known     knownSinks    // by the file of that name
	trouble   error         // why the disk does not take events; nil = it does
	troubles  troubles      // what else is wrong with the disk
	again     error         // why events are to be written again; nil = they are not
	safeTo    uint64        // everything before is on the disk for good, or was never written
	leftovers []string      // files that could not be removed
	rewriting bool          // that is being done, without the lock
	tried     time.Time     // when it was last tried while in trouble
	wrote     chan struct{} // closed, and another made, whenever the writer got on
	spill     uint64        // with on-outage: everything before is to be written
	probe     probe
	saved     time.Time // when the cursors were last saved without need
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

// A probe says which events there were at some time.
type probe struct {
	at   time.Time
	next uint64
}

// Start starts writing. Only the first call does anything, and none after Stop.
// Runners may be made before or after; what a sink of the run before still has to
// get is kept for a minute, until its runner is there.
func (j *Journal) Start() {
	j.start.Do(func() {
		j.work.Go(j.writeLoop)
		j.work.Go(j.keepLoop)
		j.work.Go(j.syncLoop)
	})
}

// Append adds events, in order, and returns when they are as safe as the
// durability asks: with [Always] they are in the file, else in memory. The events
// are copied. They exist from then on, and only then sinks see them.
//
// An error says that they are in memory only, for the disk is full, fails or is
// too slow; sinks get them all the same. No more than memory_bytes are held so:
// the oldest go, counted. It never waits longer than a quarter of a second, and
// while the disk is in trouble not at all. After Stop events are refused, counted.
func (j *Journal) Append(events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	j.mu.Lock()
	if j.closed {
		j.stats.Refused += uint64(len(events))
		j.mu.Unlock()
		return ErrStopped
	}
	now := time.Now()
	for i := range events {
		if j.tail.push(j.next, &events[i], now) {
			j.stats.Shortened++
		}
		j.next++
	}
	j.stats.Appended += uint64(len(events))
	number := j.next
	j.makeRoom()
	if j.readable() == j.next {
		j.wakeAll()
	}
	j.mu.Unlock()
	signal(j.due)
	if j.cfg.Durability != Always {
		return nil
	}
	return j.await(number)
}

// await waits until everything before number is on the disk.
func (j *Journal) await(number uint64) error {
	timer := time.NewTimer(appendWait)
	defer timer.Stop()
	for {
		j.mu.Lock()
		trouble, wrote, safe := j.trouble, j.wrote, j.unwritten() >= number
		n := j.onlyInMemory(0)
		j.mu.Unlock()
		switch {
		case safe:
			return nil
		case trouble != nil:
			return fmt.Errorf("journal: %d events in memory only: %w", n, trouble)
		}
		select {
		case <-wrote:
		case <-j.quit:
			return ErrStopped
		case <-timer.C:
			j.inTrouble(errSlowDisk)
		}
	}
}

// unwritten gives the number of the first event that waits for the disk.
func (j *Journal) unwritten() uint64 {
	if c := j.tail.unwritten(); c != nil {
		return c.unwritten()
	}
	return j.next
}

// readable gives the number up to which sinks may read: with durability always
// only what is on the disk, unless that is in trouble.
func (j *Journal) readable() uint64 {
	if j.cfg.Durability == Always && j.trouble == nil {
		return j.unwritten()
	}
	return j.next
}

// onlyInMemory counts the events from number on that are not on the disk.
func (j *Journal) onlyInMemory(number uint64) (n uint64) {
	for _, c := range j.tail.chunks {
		if from := max(number, c.unwritten()); from < c.end() {
			n += c.end() - from
		}
	}
	return n
}

// inTrouble notes that the disk does not take events, and lets sinks have them.
func (j *Journal) inTrouble(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trouble = err
	j.stats.failed(err)
	j.wakeAll()
}

func (j *Journal) wakeAll() {
	for _, c := range j.places {
		signal(c.wake)
	}
}

// signal leaves a token unless one lies there already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
