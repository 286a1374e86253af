package journal

import (
	"cmp"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// Stats counts what happened to the journal since it was opened. Events
// that were dropped are counted here once, and with every cursor that had still to
// get them, see [sinks.Counts].
type Stats struct {
	Appended  uint64 // events
	Refused   uint64 // events that came after Stop
	Shortened uint64 // events cut because they are larger than 1 MiB, or a text in them than 32 KiB

	Bytes       int64  // of the segments
	Segments    int    // files
	MemoryBytes int64  // of events in memory, written or not
	InMemory    uint64 // events that a sink still needs and that are not on the disk

	Writes      uint64 // calls of write for events
	Written     uint64 // bytes by them
	WriteErrors uint64
	Syncs       uint64
	SyncErrors  uint64
	Saves       uint64 // of cursors
	SaveErrors  uint64
	ReadErrors  uint64
	Rewritten   uint64 // events written again to a new file because a sync had failed
	Stalls      uint64 // calls to the disk that took longer than 5 s, those that still hang included

	DroppedFull uint64 // events not yet delivered to all, over max_bytes or memory_bytes
	DroppedOld  uint64 // the same, over max_age

	Urgent LaneStats // of all these, what is of the urgent lane

	Trouble     string    // why the disk does not take events, positions or syncs now, or hangs; empty = OK
	ReadTrouble string    // why a sink's events cannot be read from the disk now, they wait; empty = they can
	LastError   string    // the latest error, kept after recovery
	LastErrorAt time.Time // when it came
}

// LaneStats are of one lane: how much is in it, and what was lost.
type LaneStats struct {
	Bytes       int64 // of the segments
	MemoryBytes int64
	InMemory    uint64
	DroppedFull uint64
	DroppedOld  uint64
}

// Stats gives the counters at one moment.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	var s Stats
	for i, l := range j.lanes {
		one := l.current()
		if i == urgent {
			s.Urgent = LaneStats{one.Bytes, one.MemoryBytes, one.InMemory, one.DroppedFull, one.DroppedOld}
		}
		s.add(one)
	}
	s.Refused = j.refused
	if s.Trouble == "" {
		if err := j.disk.Hangs(time.Now(), disk.SlowAfter); err != nil {
			s.Trouble = err.Error()
		}
	}
	n, slow, at := j.disk.Slow(time.Now())
	s.Stalls = n
	if at.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = slow, at
	}
	return s
}

// add adds what is counted in a lane. Of the troubles the first stays.
func (s *Stats) add(l Stats) {
	s.Appended += l.Appended
	s.Shortened += l.Shortened
	s.Bytes += l.Bytes
	s.Segments += l.Segments
	s.MemoryBytes += l.MemoryBytes
	s.InMemory += l.InMemory
	s.Writes += l.Writes
	s.Written += l.Written
	s.WriteErrors += l.WriteErrors
	s.Syncs += l.Syncs
	s.SyncErrors += l.SyncErrors
	s.Saves += l.Saves
	s.SaveErrors += l.SaveErrors
	s.ReadErrors += l.ReadErrors
	s.Rewritten += l.Rewritten
	s.DroppedFull += l.DroppedFull
	s.DroppedOld += l.DroppedOld
	s.Trouble = cmp.Or(s.Trouble, l.Trouble)
	s.ReadTrouble = cmp.Or(s.ReadTrouble, l.ReadTrouble)
	if l.LastErrorAt.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = l.LastError, l.LastErrorAt
	}
}

// current gives the counters of a lane, with what there is now.
func (l *lane) current() Stats {
	l.settleTail()
	s, files, saves := l.stats, l.files.Counts(), l.places.Counts()
	s.Bytes, s.Segments, s.MemoryBytes, s.InMemory = files.Bytes, files.Segments, l.tail.Bytes, l.tail.Only(0)
	s.Writes, s.Written, s.Syncs, s.SyncErrors, s.Rewritten = files.Writes, files.Written, files.Syncs, files.SyncErrors, files.Rewritten
	s.Saves, s.SaveErrors = saves.Saves, saves.SaveErrors
	readErrors, at, last := l.dir.Last()
	s.ReadErrors, s.LastErrorAt = readErrors, at
	s.LastError, s.ReadTrouble = text(last), text(l.places.ReadTrouble())
	s.Trouble = cmp.Or(text(l.trouble), text(l.dir.Worst()))
	return s
}

// text gives the text of an error; empty = none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// bytesFrom gives about the size of the events from number on: of the segment
// and the chunk that it lies in a part.
func (l *lane) bytesFrom(number uint64) int64 {
	total, onDisk := l.files.BytesFrom(number)
	return total + l.tail.BytesFrom(max(onDisk, number))
}
