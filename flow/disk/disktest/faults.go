// Package disktest is a file system for tests that fails or hangs on demand: any call of
// package disk, from any moment on, with any error. It wraps the real one, so that what did
// not fail is really on the disk. It is imported by tests alone.
package disktest

import (
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A Call is one that is about to be made to the disk.
type Call struct {
	Index int    // how many were made before
	What  string // open, mkdir, readdir, stat, lstat, remove, rename, chmod, chown, utimes, read, write, sync, truncate, lock, close
	Path  string
}

// Faults is the file system of the machine with a hook before every call. A sync that
// fails loses what was appended to the file since the sync before, as a kernel does that
// drops pages which it could not write.
type Faults struct {
	// Hook is called before each call, from its goroutine. An error is that of the call,
	// which is not made then; of a write, Part bytes are made. A hook that does not
	// return is a disk that hangs.
	Hook func(Call) error
	Part int

	below disk.OS
	mu    sync.Mutex
	calls int
}

var _ disk.FS = (*Faults)(nil)

// SetPart changes Part, from any goroutine.
func (f *Faults) SetPart(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Part = n
}

func (f *Faults) part() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Part
}

// Calls gives how many calls were made.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Faults) call(what, path string) error {
	f.mu.Lock()
	n := f.calls
	f.calls++
	f.mu.Unlock()
	if f.Hook == nil {
		return nil
	}
	if err := f.Hook(Call{n, what, path}); err != nil {
		return &fs.PathError{Op: what, Path: path, Err: err}
	}
	return nil
}

// Open opens a file for reading.
func (f *Faults) Open(path string) (disk.File, error) { return f.OpenFile(path, os.O_RDONLY, 0) }

// OpenFile opens or creates a file.
func (f *Faults) OpenFile(path string, flag int, mode fs.FileMode) (disk.File, error) {
	if err := f.call("open", path); err != nil {
		return nil, err
	}
	file, err := f.below.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	one := &faultyFile{File: file, f: f, appends: flag&os.O_APPEND != 0}
	if info, err := file.Stat(); err == nil {
		one.synced = info.Size()
	}
	return one, nil
}

// MkdirAll makes a directory and its parents.
func (f *Faults) MkdirAll(path string, mode fs.FileMode) error {
	if err := f.call("mkdir", path); err != nil {
		return err
	}
	return f.below.MkdirAll(path, mode)
}

// Names reads a directory.
func (f *Faults) Names(path string) ([]string, error) {
	if err := f.call("readdir", path); err != nil {
		return nil, err
	}
	return f.below.Names(path)
}

// Stat looks at a file behind links.
func (f *Faults) Stat(path string) (fs.FileInfo, error) {
	if err := f.call("stat", path); err != nil {
		return nil, err
	}
	return f.below.Stat(path)
}

// Lstat looks at a file or a link.
func (f *Faults) Lstat(path string) (fs.FileInfo, error) {
	if err := f.call("lstat", path); err != nil {
		return nil, err
	}
	return f.below.Lstat(path)
}

// Remove removes a file.
func (f *Faults) Remove(path string) error {
	if err := f.call("remove", path); err != nil {
		return err
	}
	return f.below.Remove(path)
}

// Rename renames a file.
func (f *Faults) Rename(from, to string) error {
	if err := f.call("rename", from); err != nil {
		return err
	}
	return f.below.Rename(from, to)
}

// RenameNew renames a file and replaces nothing.
func (f *Faults) RenameNew(from, to string) error {
	if err := f.call("rename", from); err != nil {
		return err
	}
	return f.below.RenameNew(from, to)
}

// Chmod sets the mode of a file.
func (f *Faults) Chmod(path string, mode fs.FileMode) error {
	if err := f.call("chmod", path); err != nil {
		return err
	}
	return f.below.Chmod(path, mode)
}

// Chown sets the owner of a file.
func (f *Faults) Chown(path string, uid, gid int) error {
	if err := f.call("chown", path); err != nil {
		return err
	}
	return f.below.Chown(path, uid, gid)
}

// Chtimes sets the time of the last change.
func (f *Faults) Chtimes(path string, date time.Time) error {
	if err := f.call("utimes", path); err != nil {
		return err
	}
	return f.below.Chtimes(path, date)
}

type faultyFile struct {
	disk.File
	f       *Faults
	appends bool

	mu     sync.Mutex
	synced int64 // size at the latest sync
}

func (f *faultyFile) Read(b []byte) (int, error) {
	if err := f.f.call("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.f.call("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.f.call("write", f.Name()); err != nil {
		n, _ := f.File.Write(b[:min(f.f.part(), len(b))])
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.f.call("write", f.Name()); err != nil {
		n, _ := f.File.WriteAt(b[:min(f.f.part(), len(b))], at)
		return n, err
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	info, err := f.File.Stat()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.f.call("sync", f.Name()); err != nil {
		f.lose()
		return err
	}
	f.synced = info.Size() // the test does not need the disk to have it
	return nil
}

// lose zeroes what was appended since the latest sync.
func (f *faultyFile) lose() {
	if !f.appends {
		return
	}
	info, err := f.File.Stat()
	if err != nil || info.Size() <= f.synced {
		return
	}
	other, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, _ = other.WriteAt(make([]byte, info.Size()-f.synced), f.synced)
	_ = other.Close()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.f.call("truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Stat() (fs.FileInfo, error) {
	if err := f.f.call("stat", f.Name()); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *faultyFile) Chmod(mode fs.FileMode) error {
	if err := f.f.call("chmod", f.Name()); err != nil {
		return err
	}
	return f.File.Chmod(mode)
}

func (f *faultyFile) Lock() error {
	if err := f.f.call("lock", f.Name()); err != nil {
		return err
	}
	return f.File.Lock()
}

// Close closes the file, also where the call fails.
func (f *faultyFile) Close() error {
	err := f.f.call("close", f.Name())
	if closed := f.File.Close(); err == nil {
		err = closed
	}
	return err
}
