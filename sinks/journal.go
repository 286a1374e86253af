package sinks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

const (
	// appendWait is the longest time that Append waits for the disk. After it the
	// disk counts as failing until it moves again.
	appendWait = 250 * time.Millisecond
	// keepEvery is the pace of what the journal does by the clock.
	keepEvery = time.Second
	// saveAfter is how long a cursor's move waits to be saved.
	saveAfter = 10 * time.Millisecond
	// saveIdle is the same for a journal with nothing on the disk, where only
	// counters are at stake.
	saveIdle = 10 * time.Minute
)

// The reasons why Append has kept events in memory only.
var (
	ErrStopped  = errors.New("the journal is stopped")
	errSlowDisk = fmt.Errorf("the disk did not take it within %v", appendWait)
)

// A Journal holds events from the moment they exist until every sink has had them,
// in memory and in files, bounded in bytes and age. It numbers them; the sinks
// follow as cursors, see [Runner]. All methods may be called from any goroutine.
type Journal struct {
	cfg JournalConfig
	// The system calls that tests make fail.
	write func(*os.File, []byte) (int, error)
	sync  func(*os.File) error

	lock        *os.File // keeps other processes out; nil without a directory
	start, stop sync.Once
	stopErr     error
	due         chan struct{} // one token: there may be something to write
	moved       chan struct{} // one token: a cursor has moved
	quit        chan struct{}
	work        sync.WaitGroup

	saving sync.Mutex // of the cursors' files, before mu

	mu       sync.Mutex // of all that follows
	closed   bool
	next     uint64 // number of the next event
	tail     tail
	writing  *chunk     // being written, without the lock
	segments []*segment // the oldest first
	active   *segment   // the last of them, while it is written to
	cursors  map[string]*cursor
	trouble  error         // why the disk does not take events; nil = it does
	tried    time.Time     // when it was last tried while in trouble
	wrote    chan struct{} // closed, and another made, whenever the writer got on
	spill    uint64        // with on-outage: everything before is to be written
	probe    probe
	saved    time.Time // when the cursors were last saved without need
	stats    JournalStats
}

// A probe says which events there were at some time.
type probe struct {
	at   time.Time
	next uint64
}

// Start starts writing. Only the first call does anything, and none after Stop.
// Cursors that are attached before do not miss anything, nor do later ones: a new
// one begins with the oldest event that any other still has to deliver.
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
func (j *Journal) Append(events []intel.Event) error {
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

// makeRoom holds the memory to its bound: what is on the disk goes first, then the
// oldest that is not.
func (j *Journal) makeRoom() {
	j.settleTail()
	for j.tail.bytes > j.cfg.MemoryBytes && len(j.tail.chunks) > 1 {
		i := 0
		if j.tail.chunks[0] == j.writing {
			i = 1
		}
		if i == len(j.tail.chunks)-1 {
			return
		}
		c := j.tail.chunks[i]
		j.stats.DroppedFull += c.end() - c.unwritten()
		j.tail.remove(i)
		j.lose(c.unwritten(), c.end())
	}
}

// settleTail lets go of what every cursor has had.
func (j *Journal) settleTail() {
	j.tail.settled(j.floor())
	j.tail.release(j.lent())
}

// floor gives the number of the oldest event that a cursor still needs.
func (j *Journal) floor() uint64 {
	return j.oldest(func(c *cursor) uint64 { return c.held().Position })
}

// lent gives the number of the oldest event that a cursor has still to read.
func (j *Journal) lent() uint64 {
	return j.oldest(func(c *cursor) uint64 { return c.next })
}

// oldest gives the least that any attached cursor has. While there is none
// everything is needed: the sinks are still to come. A cursor whose sink is no
// longer configured needs nothing.
func (j *Journal) oldest(number func(*cursor) uint64) uint64 {
	least, none := j.next, true
	for _, c := range j.cursors {
		if c.attached {
			least, none = min(least, number(c)), false
		}
	}
	if none {
		return 0
	}
	return least
}

// lose tells the cursors that the events from one number to before another are no
// more. Those that are not there yet find out when they come.
func (j *Journal) lose(from, to uint64) {
	for _, c := range j.cursors {
		if c.next >= from {
			c.skip(to)
		}
	}
}

// first gives the number of the oldest event that is held.
func (j *Journal) first() uint64 {
	if len(j.segments) > 0 {
		return j.segments[0].first
	}
	if len(j.tail.chunks) > 0 {
		return j.tail.chunks[0].first
	}
	return j.next
}

func (j *Journal) wakeAll() {
	for _, c := range j.cursors {
		signal(c.wake)
	}
}

// Stop ends the journal after its runners. What is only in memory is written,
// unless the durability is memory, and the positions are saved. The error tells
// what was lost for whom. Further calls return the same.
func (j *Journal) Stop(ctx context.Context) error {
	j.stop.Do(func() { j.stopErr = j.shutdown(ctx) })
	return j.stopErr
}

func (j *Journal) shutdown(ctx context.Context) error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.start.Do(func() {}) // never started: there is nothing to wait for
	close(j.quit)
	finished := make(chan error, 1)
	go func() {
		j.work.Wait()
		finished <- j.finish()
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal %s: the disk does not answer: %w", j.cfg.Dir, ctx.Err())
	}
}

// finish writes what is only in memory, counts what cannot be, and saves.
func (j *Journal) finish() error {
	if j.cfg.Durability != InMemory {
		j.mu.Lock()
		j.spill = j.next
		j.mu.Unlock()
		j.flush()
	}
	lost := j.loseMemory()
	j.syncSegments()
	if err := j.saveCursors(true, true); err != nil {
		lost = append(lost, fmt.Errorf("journal: positions not saved, what was delivered comes again: %w", err))
	}
	j.closeFiles()
	return errors.Join(lost...)
}

// loseMemory drops what is in memory only, and tells who did not get it. Cursors
// that are not there yet count it when they come, after the next start.
func (j *Journal) loseMemory() (lost []error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	for _, c := range j.cursors {
		if n := j.onlyInMemory(c.next); n > 0 && c.attached {
			lost = append(lost, fmt.Errorf("sink %s: %d events dropped when the journal stopped", c.name, n))
		}
	}
	for _, c := range j.tail.chunks {
		j.lose(c.unwritten(), c.end())
	}
	for _, c := range j.cursors {
		c.begin()
	}
	return lost
}
