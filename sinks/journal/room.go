package journal

import "github.com/flowsnitch/flowsnitch/sinks/journal/segment"

// A room is what the lanes of a journal share: the bytes that may be on the disk and in
// memory. Beyond it the oldest events go, those of the ordinary lane first, of which a
// quarter of the room is kept free for the urgent ones. The journal's lock guards it.
type room struct {
	disk, memory int64
	lanes        [lanes]*lane
	// filled is the number behind the events with which the ordinary lane was filled
	// beyond its part when the journal was opened, as one of before may be. Until they are
	// gone the lane may have the whole room.
	filled uint64
}

// shareRoom has lanes share the room that cfg gives.
func shareRoom(cfg Config, all [lanes]*lane) {
	r := &room{disk: cfg.MaxBytes, memory: cfg.MemoryBytes, lanes: all}
	for _, l := range all {
		l.room = r
	}
	if o := all[ordinary]; o.files.Counts().Bytes > notReserved(r.disk) {
		r.filled = o.next
	}
}

// notReserved gives the part of the room that ordinary events may have.
func notReserved(all int64) int64 { return all - all/4 }

// holdMemory holds the memory to its bound: what is on the disk goes first, then the
// oldest ordinary events, then the oldest urgent ones.
func (r *room) holdMemory() {
	u, o := r.lanes[urgent], r.lanes[ordinary]
	if u.tail.Bytes+o.tail.Bytes <= notReserved(r.memory) {
		return
	}
	u.settleTail()
	o.settleTail()
	free := func() int64 { return r.memory - u.tail.Bytes - o.tail.Bytes }
	for free() < 0 && (u.drop(true) || o.drop(true)) {
	}
	for (free() < 0 || o.tail.Bytes > notReserved(r.memory)) && o.drop(false) {
	}
	for free() < 0 && u.drop(false) {
	}
}

// waiting gives the bytes in memory that are not on the disk.
func (r *room) waiting() (n int64) {
	for _, l := range r.lanes {
		n += l.tail.Waiting()
	}
	return n
}

// holdDisk holds the files to their bound. It cuts off the oldest segments that exceed it,
// which are to be removed.
func (r *room) holdDisk() (old removals) {
	u, o := r.lanes[urgent], r.lanes[ordinary]
	part := notReserved(r.disk)
	if o.first() < r.filled {
		part = r.disk
	}
	old[ordinary] = o.cutOver(min(part, r.disk-u.files.Counts().Bytes))
	old[urgent] = u.cutOver(r.disk - o.files.Counts().Bytes)
	return old
}

// giveWay cuts off the oldest segment in favour of what waits in the memory of a lane, for
// the disk is full; of the lane itself only when the ordinary lane has none.
func (r *room) giveWay(to *lane) (old removals, ok bool) {
	if r.waiting() <= r.memory/2 {
		return old, false
	}
	for _, i := range []int{ordinary, urgent} {
		l := r.lanes[i]
		if i == urgent && l != to {
			continue
		}
		if old[i], ok = l.files.CutOne(); ok {
			l.lost(old[i], &l.stats.DroppedFull)
			return old, true
		}
	}
	return old, false
}

// removals are segments that were cut off, by lane. They are removed without the lock.
type removals [lanes]segment.Cut

func (r *room) remove(old removals) {
	for i, l := range r.lanes {
		l.files.Remove(old[i])
	}
}

// drop drops the oldest events in memory, if there are enough; with written only those that
// are on the disk.
func (l *lane) drop(written bool) bool {
	from, to, ok := l.tail.Drop(written)
	if ok {
		l.stats.DroppedFull += to - from
		l.places.Lose(from, to)
	}
	return ok
}

// cutOver cuts off the oldest segments that exceed some bytes.
func (l *lane) cutOver(most int64) segment.Cut {
	old := l.files.CutOver(most)
	l.lost(old, &l.stats.DroppedFull)
	return old
}
