package journal

// makeRoom holds the memory to its bound: what is on the disk goes first, then the
// oldest that is not.
func (j *Journal) makeRoom() {
	j.settleTail()
	for j.tail.bytes > j.cfg.MemoryBytes && len(j.tail.chunks) > 1 {
		i := 0
		if j.tail.chunks[0] == j.writing {
			i = 1
		}
		if i == len(j.tail.chunks)-1 {
			return
		}
		c := j.tail.chunks[i]
		j.stats.DroppedFull += c.end() - c.unwritten()
		j.tail.remove(i)
		j.lose(c.unwritten(), c.end())
	}
}

// settleTail lets go of what every cursor has had.
func (j *Journal) settleTail() {
	floor := j.floor()
	j.tail.settled(floor)
	j.tail.release(j.lent(), max(floor, j.safeTo))
}

// floor gives the number of the oldest event that a cursor still needs.
func (j *Journal) floor() uint64 {
	return j.oldest(func(c *place) uint64 { return c.held().Position })
}

// lent gives the number of the oldest event that a cursor has still to read.
func (j *Journal) lent() uint64 {
	return j.oldest(func(c *place) uint64 { return c.next })
}

// oldest gives the least that any cursor has. While there is none everything is
// needed: the sinks are still to come. Those of sinks that are no longer configured
// need nothing.
func (j *Journal) oldest(number func(*place) uint64) uint64 {
	least, none := j.next, true
	for _, c := range j.places {
		if c.attached || !j.orphaned {
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
func (j *Journal) lose(from, to uint64) {
	for _, c := range j.places {
		if c.next >= from {
			c.skip(to)
		}
	}
}

// first gives the number of the oldest event that is held.
func (j *Journal) first() uint64 {
	if len(j.segments) > 0 {
		return j.segments[0].first
	}
	if len(j.tail.chunks) > 0 {
		return j.tail.chunks[0].first
	}
	return j.next
}
