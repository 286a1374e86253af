package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// writeLoop writes what is due until the journal stops.
func (l *lane) writeLoop() {
	for {
		select {
		case <-l.due:
			l.flush()
		case <-l.quit:
			return
		}
	}
}

// flush writes all that is due, a chunk at a time.
func (l *lane) flush() {
	for {
		if err := l.writeAgain(); err != nil {
			return
		}
		b, from, to := l.piece()
		if b == nil {
			l.tryDisk()
			return
		}
		if err := l.put(b, from, to); err != nil {
			return
		}
	}
}

// piece gives the next records to write, and that they are being written.
func (l *lane) piece() (b []byte, from, to uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleTail()
	c, filling := l.tail.Unwritten(), l.room.waiting() > l.cfg.MemoryBytes/2
	if c == nil || c.Unwritten() >= l.spill.wanted(l.next, filling) || l.resting() {
		return nil, 0, 0
	}
	l.writing = c
	from, to = c.Unwritten(), c.End()
	return c.Bytes(from, to), from, to
}

// resting reports whether the disk has failed just now.
func (l *lane) resting() bool {
	return l.trouble != nil && time.Since(l.tried) < keepEvery/2 && !l.closed
}

// put writes records to the last segment and notes what became of it. Where the
// disk is full and the memory is filling up, the oldest segments make room.
func (l *lane) put(b []byte, from, to uint64) error {
	for {
		err := l.writeSegment(b, from, to)
		if err != nil {
			l.failedToWrite(err)
		}
		if err == nil || !isFull(err) || !l.giveWay() {
			l.done(to, err)
			return err
		}
	}
}

func (l *lane) failedToWrite(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.WriteErrors++
	l.stats.failed(err)
}

// isFull reports whether an error says that there is no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// giveWay removes a segment in favour of what waits in memory.
func (l *lane) giveWay() bool {
	l.mu.Lock()
	old, ok := l.room.giveWay(l)
	l.mu.Unlock()
	l.room.remove(old)
	return ok
}

// done notes the end of a write.
func (l *lane) done(to uint64, err error) {
	l.mu.Lock()
	c := l.writing
	l.writing = nil
	if err != nil {
		l.trouble, l.tried = err, time.Now()
	} else {
		l.trouble = l.again
		c.Wrote(to)
	}
	close(l.wrote)
	l.wrote = make(chan struct{})
	l.wakeAll()
	old := l.room.holdDisk()
	l.mu.Unlock()
	l.room.remove(old)
}

// writeSegment appends b to the last segment, or to a new one when that is full.
// After a failure nothing of b is there.
func (l *lane) writeSegment(b []byte, from, to uint64) error {
	s := l.active
	if s != nil && s.size > 0 && s.size+int64(len(b)) > l.cfg.SegmentBytes {
		l.seal()
		s = nil
	}
	if s == nil {
		var err error
		if s, err = l.newSegment(from); err != nil {
			return err
		}
	}
	if err := writeAll(s.file, b); err != nil {
		if s.file.Truncate(s.size) != nil {
			l.seal() // its end is damaged, and what comes goes elsewhere
		}
		return err
	}
	l.mu.Lock()
	s.size += int64(len(b))
	s.end, s.stamp, s.dirty = to, time.Now(), true
	l.safeTo = min(l.safeTo, from)
	l.stats.Writes++
	l.stats.Written += uint64(len(b))
	l.mu.Unlock()
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
func (l *lane) newSegment(first uint64) (*segment, error) {
	path := record.Path(l.cfg.Dir, first)
	if err := l.checkDir(); err != nil {
		return nil, err
	}
	l.place.Lock() // else a file of that name that is just being removed might be this one
	defer l.place.Unlock()
	file, err := l.disk.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, first: first, end: first, synced: first, stamp: time.Now(), file: file, fresh: true}
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.active = s
	l.mu.Unlock()
	return s, nil
}

// seal ends the active segment; the next sync closes it.
func (l *lane) seal() {
	l.mu.Lock()
	empty := l.sealActive()
	l.mu.Unlock()
	l.removeSegments(empty)
}

// sealActive ends the active segment. One without a record is to be removed.
func (l *lane) sealActive() (empty []*segment) {
	if s := l.active; s != nil && s.size == 0 {
		l.segments = l.segments[:len(l.segments)-1]
		empty = []*segment{s}
	}
	l.active = nil
	return empty
}

// bytes gives the size of all segments.
func (l *lane) bytes() (total int64) {
	for _, s := range l.segments {
		total += s.size
	}
	return total
}

// cut takes the n oldest segments out of the journal. Cursors that are not past
// them lose the events, and reason counts those that any of them had still to get.
func (l *lane) cut(n int, reason *uint64) []*segment {
	if n == 0 {
		return nil
	}
	old := l.segments[:n:n]
	end := old[n-1].end
	if lent := max(l.lent(), old[0].first); lent < end {
		*reason += end - lent - l.gone.within(lent, end)
	}
	l.gone.forget(end)
	l.segments = slices.Clone(l.segments[n:])
	l.lose(0, end)
	l.safeTo = l.safe()
	if slices.Contains(old, l.active) {
		l.active = nil
	}
	return old
}

// removeSegments removes files that the journal has let go of. It is not called under
// the lock.
func (l *lane) removeSegments(old []*segment) {
	for _, s := range old {
		l.closeSegment(s)
		l.removeFile(s.path)
	}
}

// removeFile removes a file unless a segment or a cursor has its path again. What cannot
// be removed now is tried again later.
func (l *lane) removeFile(path string) {
	l.place.Lock()
	defer l.place.Unlock()
	l.mu.Lock()
	used := slices.ContainsFunc(l.segments, func(s *segment) bool { return s.path == path })
	for _, c := range l.places {
		used = used || c.path == path
	}
	l.mu.Unlock()
	if used {
		return
	}
	err := l.disk.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leftovers = append(l.leftovers, path)
	l.setTrouble(troubleRemove, err)
}

// removeLeftovers tries again to remove what could not be removed.
func (l *lane) removeLeftovers() {
	l.mu.Lock()
	left := l.leftovers
	l.leftovers = nil
	l.troubles[troubleRemove] = nil
	l.mu.Unlock()
	for _, path := range left {
		l.removeFile(path)
	}
}

// closeSegment closes the file of a segment that is not written to any more.
func (l *lane) closeSegment(s *segment) {
	l.mu.Lock()
	file := s.file
	s.file = nil
	l.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
}
