package journal

import "time"

// A spill decides up to which number the events of a lane belong on the disk: with [Always]
// all, with [InMemory] none, with [OnOutage] all that there are when a sink has not had
// events for some time, when the memory is filling up, and at the stop. The journal's lock
// guards it.
type spill struct {
	durability Durability
	after      time.Duration // how long an event waits in memory
	upTo       uint64

	// The latest look whether sinks keep up, and which events there were then.
	looked time.Time
	next   uint64
}

// due gives the number up to which events belong on the disk, of those before next.
func (s *spill) due(next uint64, filling bool) uint64 {
	if s.durability == Always || s.durability == OnOutage && filling {
		s.upTo = next
	}
	return s.upTo
}

// stop wants all on the disk, unless none is to be there.
func (s *spill) stop(next uint64) {
	if s.durability != InMemory {
		s.upTo = next
	}
}

// look decides whether an outage is on: a sink still needs events from floor on that were
// there at the look before. With two looks in the time that an event may wait, the next
// after a tick at the latest, none waits for longer.
func (s *spill) look(now time.Time, floor, next uint64, tick time.Duration) {
	if s.durability != OnOutage || now.Sub(s.looked) < s.after/2-tick {
		return
	}
	if floor < s.next {
		s.upTo = next
	}
	s.looked, s.next = now, next
}
