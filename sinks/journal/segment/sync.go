package segment

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// A syncing is a file that is synced or cut, and what it then has.
type syncing struct {
	s    *segment
	file disk.File
	end  uint64
	size int64
	err  error
}

// Sync brings what was written to the disk: the files, the directory if there are new ones.
// It closes those that are full. After a sync that failed the kernel takes the pages for
// clean, and the next sync reports success: what it covered is only safe when it is written
// again, see Rewrite. An error means that one has failed now.
func (f *Files) Sync() error {
	list, fresh := f.toSync()
	for i := range list {
		list[i].err = list[i].file.Sync()
	}
	var names error
	if len(fresh) > 0 {
		if names = disk.SyncDir(f.dir.Disk, f.dir.Path); names != nil {
			names = fmt.Errorf("sync %s: %w", f.dir.Path, names)
		}
		f.dir.Note(folder.Names, names)
	}
	sealed, failed := f.synced(list, fresh, names)
	for _, s := range sealed {
		f.closeFile(s)
	}
	return failed
}

// toSync gives the files that were written to, and the segments that are new.
func (f *Files) toSync() (list []syncing, fresh []*segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		if s.dirty && s.file != nil {
			list = append(list, syncing{s: s, file: s.file, end: s.end, size: s.size})
			s.dirty = false
		}
		if s.fresh {
			fresh = append(fresh, s)
		}
	}
	return list, fresh
}

// synced notes the outcome of all syncs, and gives the segments that can be closed.
func (f *Files) synced(list []syncing, fresh []*segment, names error) (sealed []*segment, failed error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range list {
		f.counts.Syncs++
		s := one.s
		switch {
		case errors.Is(one.err, os.ErrClosed): // the journal has let go of it meanwhile
		case one.err != nil:
			f.counts.SyncErrors++
			s.failed = true
			failed = fmt.Errorf("sync %s: %w", s.path, one.err)
			f.again = failed
		case s.fresh && names != nil:
			s.dirty = true
		case !s.failed:
			s.synced, s.syncedSize = one.end, one.size
		}
	}
	if len(fresh) > 0 {
		f.counts.Syncs++
		if names != nil {
			f.counts.SyncErrors++
		}
		for _, s := range fresh {
			s.fresh = names != nil
		}
	}
	for _, s := range f.list {
		if s != f.active && !s.dirty && !s.fresh && !s.failed && s.file != nil {
			sealed = append(sealed, s)
		}
	}
	return sealed, failed
}

// Doubtful gives the numbers of the events that a failed sync has covered, and all behind
// them, of which some may be in memory. They are to be given to Rewrite: until then nothing
// is cut off.
func (f *Files) Doubtful() (from, to uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from = math.MaxUint64
	for _, s := range f.list {
		if s.doubted = s.failed; s.failed {
			from = min(from, s.synced)
		}
		to = s.end
	}
	f.rewriting = true
	return from, to
}

// Rewrite writes records, those from first to before end, to a new file, syncs it, and puts
// it in the place of what it replaces. What is no longer in memory stays where it is: it can
// be read as long as the kernel has it. Without records it is enough that the disk takes
// anything. An error means that nothing can be written now.
func (f *Files) Rewrite(records [][]byte, first, end uint64) (err error) {
	fresh := &segment{path: record.Path(f.dir.Path, first), first: first, end: end, synced: first, stamp: time.Now()}
	if len(records) > 0 {
		err = f.writeWhole(fresh, records)
	} else {
		err = f.Trial()
	}
	old, cut := f.replace(fresh, len(records) > 0, err)
	for _, c := range cut { // the rest would be read twice after a restart
		_ = c.file.Truncate(c.size)
	}
	f.Remove(old) // not the file that has the name of one
	return err
}

// writeWhole writes a segment aside, syncs it and gives it its name.
func (f *Files) writeWhole(s *segment, records [][]byte) error {
	if err := f.dir.Check(); err != nil {
		return err
	}
	aside := s.path + folder.NewSuffix
	file, err := disk.OpenNew(f.dir.Disk, aside, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	for _, b := range records {
		if err = write(file, b); err != nil {
			break
		}
		s.size += int64(len(b))
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = f.dir.Disk.Rename(aside, s.path)
	}
	if err != nil {
		return errors.Join(err, file.Close(), f.dir.Disk.Remove(aside))
	}
	s.file, s.fresh, s.dirty = file, true, true
	return nil
}

// replace puts the new segment in the place of what it replaces. It gives those that are to
// be removed, and the files of which the end is.
func (f *Files) replace(fresh *segment, written bool, failed error) (old Cut, cut []syncing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rewriting = false
	if failed != nil {
		return old, nil
	}
	var kept []*segment
	again := error(nil)
	for _, s := range f.list {
		switch {
		case written && s.first >= fresh.first:
			old.old = append(old.old, s)
			continue
		case written && s.end > fresh.first:
			s.end = fresh.first
			if s.synced == s.end {
				s.size = s.syncedSize
				if s.file != nil {
					cut = append(cut, syncing{file: s.file, size: s.size})
				}
			}
		}
		switch {
		case s.doubted:
			s.failed, s.synced, s.dirty = false, s.end, false
		case s.failed: // since Doubtful: its events were not among the records
			again = f.again
		}
		kept = append(kept, s)
	}
	f.active = nil
	if written {
		f.active = fresh
		kept = append(kept, fresh)
		f.counts.Rewritten += fresh.end - fresh.first
	}
	f.list, f.again = kept, again
	return old, cut
}

// trialBytes is what a disk that was in trouble must take before it is trusted again. It
// is so much that a full one does not look well for the sake of a few free blocks.
const trialBytes = 64 << 10

// Trial writes and syncs a file beside the segments and removes it. It finds out whether a
// disk that was in trouble takes events again while none is to be written.
func (f *Files) Trial() error {
	if err := f.dir.Check(); err != nil {
		return err
	}
	path := filepath.Join(f.dir.Path, "trial")
	file, err := disk.OpenNew(f.dir.Disk, path, os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	err = write(file, make([]byte, trialBytes))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), f.dir.Disk.Remove(path))
}
