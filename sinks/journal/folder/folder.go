package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// NewSuffix is behind the name of a file that is not complete yet.
const NewSuffix = ".new"

// A Folder is the directory of one lane. Its methods may be called from any goroutine.
type Folder struct {
	// Path is empty when the lane is in memory only. Then Check finds nothing wrong, Health
	// works as ever, and no file is made, looked for or removed.
	Path string
	Disk *disk.Watch
	Health

	// Held while the directory is made anew, and while files are made or removed whose
	// names may be used again. The disk may hold it up: it is taken before every mutex.
	making disk.Gate
	lock   disk.File  // nil without a directory
	left   []leftover // what could not be removed
}

// A leftover is a file that could not be removed.
type leftover struct {
	path string
	used func() bool
}

// Open makes the directory if it is missing and locks it. The error is about a directory
// that cannot be used, or about another process that uses it.
func Open(d *disk.Watch, path string) (*Folder, error) {
	f := &Folder{Path: path, Disk: d, making: disk.NewGate()}
	if path == "" {
		return f, nil
	}
	if err := d.MkdirAll(path, 0o750); err != nil {
		return nil, err
	}
	lock, err := lockDir(d, path)
	if err != nil {
		return nil, err
	}
	f.lock = lock
	return f, nil
}

// Close lets other processes in.
func (f *Folder) Close() {
	f.making.Lock()
	defer f.making.Unlock()
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// lockDir keeps other processes out of dir for as long as the file is open.
func lockDir(d disk.FS, dir string) (disk.File, error) {
	file, err := disk.Lock(d, lockPath(dir), 0o640)
	if errors.Is(err, disk.ErrLocked) {
		err = fmt.Errorf("%s: is used by another process: give each its own directory", dir)
	}
	return file, err
}

// Check makes sure that the directory is the one that was opened, before something is made
// there or taken for gone. A file system that was unmounted or has lost its server may leave
// another directory in that place; what is written there would be hidden when it comes
// back. The lock file shows the difference: it has no name any more where it was removed.
// Then directory and lock are made anew.
func (f *Folder) Check() error {
	if f.Path == "" {
		return nil
	}
	f.making.Lock()
	defer f.making.Unlock()
	err := f.find()
	f.Note(Place, err)
	return err
}

func (f *Folder) find() error {
	held, err := f.lock.Stat()
	if err != nil {
		return err
	}
	there, err := f.Disk.Stat(lockPath(f.Path))
	switch {
	case err == nil && os.SameFile(held, there):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case disk.Links(held) > 0 && err == nil:
		return fmt.Errorf("%s: another directory is in the place of the journal", f.Path)
	case disk.Links(held) > 0:
		return fmt.Errorf("%s: is away: %w", f.Path, err)
	}
	if err := f.Disk.MkdirAll(f.Path, 0o750); err != nil {
		return err
	}
	fresh, err := lockDir(f.Disk, f.Path)
	if err != nil {
		return err
	}
	_ = f.lock.Close()
	f.lock = fresh
	return nil
}

// Make calls create while no file is removed: else a file of the same name that is just being
// removed might be the one that is made.
func (f *Folder) Make(create func() error) error {
	f.making.Lock()
	defer f.making.Unlock()
	return create()
}

// Remove removes a file, unless it is used again: then there is a new one of that name. What
// cannot be removed now is tried again by RemoveLeft.
func (f *Folder) Remove(path string, used func() bool) {
	f.making.Lock()
	defer f.making.Unlock()
	f.remove(leftover{path, used})
}

func (f *Folder) remove(l leftover) {
	if l.used() {
		return
	}
	if err := f.Disk.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.left = append(f.left, l)
		f.Note(Removal, err)
	}
}

// RemoveLeft tries again to remove what could not be removed.
func (f *Folder) RemoveLeft() {
	f.making.Lock()
	defer f.making.Unlock()
	left := f.left
	f.left = nil
	f.Note(Removal, nil)
	for _, l := range left {
		f.remove(l)
	}
}

// IsGone reports whether a file was removed by somebody else.
func (f *Folder) IsGone(path string) bool {
	_, err := f.Disk.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// A file that cannot be read at the start is tried so often before the journal goes on
// without it.
const (
	ReadTries = 5
	readPause = 200 * time.Millisecond
)

// Retry calls read until it gives no error that may pass, or has been called often
// enough.
func (f *Folder) Retry(read func() error) (err error) {
	for i := range ReadTries {
		if i > 0 {
			time.Sleep(readPause)
		}
		if err = read(); !MayPass(err) {
			return err
		}
		f.CannotRead(err)
	}
	return err
}

// MayPass reports whether an error is one of a device or a server that may be readable
// again later. What is wrong with the process, its limits or its permissions, is not.
func MayPass(err error) bool {
	for _, one := range []error{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ENXIO, syscall.ENODEV, syscall.EAGAIN, syscall.ENOMEM, syscall.EHOSTDOWN, syscall.ENOTCONN} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}
