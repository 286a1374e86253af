package position

import "time"

// Places outlive their sinks: a sink that is taken out of the configuration leaves one
// behind. What such an orphan had still to get is kept for a while, because the runners
// come one after another when the program starts; then it is not needed any more, and at
// last the place is forgotten.

// AttachWithin is how long after the start the places of sinks that are not there yet hold
// what they need.
const AttachWithin = time.Minute

// Orphan gives up waiting for the runners of the run before, when it is time. since is the
// time since the start.
func (s *Set) Orphan(since time.Duration) { s.orphaned = s.orphaned || since >= AttachWithin }

// Floor gives the number of the oldest event that a sink still needs, of those before next.
func (s *Set) Floor(next uint64) uint64 {
	return s.oldest(next, func(p *Place) uint64 { return p.Held().Position })
}

// Unread gives the number of the oldest event that a sink has still to read.
func (s *Set) Unread(next uint64) uint64 {
	return s.oldest(next, func(p *Place) uint64 { return p.next })
}

// SavedFloor gives the number of the oldest event that a sink may need after a crash.
func (s *Set) SavedFloor(next uint64) uint64 {
	return s.oldest(next, func(p *Place) uint64 { return p.saved.Position })
}

// oldest gives the least that any place has. While there is none everything is needed: the
// sinks are still to come. Orphans need nothing.
func (s *Set) oldest(next uint64, number func(*Place) uint64) uint64 {
	none := true
	for _, p := range s.places {
		if p.attached || !s.orphaned {
			next, none = min(next, number(p)), false
		}
	}
	if none {
		return 0
	}
	return next
}

// Forget removes the places of sinks that are long gone from the configuration: those that
// were last saved more than an age ago. What they missed is gone as well. It uses the disk.
func (s *Set) Forget(now time.Time, age time.Duration) {
	s.saving.Lock()
	defer s.saving.Unlock()
	var gone []*Place
	s.mu.Lock()
	for name, p := range s.places {
		if !p.attached && now.Sub(p.seen) > age {
			gone = append(gone, p)
			delete(s.places, name)
			s.known.remove(name)
		}
	}
	s.mu.Unlock()
	for _, p := range gone {
		if p.file != nil {
			_ = p.file.Close()
		}
		s.dir.Remove(p.path, func() bool { return s.uses(p.path) })
	}
}

// uses reports whether a file is that of a place.
func (s *Set) uses(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		if p.path == path {
			return true
		}
	}
	return false
}
