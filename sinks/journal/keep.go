package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// keepLoop saves the cursors soon after they move, and does the rest by the clock.
func (l *lane) keepLoop() {
	tick := time.NewTicker(l.tick())
	defer tick.Stop()
	began := time.Now()
	last := began
	for {
		select {
		case <-l.moved:
			if !l.rest(saveAfter) {
				return
			}
			_ = l.savePlaces(false, false) // counted
		case now := <-tick.C:
			l.orphan(now.Sub(began))
			l.keep(last, now)
			last = now
			signal(l.due)
		case <-l.quit:
			return
		}
	}
}

// tick is the pace of the clock: looks must not be late by much.
func (l *lane) tick() time.Duration { return min(keepEvery, l.cfg.SpillAfter/4) }

// orphan gives up waiting for the runners of the run before.
func (l *lane) orphan(since time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orphaned = l.orphaned || since >= attachWithin
}

// rest waits; false says that the journal stops.
func (l *lane) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.quit:
		return false
	}
}

// keep does what is due by the clock. last is when it did so before.
func (l *lane) keep(last, now time.Time) {
	l.lookAfterTail(now)
	l.expire(now)
	l.removeSettled()
	l.forgetPlaces(now)
	l.findRemoved()
	l.removeLeftovers()
	l.saveAgain()
	at := l.moment()
	if jumped(last, now) || at.skew().Abs() > time.Minute {
		l.redate(at)
	}
}

// saveAgain saves what could not be saved.
func (l *lane) saveAgain() {
	l.mu.Lock()
	due := l.troubles[troublePositions] != nil
	l.mu.Unlock()
	if due {
		_ = l.savePlaces(false, false) // counted
	}
}

// lookAfterTail lets go of what every sink has had, and notices when one lags.
func (l *lane) lookAfterTail(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleTail()
	l.spill.look(now, l.floor(), l.next, l.tick())
}

// expire drops what is too old, on the disk and in memory.
func (l *lane) expire(now time.Time) {
	l.mu.Lock()
	n := 0
	for n < len(l.segments) && now.Sub(l.segments[n].stamp) > l.cfg.MaxAge && !l.busy(l.segments[n]) {
		n++
	}
	old := l.cut(n, &l.stats.DroppedOld)
	for len(l.segments) == 0 && len(l.tail.Chunks) > 0 {
		c := l.tail.Chunks[0]
		if c == l.writing || now.Sub(c.Stamp) <= l.cfg.MaxAge {
			break
		}
		if lent := max(l.lent(), c.First); lent < c.End() {
			l.stats.DroppedOld += c.End() - lent
		}
		l.tail.Remove(0)
		l.lose(0, c.End())
	}
	l.mu.Unlock()
	l.removeSegments(old)
}

// removeSettled removes the segments that every cursor has passed, once the disk
// knows that they have: else a power cut would make it look as if they were lost.
func (l *lane) removeSettled() {
	l.mu.Lock()
	n := l.settledSegments()
	l.mu.Unlock()
	if n == 0 || l.savePlaces(true, false) != nil {
		return
	}
	l.mu.Lock()
	old := l.cut(l.settledSegments(), &l.stats.DroppedFull)
	l.mu.Unlock()
	l.removeSegments(old)
}

// settledSegments counts the oldest segments that no cursor needs, by what is
// saved. The one being written to goes only when nothing else will be.
func (l *lane) settledSegments() (n int) {
	floor := l.oldest(func(c *place) uint64 { return c.saved.Position })
	for _, s := range l.segments {
		if s.end > floor || l.busy(s) || s == l.active && l.cfg.Durability == Always {
			break
		}
		n++
	}
	return n
}

// busy reports whether a segment is just being written to. While it is, it is the
// writer's.
func (l *lane) busy(s *segment) bool { return l.rewriting || s == l.active && l.writing != nil }

// findRemoved notices that files were taken away from under the journal: what
// comes goes to new ones, for nobody would find it in those.
func (l *lane) findRemoved() {
	l.saving.Lock()
	defer l.saving.Unlock()
	if l.cfg.Dir == "" || l.checkDir() != nil {
		return
	}
	l.mu.Lock()
	active := l.active
	cursors := slices.Collect(maps.Values(l.places))
	l.mu.Unlock()
	if active != nil && l.isGone(active.path) {
		l.mu.Lock()
		var empty []*segment
		if l.active == active && !l.busy(active) {
			l.stats.failed(fmt.Errorf("%s: was removed while in use", active.path))
			empty = l.sealActive()
		}
		l.mu.Unlock()
		l.removeSegments(empty)
	}
	for _, c := range cursors {
		if c.file == nil || !l.isGone(c.path) {
			continue
		}
		_ = c.file.Close()
		c.file = nil
		l.mu.Lock()
		c.unsaved = true
		l.mu.Unlock()
	}
}

func (l *lane) isGone(path string) bool {
	_, err := l.disk.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
