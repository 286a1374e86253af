package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// newSuffix is behind the name of a segment that is not complete yet.
const newSuffix = ".new"

// writeAgain writes what a failed sync has covered, and all behind it, to a new segment
// and syncs that. Until then the journal is in trouble and the memory is kept. What is
// no longer in memory, for it was too much, stays where it is: it can be read as long as
// the kernel has it. An error says that nothing can be written now.
func (l *lane) writeAgain() error {
	copies, s, err := l.beginAgain()
	if s == nil {
		return err
	}
	if len(copies) > 0 {
		err = l.writeWhole(s, copies)
	} else {
		err = l.trial()
	}
	return l.endAgain(s, len(copies) > 0, err)
}

// beginAgain gives the records that are to be written again and the segment for them;
// no segment = there is nothing to do, or it was tried just now.
func (l *lane) beginAgain() (copies [][]byte, fresh *segment, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again == nil || l.resting() {
		return nil, nil, l.again
	}
	from, to := uint64(math.MaxUint64), uint64(0)
	for _, s := range l.segments {
		if s.failed {
			from = min(from, s.synced)
		}
		to = s.end
	}
	copies, first := l.tail.Copies(from, to)
	l.rewriting = true
	return copies, &segment{path: record.Path(l.cfg.Dir, first), first: first, end: to, synced: first, stamp: time.Now()}, nil
}

// writeWhole writes a segment aside, syncs it and gives it its name.
func (l *lane) writeWhole(s *segment, copies [][]byte) error {
	if err := l.checkDir(); err != nil {
		return err
	}
	file, err := l.disk.OpenFile(s.path+newSuffix, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	for _, b := range copies {
		if err = writeAll(file, b); err != nil {
			break
		}
		s.size += int64(len(b))
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = l.disk.Rename(s.path+newSuffix, s.path)
	}
	if err != nil {
		return errors.Join(err, file.Close(), l.disk.Remove(s.path+newSuffix))
	}
	s.file, s.fresh, s.dirty = file, true, true
	return nil
}

// endAgain puts the new segment in the place of what it replaces.
func (l *lane) endAgain(fresh *segment, written bool, err error) error {
	l.mu.Lock()
	l.rewriting = false
	l.tried = time.Now()
	if err != nil {
		l.stats.WriteErrors++
		l.trouble = fmt.Errorf("write again: %w; %w", err, l.again)
		l.stats.failed(l.trouble)
		l.mu.Unlock()
		return err
	}
	var kept, old, cut []*segment
	for _, s := range l.segments {
		switch {
		case written && s.first >= fresh.first:
			old = append(old, s)
			continue
		case written && s.end > fresh.first:
			s.end = fresh.first
			if s.synced == s.end {
				s.size = s.syncedSize
				cut = append(cut, s)
			}
		}
		if s.failed {
			s.failed, s.synced, s.dirty = false, s.end, false
		}
		kept = append(kept, s)
	}
	l.active = nil
	if written {
		l.active = fresh
		kept = append(kept, fresh)
		l.stats.Rewritten += fresh.end - fresh.first
	}
	l.segments, l.again, l.trouble = kept, nil, nil
	l.safeTo = l.safe()
	l.wakeAll()
	l.mu.Unlock()
	for _, s := range cut { // the rest would be read twice after a restart
		if s.file != nil {
			_ = s.file.Truncate(s.size)
		}
	}
	l.removeSegments(old) // not the file that has the name of one
	return nil
}
