package sinks

import (
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// saveAfter is how long a cursor's move waits to be saved.
	saveAfter = 10 * time.Millisecond
	// saveIdle is the same for a journal with nothing on the disk, where only
	// counters are at stake.
	saveIdle = 10 * time.Minute
)

// attach gives a runner the cursor of that name.
func (j *Journal) attach(name string) (*cursor, error) {
	if len(name) > maxSinkName {
		return nil, fmt.Errorf("sink %.40s…: a name of %d bytes is not allowed, %d are", name, len(name), maxSinkName)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.cursors[name]
	switch {
	case j.closed:
		return nil, ErrStopped
	case c == nil:
		c = newCursor(j.cfg.Dir, name, j.beginning())
		j.cursors[name] = c
	case c.taken:
		return nil, fmt.Errorf("sink %s: there is one of this name already", name)
	}
	c.attached, c.taken, c.unsaved = true, true, true
	signal(j.moved)
	return c, nil
}

// beginning is where a sink starts that is not known. If its cursor may be one that
// could not be read it gets all that is there: rather twice than never.
func (j *Journal) beginning() uint64 {
	if j.badCursors {
		return j.first()
	}
	return max(j.first(), j.undelivered())
}

// undelivered gives the number of the oldest event that any known cursor has still
// to deliver; of the oldest at all when none is known.
func (j *Journal) undelivered() uint64 {
	if len(j.cursors) == 0 {
		return 0
	}
	least := j.next
	for _, c := range j.cursors {
		least = min(least, c.done.Position)
	}
	return least
}

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
	m, next := c.held(), j.readable() // beyond, Append has not returned
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
