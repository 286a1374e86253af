package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/internal/disk"
)

// writeLoop writes what is due until the journal stops.
func (j *Journal) writeLoop() {
	for {
		select {
		case <-j.due:
			j.flush()
		case <-j.quit:
			return
		}
	}
}

// flush writes all that is due, a chunk at a time.
func (j *Journal) flush() {
	for {
		if err := j.writeAgain(); err != nil {
			return
		}
		b, from, to := j.piece()
		if b == nil {
			j.tryDisk()
			return
		}
		if err := j.put(b, from, to); err != nil {
			return
		}
	}
}

// piece gives the next records to write, and that they are being written.
func (j *Journal) piece() (b []byte, from, to uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settleTail()
	c := j.tail.unwritten()
	if c == nil || c.unwritten() >= j.wanted() || j.resting() {
		return nil, 0, 0
	}
	j.writing = c
	from, to = c.unwritten(), c.end()
	return c.bytes(from, to), from, to
}

// wanted gives the number up to which events belong on the disk.
func (j *Journal) wanted() uint64 {
	switch {
	case j.cfg.Durability == Always:
		return j.next
	case j.cfg.Durability == OnOutage && j.tail.waiting() > j.cfg.MemoryBytes/2:
		j.spill = j.next
	}
	return j.spill
}

// resting reports whether the disk has failed just now.
func (j *Journal) resting() bool {
	return j.trouble != nil && time.Since(j.tried) < keepEvery/2 && !j.closed
}

// put writes records to the last segment and notes what became of it. Where the
// disk is full and the memory is filling up, the oldest segments make room.
func (j *Journal) put(b []byte, from, to uint64) error {
	for {
		err := j.writeSegment(b, from, to)
		if err != nil {
			j.failedToWrite(err)
		}
		if err == nil || !isFull(err) || !j.giveWay() {
			j.done(to, err)
			return err
		}
	}
}

func (j *Journal) failedToWrite(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.WriteErrors++
	j.stats.failed(err)
}

// isFull reports whether an error says that there is no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// giveWay removes the oldest segment in favour of what waits in memory.
func (j *Journal) giveWay() bool {
	j.mu.Lock()
	full := j.tail.waiting() > j.cfg.MemoryBytes/2 && len(j.segments) > 1
	var old []*segment
	if full {
		old = j.cut(1, &j.stats.DroppedFull)
	}
	j.mu.Unlock()
	j.removeSegments(old)
	return full
}

// done notes the end of a write.
func (j *Journal) done(to uint64, err error) {
	j.mu.Lock()
	c := j.writing
	j.writing = nil
	if err != nil {
		j.trouble, j.tried = err, time.Now()
	} else {
		j.trouble = j.again
		c.written = max(c.written, int(to-c.first))
	}
	close(j.wrote)
	j.wrote = make(chan struct{})
	j.wakeAll()
	old := j.tooMany()
	j.mu.Unlock()
	j.removeSegments(old)
}

// writeSegment appends b to the last segment, or to a new one when that is full.
// After a failure nothing of b is there.
func (j *Journal) writeSegment(b []byte, from, to uint64) error {
	s := j.active
	if s != nil && s.size > 0 && s.size+int64(len(b)) > j.cfg.SegmentBytes {
		j.seal()
		s = nil
	}
	if s == nil {
		var err error
		if s, err = j.newSegment(from); err != nil {
			return err
		}
	}
	if err := writeAll(s.file, b); err != nil {
		if s.file.Truncate(s.size) != nil {
			j.seal() // its end is damaged, and what comes goes elsewhere
		}
		return err
	}
	j.mu.Lock()
	s.size += int64(len(b))
	s.end, s.stamp, s.dirty = to, time.Now(), true
	j.safeTo = min(j.safeTo, from)
	j.stats.Writes++
	j.stats.Written += uint64(len(b))
	j.mu.Unlock()
	return nil
}

// writeAll writes all of b, or gives an error.
func writeAll(file disk.File, b []byte) error {
	n, err := file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// newSegment makes the file for records from that number on. A file of that name
// can only be the rest of an attempt that failed.
func (j *Journal) newSegment(first uint64) (*segment, error) {
	path := segmentPath(j.cfg.Dir, first)
	if err := j.checkDir(); err != nil {
		return nil, err
	}
	j.place.Lock() // else a file of that name that is just being removed might be this one
	defer j.place.Unlock()
	file, err := j.disk.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, first: first, end: first, synced: first, stamp: time.Now(), file: file, fresh: true}
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.active = s
	j.mu.Unlock()
	return s, nil
}

// seal ends the active segment; the next sync closes it.
func (j *Journal) seal() {
	j.mu.Lock()
	empty := j.sealActive()
	j.mu.Unlock()
	j.removeSegments(empty)
}

// sealActive ends the active segment. One without a record is to be removed.
func (j *Journal) sealActive() (empty []*segment) {
	if s := j.active; s != nil && s.size == 0 {
		j.segments = j.segments[:len(j.segments)-1]
		empty = []*segment{s}
	}
	j.active = nil
	return empty
}

// tooMany cuts off the oldest segments that exceed the bytes allowed.
func (j *Journal) tooMany() []*segment {
	total, n := j.bytes(), 0
	for n < len(j.segments)-1 && total > j.cfg.MaxBytes {
		total -= j.segments[n].size
		n++
	}
	return j.cut(n, &j.stats.DroppedFull)
}

// bytes gives the size of all segments.
func (j *Journal) bytes() (total int64) {
	for _, s := range j.segments {
		total += s.size
	}
	return total
}

// cut takes the n oldest segments out of the journal. Cursors that are not past
// them lose the events, and reason counts those that any of them had still to get.
func (j *Journal) cut(n int, reason *uint64) []*segment {
	if n == 0 {
		return nil
	}
	old := j.segments[:n:n]
	end := old[n-1].end
	if lent := max(j.lent(), old[0].first); lent < end {
		*reason += end - lent
	}
	j.segments = slices.Clone(j.segments[n:])
	j.lose(0, end)
	j.safeTo = j.safe()
	if slices.Contains(old, j.active) {
		j.active = nil
	}
	return old
}

// removeSegments removes files that the journal has let go of. It is not called under
// the lock.
func (j *Journal) removeSegments(old []*segment) {
	for _, s := range old {
		j.closeSegment(s)
		j.removeFile(s.path)
	}
}

// removeFile removes a file unless a segment or a cursor has its path again. What cannot
// be removed now is tried again later.
func (j *Journal) removeFile(path string) {
	j.place.Lock()
	defer j.place.Unlock()
	j.mu.Lock()
	used := slices.ContainsFunc(j.segments, func(s *segment) bool { return s.path == path })
	for _, c := range j.places {
		used = used || c.path == path
	}
	j.mu.Unlock()
	if used {
		return
	}
	err := j.disk.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leftovers = append(j.leftovers, path)
	j.setTrouble(troubleRemove, err)
}

// removeLeftovers tries again to remove what could not be removed.
func (j *Journal) removeLeftovers() {
	j.mu.Lock()
	left := j.leftovers
	j.leftovers = nil
	j.troubles[troubleRemove] = nil
	j.mu.Unlock()
	for _, path := range left {
		j.removeFile(path)
	}
}

// closeSegment closes the file of a segment that is not written to any more.
func (j *Journal) closeSegment(s *segment) {
	j.mu.Lock()
	file := s.file
	s.file = nil
	j.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
}
