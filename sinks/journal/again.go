package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

// newSuffix is behind the name of a segment that is not complete yet.
const newSuffix = ".new"

// writeAgain writes what a failed sync has covered, and all behind it, to a new segment
// and syncs that. Until then the journal is in trouble and the memory is kept. What is
// no longer in memory, for it was too much, stays where it is: it can be read as long as
// the kernel has it. An error says that nothing can be written now.
func (j *Journal) writeAgain() error {
	copies, s, err := j.beginAgain()
	if s == nil {
		return err
	}
	if len(copies) > 0 {
		err = j.writeWhole(s, copies)
	} else {
		err = j.trial()
	}
	return j.endAgain(s, len(copies) > 0, err)
}

// beginAgain gives the records that are to be written again and the segment for them;
// no segment = there is nothing to do, or it was tried just now.
func (j *Journal) beginAgain() (copies [][]byte, fresh *segment, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.again == nil || j.resting() {
		return nil, nil, j.again
	}
	from, to := uint64(math.MaxUint64), uint64(0)
	for _, s := range j.segments {
		if s.failed {
			from = min(from, s.synced)
		}
		to = s.end
	}
	copies, first := j.tail.copies(from, to)
	j.rewriting = true
	return copies, &segment{path: segmentPath(j.cfg.Dir, first), first: first, end: to, synced: first, stamp: time.Now()}, nil
}

// writeWhole writes a segment aside, syncs it and gives it its name.
func (j *Journal) writeWhole(s *segment, copies [][]byte) error {
	if err := j.checkDir(); err != nil {
		return err
	}
	file, err := j.disk.OpenFile(s.path+newSuffix, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o640)
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
		err = j.disk.Rename(s.path+newSuffix, s.path)
	}
	if err != nil {
		return errors.Join(err, file.Close(), j.disk.Remove(s.path+newSuffix))
	}
	s.file, s.fresh, s.dirty = file, true, true
	return nil
}

// endAgain puts the new segment in the place of what it replaces.
func (j *Journal) endAgain(fresh *segment, written bool, err error) error {
	j.mu.Lock()
	j.rewriting = false
	j.tried = time.Now()
	if err != nil {
		j.stats.WriteErrors++
		j.trouble = fmt.Errorf("write again: %w; %w", err, j.again)
		j.stats.failed(j.trouble)
		j.mu.Unlock()
		return err
	}
	var kept, old, cut []*segment
	for _, s := range j.segments {
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
	j.active = nil
	if written {
		j.active = fresh
		kept = append(kept, fresh)
		j.stats.Rewritten += fresh.end - fresh.first
	}
	j.segments, j.again, j.trouble = kept, nil, nil
	j.safeTo = j.safe()
	j.wakeAll()
	j.mu.Unlock()
	for _, s := range cut { // the rest would be read twice after a restart
		if s.file != nil {
			_ = s.file.Truncate(s.size)
		}
	}
	j.removeSegments(old) // not the file that has the name of one
	return nil
}
