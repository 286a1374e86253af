package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names in the folder of the feeds.
const (
	tempPattern = ".tmp-*"
	ExtGood     = ".good"   // the last good generation
	ExtHeld     = ".held"   // one that is held back
	ExtBroken   = ".broken" // one that was found damaged, for people
	ExtState    = ".state"  // when the source was asked, see state
)

// A Disk carries out the file operations of a manager. before, if not nil, runs ahead of
// each with its name and path, and its error is the result of the operation: that is how
// tests make every one of them fail or hang. A nil disk is the usual one.
type Disk struct {
	Before func(op, path string) error
}

func (d *Disk) check(op, path string) error {
	if d == nil || d.Before == nil {
		return nil
	}
	return d.Before(op, path)
}

// A file is an open file of a disk.
type file struct {
	*os.File
	disk *Disk
}

func (f *file) Read(p []byte) (int, error) {
	if err := f.disk.check("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.disk.check("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Write writes half of p before an injected fault, as a disk that runs full does.
func (f *file) Write(p []byte) (int, error) {
	if err := f.disk.check("write", f.Name()); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *file) Sync() error {
	if f.disk != nil && f.disk.Before != nil {
		return f.disk.Before("sync", f.Name()) // a test needs no platter
	}
	return f.File.Sync()
}

// Close releases the descriptor in any case.
func (f *file) Close() error {
	return errors.Join(f.disk.check("close", f.Name()), f.File.Close())
}

func (d *Disk) Open(path string) (*file, error) {
	if err := d.check("open", path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{f, d}, nil
}

// createTemp makes a file that sweep removes, should the process die before its rename.
func (d *Disk) createTemp(dir string) (*file, error) {
	if err := d.check("create", dir); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return nil, err
	}
	return &file{f, d}, nil
}

func (d *Disk) Stat(path string) (fs.FileInfo, error) {
	if err := d.check("stat", path); err != nil {
		return nil, err
	}
	return os.Stat(path)
}

func (d *Disk) ReadFile(path string) ([]byte, error) {
	if err := d.check("open", path); err != nil {
		return nil, err
	}
	if err := d.check("read", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (d *Disk) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := d.check("readdir", path); err != nil {
		return nil, err
	}
	return os.ReadDir(path)
}

func (d *Disk) Rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Remove removes a file that need not be there.
func (d *Disk) Remove(path string) error {
	if err := d.check("remove", path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replace gives a complete file its name in one step. From then on the new content is in
// force, whatever becomes of the flush of the folder, which makes the name survive a
// power cut: not every file system can do that, and without it the old file comes back.
func (d *Disk) replace(temp, path string) error {
	if err := d.Rename(temp, path); err != nil {
		return err
	}
	if dir, err := d.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// WriteFile writes a small file in one step.
func (d *Disk) WriteFile(path string, content []byte) error {
	f, err := d.createTemp(filepath.Dir(path))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = d.replace(f.Name(), path)
	}
	if err != nil {
		_ = d.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteFile writes a small file in one step on the usual disk.
func WriteFile(path string, content []byte) error { return (*Disk)(nil).WriteFile(path, content) }

// Sweep removes what an earlier process left half written.
func (d *Disk) Sweep(dir string) error {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(tempPattern, "*")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			err = errors.Join(err, d.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// FileOf gives the path of a feed's file. Names of feeds are free text.
func FileOf(dir, prefix, name, ext string) string {
	return filepath.Join(dir, prefix+url.PathEscape(name)+ext)
}

// IsSystem reports whether an error comes from the operating system: the machine could
// not do what was asked of it, whatever the content of the file.
func IsSystem(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// IsBroken reports whether a file was read and found damaged.
func IsBroken(err error) bool { return errors.Is(err, errBroken) && !IsSystem(err) }
