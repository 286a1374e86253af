package journal

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// writeLoop writes what is due until the journal stops.
func (l *lane) writeLoop() {
	for {
		select {
		case <-l.due:
			l.flush()
		case <-l.quit:
			return
		}
	}
}

// flush writes all that is due, a chunk at a time.
func (l *lane) flush() {
	for {
		if err := l.writeAgain(); err != nil {
			return
		}
		b, from, to := l.piece()
		if b == nil {
			l.tryDisk()
			return
		}
		if err := l.put(b, from, to); err != nil {
			return
		}
	}
}

// resting reports whether the disk has failed just now.
func (l *lane) resting() bool {
	return l.trouble != nil && time.Since(l.tried) < keepEvery/2 && !l.closed
}

// writeAgain writes what a failed sync has covered, and all behind it, to a new segment
// and syncs that. Until then the journal is in trouble and the memory is kept. An error
// means that nothing can be written now.
func (l *lane) writeAgain() error {
	l.mu.Lock()
	again := l.files.Again()
	if again == nil || l.resting() {
		l.mu.Unlock()
		return again
	}
	from, to := l.files.Doubtful()
	copies, first := l.tail.Copies(from, to)
	l.mu.Unlock()
	err := l.files.Rewrite(copies, first, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble, l.tried = l.files.Again(), time.Now() // a sync may have failed since
	if err != nil {
		l.stats.WriteErrors++
		l.trouble = fmt.Errorf("write again: %w; %w", err, again)
		l.dir.Failed(l.trouble)
		return err
	}
	l.places.Wake()
	return nil
}

// piece gives the next records to write, and that they are being written.
func (l *lane) piece() (b []byte, from, to uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleTail()
	if l.resting() {
		return nil, 0, 0
	}
	return l.tail.Write(l.spill.due(l.next, l.room.waiting() > l.cfg.MemoryBytes/2))
}

// put writes records to the files and notes what became of it. Where the
// disk is full and the memory is filling up, the oldest segments make room.
func (l *lane) put(b []byte, from, to uint64) error {
	for {
		err := l.files.Append(b, from, to)
		if err != nil {
			l.failedToWrite(err)
		}
		if err == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) || !l.giveWay() {
			l.written(to, err)
			return err
		}
	}
}

func (l *lane) failedToWrite(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.WriteErrors++
	l.dir.Failed(err)
}

// giveWay removes a segment in favour of what waits in memory.
func (l *lane) giveWay() bool {
	l.mu.Lock()
	old, ok := l.room.giveWay(l)
	l.mu.Unlock()
	l.room.remove(old)
	return ok
}

// written notes the end of a write.
func (l *lane) written(to uint64, err error) {
	l.mu.Lock()
	if err != nil {
		l.trouble, l.tried = err, time.Now()
		to = 0
	} else {
		l.trouble = l.files.Again()
	}
	l.tail.Wrote(to)
	close(l.wrote)
	l.wrote = make(chan struct{})
	l.places.Wake()
	old := l.room.holdDisk()
	l.mu.Unlock()
	l.room.remove(old)
}

