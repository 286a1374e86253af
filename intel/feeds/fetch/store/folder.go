package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// lockName is the file that a process holds while it works in the folder.
const lockName = "lock"

// A Folder holds the files of all feeds of one process.
type Folder struct {
	Dir string

	temp bool      // to be removed at the end
	lock disk.File // nil = none is held
}

// OpenFolder makes a folder ready, and keeps a second process from writing the same files.
// Without a name, or for one that only reads, it is a temporary one: that begins with links
// to what the folder of the feeds holds. A file that is written takes the place of its link,
// never that of what is behind it.
func OpenFolder(dir string, readOnly bool) (*Folder, error) {
	if dir != "" && !readOnly {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
		lock, err := disk.Lock(disk.OS{}, filepath.Join(dir, lockName), 0o640)
		if errors.Is(err, disk.ErrLocked) {
			err = fmt.Errorf("%s: another process keeps its feeds there; wait for its end, or set another state_dir", dir)
		}
		if err != nil {
			return nil, err
		}
		return &Folder{Dir: dir, lock: lock}, nil
	}
	temp, err := os.MkdirTemp("", "flowsnitch-")
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: temp, temp: true}
	if dir != "" {
		err = f.linkTo(dir)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// linkTo makes links to all files of another folder, which need not be there.
func (f *Folder) linkTo(dir string) error {
	shared, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(shared)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(shared, e.Name()), filepath.Join(f.Dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close lets another process in, and removes a temporary folder.
func (f *Folder) Close() {
	if f.lock != nil {
		_ = f.lock.Close()
	}
	if f.temp {
		_ = os.RemoveAll(f.Dir)
	}
}
