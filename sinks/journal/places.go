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

// attach gives a runner the place of the sink of that name. It is called under the lock.
func (l *lane) attach(name string, wake chan struct{}) (*place, error) {
	if len(name) > maxSinkName {
		return nil, fmt.Errorf("sink %.40s…: a name of %d bytes is not valid; use at most %d", name, len(name), maxSinkName)
	}
	c := l.places[name]
	switch {
	case l.closed:
		return nil, ErrStopped
	case c == nil:
		c = l.newPlace(name)
		l.places[name] = c
	case c.taken:
		return nil, fmt.Errorf("sink %s: there is one of this name already", name)
	}
	c.attached, c.taken, c.unsaved, c.wake = true, true, true, wake
	signal(l.moved)
	return c, nil
}

// newPlace makes the cursor of a sink that has none. If its place may have been lost it
// gets all that is there: rather twice than never. A new sink begins with what another
// has still to get.
func (l *lane) newPlace(name string) (c *place) {
	if l.known.had(name) {
		c = newPlace(l.cfg.Dir, name, l.first())
		c.mayRepeat, c.repeats = true, l.next-c.start
	} else {
		c = newPlace(l.cfg.Dir, name, max(l.first(), l.undelivered()))
	}
	c.since = l.moment().date.Unix()
	l.known.add(name)
	return c
}

// undelivered gives the number of the oldest event that any known cursor has still
// to deliver; of the oldest at all when none is known.
func (l *lane) undelivered() uint64 {
	if len(l.places) == 0 {
		return 0
	}
	least := l.next
	for _, c := range l.places {
		least = min(least, c.done.Position)
	}
	return least
}

// forgetPlaces removes the cursors of sinks that are long gone from the
// configuration: what they missed is gone as well.
func (l *lane) forgetPlaces(now time.Time) {
	l.saving.Lock()
	defer l.saving.Unlock()
	var gone []*place
	l.mu.Lock()
	for name, c := range l.places {
		if !c.attached && now.Sub(c.seen) > l.cfg.MaxAge {
			gone = append(gone, c)
			delete(l.places, name)
			l.known.remove(name)
		}
	}
	l.mu.Unlock()
	for _, c := range gone {
		if c.file != nil {
			_ = c.file.Close()
		}
		l.removeFile(c.path)
	}
}

// savePlaces saves the cursors that have moved; with sync all, and sees to it that
// the disk has them. clean is what the files say of the stop.
func (l *lane) savePlaces(sync, clean bool) (err error) {
	l.saving.Lock()
	defer l.saving.Unlock()
	list := l.toSave(sync)
	l.mu.Lock()
	due := len(list) > 0 || l.troubles[troublePositions] != nil
	l.mu.Unlock()
	if due {
		err = l.saveKnown() // first: a sink that is known and has no cursor gets too much, not too little
	}
	for _, c := range list {
		err = errors.Join(err, l.savePlace(c, sync, clean))
	}
	if due {
		l.note(troublePositions, err)
	}
	return err
}

func (l *lane) savePlace(c *place, sync, clean bool) error {
	l.mu.Lock()
	m, next := c.held(), l.readable() // beyond, Append has not returned
	if len(l.segments) == 0 && !l.closed {
		next = m.Position // nothing is on the disk that could be missed
	}
	l.mu.Unlock()
	var err error
	if c.file == nil {
		err = l.checkDir()
	}
	if err == nil {
		c.journal = l.known.Journal
		err = c.write(l.disk, m, next, sync, clean)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.stats.SaveErrors++
		return fmt.Errorf("position of sink %s: %w", c.name, err)
	}
	c.saved, c.unsaved = m, false
	l.stats.Saves++
	return nil
}

// toSave gives the cursors whose files are behind; with all every one.
func (l *lane) toSave(all bool) (list []*place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.Dir == "" || !all && !l.worthSaving(time.Now()) {
		return nil
	}
	for _, c := range l.places {
		if c.attached && (all || c.unsaved || c.held() != c.saved) {
			list = append(list, c)
		}
	}
	return list
}

// worthSaving reports whether positions matter: while nothing is on the disk they
// only carry the counters over a crash, for which now and then will do.
func (l *lane) worthSaving(now time.Time) bool {
	if l.cfg.Durability == Always || len(l.segments) > 0 || now.Sub(l.saved) >= saveIdle {
		l.saved = now
		return true
	}
	return false
}
