package segment

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// Files are the segments of a lane, the oldest first. One goroutine at a time calls Append
// and Rewrite, another Sync; all else may be called from any, also under the journal's lock
// where it is not said that it uses the disk.
type Files struct {
	dir  *folder.Folder
	most int64 // bytes of one file

	// The lock is taken after all others, and nothing is called under it, not the disk
	// either. While Append or Rewrite is under way the segments that it writes to, see busy,
	// are its own: they are not cut off.
	mu        sync.Mutex
	list      []*segment
	active    *segment // the last of them, while it is written to
	appending bool
	rewriting bool
	again     error // why events are to be written again; nil = they are not
	counts    Counts
}

// Counts count since the files were opened.
type Counts struct {
	Bytes      int64  // of the files that there are
	Segments   int    // files
	Writes     uint64 // calls of write for events
	Written    uint64 // bytes by them
	Syncs      uint64
	SyncErrors uint64
	Rewritten  uint64 // events written again because a sync had failed
}

// A segment is one file. The lock guards it; the path never changes.
type segment struct {
	path  string
	first uint64    // number of the first record
	end   uint64    // behind the last
	size  int64     // bytes, whole records only
	stamp time.Time // when the last came
	dated time.Time // what the file was last dated, apart from writes

	file   disk.File // for writing; nil when it is sealed and synced
	dirty  bool      // written since the latest sync
	fresh  bool      // the directory was not synced since it was made
	failed bool      // a sync of it has failed: what it covered is to be written again
	// doubted is failed as Doubtful found it: a sync may fail after that.
	doubted bool

	synced     uint64 // number before which the disk has all for good
	syncedSize int64  // bytes up to there
}

// Counts gives the counters at one moment.
func (f *Files) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts
	c.Segments = len(f.list)
	for _, s := range f.list {
		c.Bytes += s.size
	}
	return c
}

// First gives the number of the oldest event; not ok means that there is no file.
func (f *Files) First() (number uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return 0, false
	}
	return f.list[0].first, true
}

// Safe gives the number before which the disk has all for good that was written.
func (f *Files) Safe() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		if s.synced < s.end {
			return s.synced
		}
	}
	return math.MaxUint64
}

// Again gives why events are to be written again; nil = they are not.
func (f *Files) Again() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again
}

// A Part is what can be read of a file.
type Part struct {
	Path string
	Size int64  // bytes, of whole records
	End  uint64 // the number behind the last
}

// At gives the first file that may have a record of that or a later number.
func (f *Files) At(number uint64) (p Part, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		if number < s.end {
			return Part{s.path, s.size, s.end}, true
		}
	}
	return Part{}, false
}

// Has reports whether a file is one of those that there are.
func (f *Files) Has(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.list, func(s *segment) bool { return s.path == path })
}

// BytesFrom gives about the bytes of the events from number on, and the number behind the
// last event.
func (f *Files) BytesFrom(number uint64) (total int64, end uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		total += record.Share(s.size, s.first, s.end, number)
		end = s.end
	}
	return total, end
}

// Append writes b, the records from one number to before another, to the last file, or to a
// new one when that is full. After an error nothing of b is there.
func (f *Files) Append(b []byte, from, to uint64) error {
	f.mu.Lock()
	f.appending = true
	s := f.active
	f.mu.Unlock()
	err := f.append(s, b, from, to)
	f.mu.Lock()
	f.appending = false
	f.mu.Unlock()
	return err
}

func (f *Files) append(s *segment, b []byte, from, to uint64) (err error) {
	if s != nil && s.size > 0 && s.size+int64(len(b)) > f.most {
		f.seal()
		s = nil
	}
	if s == nil {
		if s, err = f.create(from); err != nil {
			return err
		}
	}
	if err := write(s.file, b); err != nil {
		if s.file.Truncate(s.size) != nil {
			f.seal() // its end is damaged, and what comes goes elsewhere
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.size += int64(len(b))
	s.end, s.stamp, s.dirty = to, time.Now(), true
	f.counts.Writes++
	f.counts.Written += uint64(len(b))
	return nil
}

// write writes all of b, or gives an error.
func write(file disk.File, b []byte) error {
	n, err := file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// create makes the file for records from that number on. A file of that name can only be
// the rest of an attempt that failed.
func (f *Files) create(first uint64) (s *segment, err error) {
	if err := f.dir.Check(); err != nil {
		return nil, err
	}
	s = &segment{path: record.Path(f.dir.Path, first), first: first, end: first, synced: first, stamp: time.Now(), fresh: true}
	return s, f.dir.Make(func() (err error) {
		if s.file, err = disk.OpenNew(f.dir.Disk, s.path, os.O_WRONLY|os.O_APPEND, 0o640); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.list, f.active = append(f.list, s), s
		return nil
	})
}

// seal ends the active segment; the next sync closes it. One without a record is removed.
func (f *Files) seal() {
	f.mu.Lock()
	empty := f.sealActive()
	f.mu.Unlock()
	f.Remove(empty)
}

// sealActive is seal under the lock. What it gives is to be removed.
func (f *Files) sealActive() (empty Cut) {
	if s := f.active; s != nil && s.size == 0 {
		f.list = f.list[:len(f.list)-1]
		empty.old = []*segment{s}
	}
	f.active = nil
	return empty
}

// FindRemoved notices that the file that is written to was taken away: what comes goes to a
// new one, for nobody would find it in that. It uses the disk.
func (f *Files) FindRemoved() {
	f.mu.Lock()
	active := f.active
	f.mu.Unlock()
	if active == nil || !f.dir.IsGone(active.path) {
		return
	}
	f.mu.Lock()
	if f.active != active || f.busy(active) {
		f.mu.Unlock()
		return
	}
	empty := f.sealActive()
	f.mu.Unlock()
	f.dir.Failed(fmt.Errorf("%s: was removed while in use", active.path))
	f.Remove(empty)
}

// busy reports whether a segment is just being written to. While it is, it is the
// writer's.
func (f *Files) busy(s *segment) bool { return f.rewriting || s == f.active && f.appending }

// closeFile closes a segment that is not written to any more.
func (f *Files) closeFile(s *segment) {
	f.mu.Lock()
	file := s.file
	s.file = nil
	f.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
}

// Close closes all files.
func (f *Files) Close() {
	f.mu.Lock()
	list := slices.Clone(f.list)
	f.mu.Unlock()
	for _, s := range list {
		f.closeFile(s)
	}
}
