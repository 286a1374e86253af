package position

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// A Set is the places of all sinks in one lane. Its methods are called under the journal's
// lock, but for Save, Forget, FindRemoved and Close, which use the disk.
type Set struct {
	dir  *folder.Folder
	lane Lane
	// saving is held while files are written, which the disk may hold up. It is taken
	// before mu.
	saving disk.Gate

	mu       *sync.Mutex // the journal's; it guards what follows, and every place
	places   map[string]*Place
	known    known
	orphaned bool      // places that no runner has taken by now are of sinks that are gone
	saved    time.Time // when they were last saved without need
	counts   Counts
}

// Counts count since the places were opened.
type Counts struct{ Saves, SaveErrors uint64 }

// A Lane is what a Set needs to know of the lane when it saves. Its methods are called under
// the lock.
type Lane interface {
	// OnDisk reports whether there are, or may be at any time, events on the disk.
	OnDisk() bool
	// EndFor gives the number that the file of a sink at a position shall give as the next
	// of the lane.
	EndFor(position uint64) uint64
}

// Attach gives a runner the place of the sink of that name, in a lane from first to before
// next. A sink that has none, although it may have had one, gets all that is there: rather
// twice than never. A new sink begins with what another has still to get.
func (s *Set) Attach(name string, wake chan struct{}, first, next uint64, date time.Time) (*Place, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("sink %.40s…: a name of %d bytes is not valid; use at most %d", name, len(name), maxName)
	}
	p := s.places[name]
	if p == nil {
		if s.known.had(name) {
			p = newPlace(s.dir.Path, name, first)
			p.mayRepeat, p.repeats = true, next-p.start
		} else {
			p = newPlace(s.dir.Path, name, max(first, s.undelivered(next)))
		}
		p.since = date.Unix()
		s.known.add(name)
		s.places[name] = p
	} else if p.taken {
		return nil, fmt.Errorf("sink %s: there is one of this name already", name)
	}
	p.attached, p.taken, p.unsaved, p.wake = true, true, true, wake
	return p, nil
}

// undelivered gives the number of the oldest event that any known sink has still
// to get; of the oldest at all when none is known.
func (s *Set) undelivered(next uint64) uint64 {
	if len(s.places) == 0 {
		return 0
	}
	for _, p := range s.places {
		next = min(next, p.done.Position)
	}
	return next
}

// All gives the places, by name.
func (s *Set) All() (list []*Place) {
	for _, name := range slices.Sorted(maps.Keys(s.places)) {
		list = append(list, s.places[name])
	}
	return list
}

// Lose drops the events from one number to before another, which are no more. Places that
// are not there yet find out when they come.
func (s *Set) Lose(from, to uint64) {
	for _, p := range s.places {
		if p.next >= from {
			p.Skip(to)
		}
	}
}

// Settle settles what was dropped where nothing is lent.
func (s *Set) Settle() {
	for _, p := range s.places {
		p.begin()
	}
}

// Wake lets the runners know that there may be something to read.
func (s *Set) Wake() {
	for _, p := range s.places {
		select {
		case p.wake <- struct{}{}:
		default: // a token lies there already
		}
	}
}

// ReadTrouble gives why events of a sink cannot be read now; nil = they can.
func (s *Set) ReadTrouble() error {
	for _, p := range s.All() {
		if p.trouble != nil {
			return p.trouble
		}
	}
	return nil
}

// Counts gives the counters.
func (s *Set) Counts() Counts { return s.counts }

// saveIdle is how long counters wait to be saved while nothing is on the disk.
const saveIdle = 10 * time.Minute

// Save saves the places that have moved; with sync all, and sees to it that the disk has
// them. clean is what the files record of the stop: whether it was a regular one. While nothing is on the disk positions only
// carry the counters over a crash, for which now and then will do.
func (s *Set) Save(sync, clean bool) (err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	list := s.toSave(sync, time.Now())
	s.mu.Unlock()
	if len(list) == 0 && s.dir.Is(folder.Positions) == nil {
		return nil
	}
	err = s.saveKnown() // first: a sink that is known and has no cursor gets too much, not too little
	for _, p := range list {
		err = errors.Join(err, s.save(p, sync, clean))
	}
	s.dir.Note(folder.Positions, err)
	return err
}

// toSave gives the places whose files are behind; with all every one.
func (s *Set) toSave(all bool, now time.Time) (list []*Place) {
	if s.dir.Path == "" {
		return nil
	}
	if !all {
		if !s.lane.OnDisk() && now.Sub(s.saved) < saveIdle {
			return nil
		}
		s.saved = now
	}
	for _, p := range s.places {
		if p.attached && (all || p.unsaved || p.Held() != p.saved) {
			list = append(list, p)
		}
	}
	return list
}

func (s *Set) save(p *Place, sync, clean bool) error {
	s.mu.Lock()
	m := p.Held()
	next := s.lane.EndFor(m.Position)
	p.journal = s.known.Journal
	s.mu.Unlock()
	var err error
	if p.file == nil {
		err = s.dir.Check()
	}
	if err == nil {
		err = p.write(s.dir.Disk, m, next, sync, clean)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.counts.SaveErrors++
		return fmt.Errorf("position of sink %s: %w", p.name, err)
	}
	p.saved, p.unsaved = m, false
	s.counts.Saves++
	return nil
}

// saveKnown saves the list of the sinks if it has changed. Sinks whose file is missing and
// that did not come within the time for it are no longer configured, and leave it.
func (s *Set) saveKnown() error {
	s.mu.Lock()
	if s.orphaned {
		s.known.removeMissing()
	}
	list, saved := s.known.list(), s.known.saved
	s.mu.Unlock()
	if saved {
		return nil
	}
	b, err := appendLine(nil, list, 0)
	if err == nil {
		err = s.dir.Check()
	}
	if err == nil {
		err = disk.Replace(s.dir.Disk, knownPath(s.dir.Path), b, 0o640)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.counts.SaveErrors++
		return fmt.Errorf("list of sinks: %w", err)
	}
	s.known.Sinks = list.Sinks
	s.known.saved = slices.Equal(list.Sinks, s.known.list().Sinks)
	return nil
}

// FindRemoved notices that files were taken away from under the journal: they are made anew.
func (s *Set) FindRemoved() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	list := s.All()
	s.mu.Unlock()
	for _, p := range list {
		if p.file == nil || !s.dir.IsGone(p.path) {
			continue
		}
		_ = p.file.Close()
		p.file = nil
		s.mu.Lock()
		p.unsaved = true
		s.mu.Unlock()
	}
}

// Close closes the files.
func (s *Set) Close() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	list := s.All()
	s.mu.Unlock()
	for _, p := range list {
		if p.file != nil {
			_ = p.file.Close()
		}
	}
}
