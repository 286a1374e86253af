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
func (j *Journal) keepLoop() {
	tick := time.NewTicker(j.tick())
	defer tick.Stop()
	began := time.Now()
	last := began
	for {
		select {
		case <-j.moved:
			if !j.rest(saveAfter) {
				return
			}
			_ = j.savePlaces(false, false) // counted
		case now := <-tick.C:
			j.orphan(now.Sub(began))
			j.keep(last, now)
			last = now
			signal(j.due)
		case <-j.quit:
			return
		}
	}
}

// tick is the pace of the clock: probes must not be late by much.
func (j *Journal) tick() time.Duration { return min(keepEvery, j.cfg.SpillAfter/4) }

// orphan gives up waiting for the runners of the run before.
func (j *Journal) orphan(since time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.orphaned = j.orphaned || since >= attachWithin
}

// rest waits; false says that the journal stops.
func (j *Journal) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-j.quit:
		return false
	}
}

// keep does what is due by the clock. last is when it did so before.
func (j *Journal) keep(last, now time.Time) {
	j.probeTail(now)
	j.expire(now)
	j.removeSettled()
	j.forgetPlaces(now)
	j.findRemoved()
	j.removeLeftovers()
	j.saveAgain()
	at := j.moment()
	if jumped(last, now) || at.skew().Abs() > time.Minute {
		j.redate(at)
	}
}

// saveAgain saves what could not be saved.
func (j *Journal) saveAgain() {
	j.mu.Lock()
	due := j.troubles[troublePositions] != nil
	j.mu.Unlock()
	if due {
		_ = j.savePlaces(false, false) // counted
	}
}

// probeTail decides whether an outage is on: a cursor still needs events that were
// there at the probe before. With two probes in spill_after none waits for longer.
func (j *Journal) probeTail(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	if j.cfg.Durability != OnOutage || now.Sub(j.probe.at) < j.cfg.SpillAfter/2-j.tick() {
		return
	}
	if j.floor() < j.probe.next {
		j.spill = j.next
	}
	j.probe = probe{now, j.next}
}

// expire drops what is too old, on the disk and in memory.
func (j *Journal) expire(now time.Time) {
	j.mu.Lock()
	n := 0
	for n < len(j.segments) && now.Sub(j.segments[n].stamp) > j.cfg.MaxAge && !j.busy(j.segments[n]) {
		n++
	}
	old := j.cut(n, &j.stats.DroppedOld)
	for len(j.segments) == 0 && len(j.tail.chunks) > 0 {
		c := j.tail.chunks[0]
		if c == j.writing || now.Sub(c.stamp) <= j.cfg.MaxAge {
			break
		}
		if lent := max(j.lent(), c.first); lent < c.end() {
			j.stats.DroppedOld += c.end() - lent
		}
		j.tail.remove(0)
		j.lose(0, c.end())
	}
	j.mu.Unlock()
	j.removeSegments(old)
}

// removeSettled removes the segments that every cursor has passed, once the disk
// knows that they have: else a power cut would make it look as if they were lost.
func (j *Journal) removeSettled() {
	j.mu.Lock()
	n := j.settledSegments()
	j.mu.Unlock()
	if n == 0 || j.savePlaces(true, false) != nil {
		return
	}
	j.mu.Lock()
	old := j.cut(j.settledSegments(), &j.stats.DroppedFull)
	j.mu.Unlock()
	j.removeSegments(old)
}

// settledSegments counts the oldest segments that no cursor needs, by what is
// saved. The one being written to goes only when nothing else will be.
func (j *Journal) settledSegments() (n int) {
	floor := j.oldest(func(c *place) uint64 { return c.saved.Position })
	for _, s := range j.segments {
		if s.end > floor || j.busy(s) || s == j.active && j.cfg.Durability == Always {
			break
		}
		n++
	}
	return n
}

// busy reports whether a segment is just being written to. While it is, it is the
// writer's.
func (j *Journal) busy(s *segment) bool { return j.rewriting || s == j.active && j.writing != nil }

// findRemoved notices that files were taken away from under the journal: what
// comes goes to new ones, for nobody would find it in those.
func (j *Journal) findRemoved() {
	j.saving.Lock()
	defer j.saving.Unlock()
	if j.cfg.Dir == "" || j.checkDir() != nil {
		return
	}
	j.mu.Lock()
	active := j.active
	cursors := slices.Collect(maps.Values(j.places))
	j.mu.Unlock()
	if active != nil && j.isGone(active.path) {
		j.mu.Lock()
		var empty []*segment
		if j.active == active && !j.busy(active) {
			j.stats.failed(fmt.Errorf("%s: was removed while in use", active.path))
			empty = j.sealActive()
		}
		j.mu.Unlock()
		j.removeSegments(empty)
	}
	for _, c := range cursors {
		if c.file == nil || !j.isGone(c.path) {
			continue
		}
		_ = c.file.Close()
		c.file = nil
		j.mu.Lock()
		c.unsaved = true
		j.mu.Unlock()
	}
}

func (j *Journal) isGone(path string) bool {
	_, err := j.disk.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
