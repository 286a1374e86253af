package journal

// settleTail lets go of what every cursor has had.
func (l *lane) settleTail() {
	floor := l.floor()
	l.tail.Settled(floor)
	l.tail.Release(l.lent(), max(floor, l.safeTo))
}

// floor gives the number of the oldest event that a cursor still needs.
func (l *lane) floor() uint64 {
	return l.oldest(func(c *place) uint64 { return c.held().Position })
}

// lent gives the number of the oldest event that a cursor has still to read.
func (l *lane) lent() uint64 {
	return l.oldest(func(c *place) uint64 { return c.next })
}

// oldest gives the least that any cursor has. While there is none everything is
// needed: the sinks are still to come. Those of sinks that are no longer configured
// need nothing.
func (l *lane) oldest(number func(*place) uint64) uint64 {
	least, none := l.next, true
	for _, c := range l.places {
		if c.attached || !l.orphaned {
			least, none = min(least, number(c)), false
		}
	}
	if none {
		return 0
	}
	return least
}

// lose tells the cursors that the events from one number to before another are no
// more. Those that are not there yet find out when they come.
func (l *lane) lose(from, to uint64) {
	for _, c := range l.places {
		if c.next >= from {
			c.skip(to)
		}
	}
}

// first gives the number of the oldest event that is held.
func (l *lane) first() uint64 {
	if len(l.segments) > 0 {
		return l.segments[0].first
	}
	if len(l.tail.Chunks) > 0 {
		return l.tail.Chunks[0].First
	}
	return l.next
}
