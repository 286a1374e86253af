package sinks

import "time"

// JournalStats counts what happened to the journal since it was opened. Events
// that were dropped are counted here once, and with every cursor that had still to
// get them, see [CursorStats].
type JournalStats struct {
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

	DroppedFull uint64 // events not yet delivered to all, over max_bytes or memory_bytes
	DroppedOld  uint64 // the same, over max_age

	Trouble     string    // why the disk does not take events now; empty = it does
	LastError   string    // the latest error, kept after recovery
	LastErrorAt time.Time // when it came
}

func (s *JournalStats) failed(err error) {
	s.LastError, s.LastErrorAt = err.Error(), time.Now()
}

// Stats gives the counters at one moment.
func (j *Journal) Stats() JournalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	s := j.stats
	s.Bytes, s.Segments = j.bytes(), len(j.segments)
	s.MemoryBytes, s.InMemory = j.tail.bytes, j.onlyInMemory(0)
	if j.trouble != nil {
		s.Trouble = j.trouble.Error()
	}
	return s
}

// pendingBytes gives about the size of the events from number on: of the segment
// and the chunk that it lies in a part.
func (j *Journal) pendingBytes(number uint64) (total int64) {
	onDisk := number
	for _, s := range j.segments {
		total += share(s.size, s.first, s.end, number)
		onDisk = max(onDisk, s.end)
	}
	for _, c := range j.tail.chunks {
		total += share(int64(len(c.buf)), c.first, c.end(), max(onDisk, number))
	}
	return total
}

// share gives the part of size that lies from number on.
func share(size int64, first, end, number uint64) int64 {
	if number <= first || end <= first {
		return size
	}
	if number >= end {
		return 0
	}
	return int64(float64(size) * float64(end-number) / float64(end-first))
}