// tryDisk finds out whether a disk that was in trouble takes events again while none is
// to be written. There may never be one: where sinks are quick, they have had each from
// memory before it is its turn.
func (l *lane) tryDisk() {
	l.mu.Lock()
	idle := l.trouble == nil || l.files.Again() != nil || l.resting() || l.closed
	l.mu.Unlock()
	if idle {
		return
	}
	err := l.files.Trial()
	if err != nil {
		l.failedToWrite(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble, l.tried = err, time.Now()
	if err == nil {
		l.trouble = l.files.Again()
	}
	l.places.Wake()
}

// syncLoop brings what was written to the disk, in a goroutine of its own: a card
// takes its time, and neither Append nor the places shall wait for it.
func (l *lane) syncLoop() {
	tick := time.NewTicker(l.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = l.sync() // written again
		case done := <-l.syncs:
			done <- l.sync()
		case <-l.quit:
			return
		}
	}
}

// awaitSync has what was written brought to the disk now, and waits for it.
func (l *lane) awaitSync(within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	done := make(chan error, 1) // the loop never waits for us
	for ask := l.syncs; ; ask = nil {
		select {
		case ask <- done:
		case err := <-done:
			return err
		case <-l.quit:
			return ErrStopped
		case <-timer.C:
			return fmt.Errorf("journal: the disk did not sync %sevents within %v", l.what, within)
		}
	}
}

// sync brings what was written to the disk. What that fails for is written again, and an error
// until it is.
func (l *lane) sync() error {
	err := l.files.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.dir.Failed(err)
	}
	if again := l.files.Again(); again != nil { // else all was written again meanwhile
		if err != nil {
			l.trouble, l.tried = again, time.Time{}
		}
		l.places.Wake()
		signal(l.due)
	}
	return cmp.Or(err, l.files.Again())
}

const (
	// keepEvery is the pace of what a lane does by the clock.
	keepEvery = time.Second
	// saveAfter is how long a place's move waits to be saved.
	saveAfter = 10 * time.Millisecond
)

// keepLoop saves the places soon after they move, and does the rest by the clock.
func (l *lane) keepLoop() {
	pace := min(keepEvery, l.cfg.SpillAfter/4) // looks must not be late by much
	tick := time.NewTicker(pace)
	defer tick.Stop()
	began := time.Now()
	last := began
	for {
		select {
		case <-l.moved:
			select {
			case <-time.After(saveAfter):
				_ = l.places.Save(false, false) // counted
			case <-l.quit:
				return
			}
		case now := <-tick.C:
			l.mu.Lock()
			l.places.Orphan(now.Sub(began))
			l.settleTail()
			l.spill.look(now, l.places.Floor(l.next), l.next, pace)
			l.mu.Unlock()
			l.keep(last, now)
			last = now
			signal(l.due)
		case <-l.quit:
			return
		}
	}
}

// keep does what is due by the clock. last is when it did so before.
func (l *lane) keep(last, now time.Time) {
	l.expire(now)
	l.removeSettled()
	l.places.Forget(now, l.cfg.MaxAge)
	if l.cfg.Dir == "" {
		return
	}
	if l.dir.Check() == nil {
		l.files.FindRemoved()
		l.places.FindRemoved()
	}
	l.dir.RemoveLeft()
	if l.dir.Is(folder.Positions) != nil {
		_ = l.places.Save(false, false) // counted
	}
	if at := folder.Now(l.cfg.Date); at.Distrusts(last) {
		l.files.Redate(at)
	}
}

// expire drops what is too old, on the disk and in memory.
func (l *lane) expire(now time.Time) {
	l.mu.Lock()
	old := l.files.CutOld(now, l.cfg.MaxAge)
	l.lost(old, &l.stats.DroppedOld)
	for _, onDisk := l.files.First(); !onDisk; {
		from, to, ok := l.tail.DropOld(now, l.cfg.MaxAge)
		if !ok {
			break
		}
		if unread := max(l.places.Unread(l.next), from); unread < to {
			l.stats.DroppedOld += to - unread
		}
		l.places.Lose(0, to)
	}
	l.mu.Unlock()
	l.files.Remove(old)
}

// removeSettled removes the segments that every sink has passed, once the disk
// knows that they have: else a power cut would make it look as if they were lost. The one
// being written to goes only when nothing else will be.
func (l *lane) removeSettled() {
	keepActive := l.cfg.Durability == Always
	l.mu.Lock()
	any := l.files.AnyBefore(l.places.SavedFloor(l.next), keepActive)
	l.mu.Unlock()
	if !any || l.places.Save(true, false) != nil {
		return
	}
	l.mu.Lock()
	old := l.files.CutBefore(l.places.SavedFloor(l.next), keepActive)
	l.lost(old, &l.stats.DroppedFull)
	l.mu.Unlock()
	l.files.Remove(old)
}
