package sinks

import (
	"errors"
	"os"
	"time"
)

// keepLoop saves the cursors soon after they move, and does the rest by the clock.
func (j *Journal) keepLoop() {
	tick := time.NewTicker(min(keepEvery, j.cfg.SpillAfter/2))
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-j.moved:
			if !j.rest(saveAfter) {
				return
			}
			_ = j.saveCursors(false, false) // counted
		case now := <-tick.C:
			j.keep(last, now)
			last = now
			signal(j.due)
		case <-j.quit:
			return
		}
	}
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
	j.forgetCursors(now)
	if jumped(last, now) {
		j.redate(now)
	}
}

// probeTail decides whether an outage is on: events of one probe that a cursor
// still needs at the next one have waited too long in memory.
func (j *Journal) probeTail(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	if j.cfg.Durability != OnOutage || now.Sub(j.probe.at) < j.cfg.SpillAfter/2 {
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
	removeSegments(old)
}

// removeSettled removes the segments that every cursor has passed, once the disk
// knows that they have: else a power cut would make it look as if they were lost.
func (j *Journal) removeSettled() {
	j.mu.Lock()
	n := j.settledSegments()
	j.mu.Unlock()
	if n == 0 || j.saveCursors(true, false) != nil {
		return
	}
	j.mu.Lock()
	old := j.cut(j.settledSegments(), &j.stats.DroppedFull)
	j.mu.Unlock()
	removeSegments(old)
}

// settledSegments counts the oldest segments that no cursor needs, by what is
// saved. The one being written to goes only when nothing else will be.
func (j *Journal) settledSegments() (n int) {
	floor := j.oldest(func(c *cursor) uint64 { return c.saved.Position })
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
func (j *Journal) busy(s *segment) bool { return s == j.active && j.writing != nil }

// forgetCursors removes the cursors of sinks that are long gone from the
// configuration: what they missed is gone as well.
func (j *Journal) forgetCursors(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, c := range j.cursors {
		if c.attached || now.Sub(c.seen) <= j.cfg.MaxAge {
			continue
		}
		_ = c.file.Close()
		_ = os.Remove(c.path)
		delete(j.cursors, name)
	}
}

// jumped reports whether the wall clock was set between two times.
func jumped(last, now time.Time) bool {
	wall := now.Round(0).Sub(last.Round(0))
	return (wall - now.Sub(last)).Abs() > time.Minute
}

// redate sets the times of the files to what they are by the clock as it is now.
// A Raspberry Pi has no clock of its own: what it wrote before the time was known
// would look years old after the next start, and be dropped.
func (j *Journal) redate(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		_ = os.Chtimes(s.path, time.Time{}, now.Round(0).Add(-now.Sub(s.stamp)))
	}
}

// saveCursors saves the cursors that have moved; with sync all, and sees to it that
// the disk has them. clean is what the files say of the stop.
func (j *Journal) saveCursors(sync, clean bool) (err error) {
	j.saving.Lock()
	defer j.saving.Unlock()
	for _, c := range j.toSave(sync) {
		err = errors.Join(err, j.saveCursor(c, sync, clean))
	}
	return err
}

func (j *Journal) saveCursor(c *cursor, sync, clean bool) error {
	j.mu.Lock()
	m, next := c.held(), j.next
	if len(j.segments) == 0 && !j.closed {
		next = m.Position // nothing is on the disk that could be missed
	}
	j.mu.Unlock()
	err := c.write(m, next, clean)
	if err == nil && sync {
		err = j.sync(c.file)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.stats.SaveErrors++
		j.stats.failed(err)
		return err
	}
	c.saved, c.unsaved = m, false
	j.stats.Saves++
	return nil
}

// toSave gives the cursors whose files are behind; with all every one.
func (j *Journal) toSave(all bool) (list []*cursor) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cfg.Dir == "" || !all && !j.worthSaving(time.Now()) {
		return nil
	}
	for _, c := range j.cursors {
		if c.attached && (all || c.unsaved || c.held() != c.saved) {
			list = append(list, c)
		}
	}
	return list
}

// worthSaving reports whether positions matter: while nothing is on the disk they
// only carry the counters over a crash, for which now and then will do.
func (j *Journal) worthSaving(now time.Time) bool {
	if j.cfg.Durability == Always || len(j.segments) > 0 || now.Sub(j.saved) >= saveIdle {
		j.saved = now
		return true
	}
	return false
}

// syncLoop brings what was written to the disk, in a goroutine of its own: a card
// takes its time, and neither Append nor the cursors shall wait for it.
func (j *Journal) syncLoop() {
	tick := time.NewTicker(j.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.syncSegments()
		case <-j.quit:
			return
		}
	}
}

// syncSegments syncs the segments that were written to, the directory if there are
// new ones, and closes those that are sealed.
func (j *Journal) syncSegments() {
	files, fresh := j.toSync()
	for _, f := range files {
		j.synced(j.sync(f))
	}
	if fresh {
		j.synced(syncDir(j.cfg.Dir))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s != j.active && !s.dirty && s.file != nil {
			_ = s.file.Close()
			s.file = nil
		}
	}
}

// toSync gives the files that were written to, and whether there are new ones.
func (j *Journal) toSync() (files []*os.File, fresh bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.dirty {
			files = append(files, s.file)
		}
		fresh = fresh || s.fresh
		s.dirty, s.fresh = false, false
	}
	return files, fresh
}

// synced counts a sync.
func (j *Journal) synced(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Syncs++
	if err != nil && !errors.Is(err, os.ErrClosed) { // closed: dropped meanwhile
		j.stats.SyncErrors++
		j.stats.failed(err)
	}
}

// syncDir brings the names in a directory to the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
