package journal

import (
	"maps"
	"slices"
	"time"
)

// Stats counts what happened to the journal since it was opened. Events
// that were dropped are counted here once, and with every cursor that had still to
// get them, see [CursorStats].
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

	Trouble     string    // why the disk does not take events, positions or syncs now, or hangs; empty = all is well
	ReadTrouble string    // why a sink's events cannot be read from the disk now, they wait; empty = they can
	LastError   string    // the latest error, kept after recovery
	LastErrorAt time.Time // when it came
}

func (s *Stats) failed(err error) {
	s.LastError, s.LastErrorAt = err.Error(), time.Now()
}

// Stats gives the counters at one moment.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	s := j.stats
	s.Bytes, s.Segments = j.bytes(), len(j.segments)
	s.MemoryBytes, s.InMemory = j.tail.bytes, j.onlyInMemory(0)
	if err := j.inTroubleWith(); err != nil {
		s.Trouble = err.Error()
	}
	for _, name := range slices.Sorted(maps.Keys(j.places)) {
		if err := j.places[name].trouble; err != nil {
			s.ReadTrouble = err.Error()
			break
		}
	}
	n, slow, at := j.disk.Slow(time.Now())
	s.Stalls = n
	if at.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = slow, at
	}
	return s
}

// inTroubleWith gives the worst that is wrong with the disk.
func (j *Journal) inTroubleWith() error {
	for _, err := range append([]error{j.trouble}, j.troubles[:]...) {
		if err != nil {
			return err
		}
	}
	return j.disk.Hangs(time.Now())
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
