package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A held is a file that is kept open, so that its rows can be read even when it has been
// merged or removed meanwhile.
type held struct {
	Entry
	file disk.File // nil once it was handed over
	err  error     // it could not be opened
}

func (h *held) close() {
	if h.file != nil {
		_ = h.file.Close()
		h.file = nil
	}
}

// A holder is the file system for opening a file that is held: it gives the open file.
type holder struct {
	disk.FS
	file disk.File
}

func (h holder) Lstat(string) (fs.FileInfo, error) { return h.file.Stat() }
func (h holder) Open(string) (disk.File, error)    { return h.file, nil }

// tries is how often a day is listed until it does not change. A merge takes longer than that.
const tries = 10

// hold opens all files of a day that may have contacts of a time, newest first.
//
// This is how a search gives each row once while files are merged. A merge writes a new file
// into the folder of the day and then removes its inputs; a rewrite does the same. Rows never
// get into the folder of another day. So it is enough to see the folder of a day as it is at
// one moment, before a merge or after it, and to keep what is seen open: then a removed file
// can still be read. Between the two moments of a merge, a file and its inputs are both there;
// the listing leaves out the inputs, as the file names them. Reading a directory is not atomic,
// and files may go away before they are opened, so the day is listed again until nothing has
// changed since the listing whose files are open.
func (f *Folder) hold(ctx context.Context, day string, q *Query) (all []*held, err error) {
	known := make(map[string]*held)
	defer func() {
		for _, h := range known {
			h.close()
		}
	}()
	for range tries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l, listed := f.day(day)
		same := !l.vanished
		var now []*held
		current := make(map[string]*held)
		for _, e := range l.live {
			if !e.touches(q.From, q.To) {
				continue
			}
			h := known[e.Path]
			delete(known, e.Path)
			if h == nil {
				same = false
				h = &held{Entry: e}
				h.file, h.err = f.open(e.Path)
				if errors.Is(h.err, fs.ErrNotExist) {
					continue
				}
			}
			current[e.Path] = h
			now = append(now, h)
		}
		for _, h := range known { // not there any more
			h.close()
			same = false
		}
		known = current
		if same {
			known = nil
			return now, listed
		}
	}
	return nil, fmt.Errorf("%s: its files change all the time", day)
}

// open opens a file without waiting for a pipe.
func (f *Folder) open(path string) (disk.File, error) {
	info, err := f.disk.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return f.disk.Open(path)
}
