package journal

import (
	"errors"
	"fmt"
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
func (j *Journal) attach(name string) (*place, error) {
	if len(name) > maxSinkName {
		return nil, fmt.Errorf("sink %.40s…: a name of %d bytes is not allowed, %d are", name, len(name), maxSinkName)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.places[name]
	switch {
	case j.closed:
		return nil, ErrStopped
	case c == nil:
		c = j.newPlace(name)
		j.places[name] = c
	case c.taken:
		return nil, fmt.Errorf("sink %s: there is one of this name already", name)
	}
	c.attached, c.taken, c.unsaved = true, true, true
	signal(j.moved)
	return c, nil
}

// newPlace makes the cursor of a sink that has none. If its place may have been lost it
// gets all that is there: rather twice than never. A new sink begins with what another
// has still to get.
func (j *Journal) newPlace(name string) (c *place) {
	if j.known.had(name) {
		c = newPlace(j.cfg.Dir, name, j.first())
		c.mayRepeat, c.repeats = true, j.next-c.start
	} else {
		c = newPlace(j.cfg.Dir, name, max(j.first(), j.undelivered()))
	}
	c.since = j.moment().date.Unix()
	j.known.add(name)
	return c
}

// undelivered gives the number of the oldest event that any known cursor has still
// to deliver; of the oldest at all when none is known.
func (j *Journal) undelivered() uint64 {
	if len(j.places) == 0 {
		return 0
	}
	least := j.next
	for _, c := range j.places {
		least = min(least, c.done.Position)
	}
	return least
}

// forgetPlaces removes the cursors of sinks that are long gone from the
// configuration: what they missed is gone as well.
func (j *Journal) forgetPlaces(now time.Time) {
	j.saving.Lock()
	defer j.saving.Unlock()
	var gone []*place
	j.mu.Lock()
	for name, c := range j.places {
		if !c.attached && now.Sub(c.seen) > j.cfg.MaxAge {
			gone = append(gone, c)
			delete(j.places, name)
			j.known.remove(name)
		}
	}
	j.mu.Unlock()
	for _, c := range gone {
		if c.file != nil {
			_ = c.file.Close()
		}
		j.removeFile(c.path)
	}
}

// savePlaces saves the cursors that have moved; with sync all, and sees to it that
// the disk has them. clean is what the files say of the stop.
func (j *Journal) savePlaces(sync, clean bool) (err error) {
	j.saving.Lock()
	defer j.saving.Unlock()
	list := j.toSave(sync)
	j.mu.Lock()
	due := len(list) > 0 || j.troubles[troublePositions] != nil
	j.mu.Unlock()
	if due {
		err = j.saveKnown() // first: a sink that is known and has no cursor gets too much, not too little
	}
	for _, c := range list {
		err = errors.Join(err, j.savePlace(c, sync, clean))
	}
	if due {
		j.note(troublePositions, err)
	}
	return err
}

func (j *Journal) savePlace(c *place, sync, clean bool) error {
	j.mu.Lock()
	m, next := c.held(), j.readable() // beyond, Append has not returned
	if len(j.segments) == 0 && !j.closed {
		next = m.Position // nothing is on the disk that could be missed
	}
	j.mu.Unlock()
	var err error
	if c.file == nil {
		err = j.checkDir()
	}
	if err == nil {
		c.journal = j.known.Journal
		err = c.write(j.disk, m, next, sync, clean)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.stats.SaveErrors++
		return fmt.Errorf("position of sink %s: %w", c.name, err)
	}
	c.saved, c.unsaved = m, false
	j.stats.Saves++
	return nil
}

// toSave gives the cursors whose files are behind; with all every one.
func (j *Journal) toSave(all bool) (list []*place) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cfg.Dir == "" || !all && !j.worthSaving(time.Now()) {
		return nil
	}
	for _, c := range j.places {
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
