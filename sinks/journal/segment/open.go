package segment

import (
	"fmt"
	"os"

	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// A Report is what was found in the files when they were opened, and what was discarded.
// The last file alone is looked into, for the others were whole when they were left.
type Report struct {
	End        uint64 // number behind the last event
	Torn       int64  // bytes cut off behind the last good record
	Damaged    int64  // bytes passed over between good records
	Missing    uint64 // events known to have been in the damage
	Unreadable error  // why the last file cannot be read for now; nil = it can
}

// Open finds the files in a folder, cuts off what follows the last good record, and goes on
// behind it. Last files without one are removed. One that cannot be read now is left as it
// is, for the sinks to try: where it ends is not known until Bound returns it. most is the
// size of one file in bytes.
func Open(dir *folder.Folder, most int64, at folder.Moment) (f *Files, r Report, err error) {
	f = &Files{dir: dir, most: most}
	if dir.Path == "" {
		return f, r, nil
	}
	err = dir.Retry(func() (err error) {
		f.list, err = list(dir, at)
		return err
	})
	if err != nil {
		return nil, r, err
	}
	for len(f.list) > 0 {
		last := f.list[len(f.list)-1]
		var found record.Found
		err := dir.Retry(func() (err error) {
			found, err = record.Scan(dir.Disk, last.path, last.first)
			return err
		})
		if folder.MayPass(err) {
			r.Unreadable = fmt.Errorf("%s (%w)", last.path, err)
			return f, r, nil
		}
		if err != nil {
			return nil, r, err
		}
		r.Torn += found.Torn
		r.End = max(r.End, found.End)
		if found.Records > 0 {
			r.Damaged, r.Missing = found.Damaged, found.Missing
			return f, r, f.resume(last, found)
		}
		if err := dir.Disk.Remove(last.path); err != nil {
			return nil, r, err
		}
		f.list = f.list[:len(f.list)-1]
	}
	return f, r, nil
}

// list gives the files in a folder, the oldest first. Where each ends is taken from where
// the next begins.
func list(dir *folder.Folder, at folder.Moment) (list []*segment, err error) {
	files, err := record.List(dir.Disk, dir.Path)
	for i, f := range files {
		list = append(list, &segment{path: f.Path, first: f.First, size: f.Size, stamp: at.Stamp(f.Date), dated: f.Date})
		if i > 0 {
			list[i-1].end, list[i-1].synced = f.First, f.First
		}
	}
	return list, err
}

// resume opens the last file for appending.
func (f *Files) resume(last *segment, found record.Found) (err error) {
	last.file, err = f.dir.Disk.OpenFile(last.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if found.Torn > 0 {
		if err := last.file.Truncate(found.Good); err != nil {
			_ = last.file.Close()
			return err
		}
	}
	last.size, last.end = found.Good, found.End
	// What a crash left unsynced is not in memory to be written again, but synced it is.
	last.synced, last.syncedSize, last.dirty = last.end, last.size, true
	f.active = last
	return nil
}

// Bound sets where the last file ends, which could not be read: at end when that is known,
// else so far behind that no number in it is used again. What of that was never used counts
// as dropped once it can be read. It gives the number behind.
func (f *Files) Bound(end uint64, known bool) uint64 {
	s := f.list[len(f.list)-1]
	s.end = max(s.first, end)
	if !known || end <= s.first {
		s.end = max(s.end, s.first+uint64(s.size/record.Least)+1)
	}
	s.synced, s.syncedSize = s.end, s.size
	return s.end
}
