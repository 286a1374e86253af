package imports

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

const (
	// partSuffix is behind a dot and the name in the name of a folder aside.
	partSuffix = ".part"
	// goneSuffix is that of one which is being removed.
	goneSuffix = ".gone"
	// complete is the file in a folder aside that has all that is to be added.
	complete = "complete"
	lockName = ".lock"
)

// An Aside is the folder in which the files of an import are made, before they become visible
// all at once. It has the lock of all imports until Discard, which must follow.
type Aside struct {
	Folder string // its path
	// Before is the size of the files that were there, in bytes, when it is an addition.
	Before int64

	disk  disk.FS
	root  string // of all imports
	final string // the folder of the import
	lock  disk.File
}

// Begin makes the folder aside of an import, after what earlier ones have left was completed or
// removed. If there is one of this name already, the error is [ErrExists] unless add is set.
func Begin(f disk.FS, root, name string, add bool) (*Aside, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if err := f.MkdirAll(root, 0o750); err != nil {
		return nil, err
	}
	lock, err := lockRoot(f, root)
	if err != nil {
		return nil, err
	}
	a := &Aside{Folder: filepath.Join(root, "."+name+partSuffix), disk: f, root: root, final: filepath.Join(root, name), lock: lock}
	if err := a.prepare(name, add); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return a, nil
}

// prepare completes or removes what earlier imports have left, and makes the folder.
func (a *Aside) prepare(name string, add bool) error {
	if err := recoverAll(a.disk, a.root); err != nil {
		return err
	}
	switch _, err := a.disk.Lstat(a.final); {
	case err == nil && !add:
		return fmt.Errorf("%s: %w", name, ErrExists)
	case err == nil:
		_, size, err := sizeOf(a.disk, a.final)
		if err != nil {
			return err
		}
		a.Before = size
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return a.disk.MkdirAll(a.Folder, 0o750)
}

// Days gives the folders of days that have files, as yyyy/mm/dd, oldest first.
func (a *Aside) Days() ([]string, error) { return daysOf(a.disk, a.Folder) }

// Files gives the names of the files of a day, oldest first.
func (a *Aside) Files(day string) ([]file.Name, error) {
	return filesOf(a.disk, filepath.Join(a.Folder, day))
}

// Size gives the number of files, and their size in bytes.
func (a *Aside) Size() (files, bytes int64, err error) { return sizeOf(a.disk, a.Folder) }

// Discard removes what was written, unless it is visible or about to be, and gives up the lock.
// It may be called again.
func (a *Aside) Discard() {
	if a.lock == nil {
		return
	}
	if _, err := a.disk.Lstat(filepath.Join(a.Folder, complete)); err != nil {
		_ = removeTree(a.disk, a.Folder)
	}
	_ = a.lock.Close()
	a.lock = nil
}

// Publish gives the folder the name of the import, or moves its files to those that are there.
// again is how many days are in both.
func (a *Aside) Publish() (again int, err error) {
	if _, err := a.disk.Lstat(a.final); errors.Is(err, fs.ErrNotExist) {
		if err := a.disk.Rename(a.Folder, a.final); err != nil {
			return 0, err
		}
		return 0, disk.SyncDir(a.disk, a.root)
	}
	if again, err = a.countAgain(); err != nil {
		return again, err
	}
	if err := disk.Replace(a.disk, filepath.Join(a.Folder, complete), nil, 0o640); err != nil {
		return again, err
	}
	return again, moveAll(a.disk, a.Folder, a.final)
}

// countAgain counts the days that an addition shares with what was there.
func (a *Aside) countAgain() (again int, err error) {
	before, err := daysOf(a.disk, a.final)
	if err != nil {
		return 0, err
	}
	more, err := a.Days()
	for _, day := range more {
		if slices.Contains(before, day) {
			again++
		}
	}
	return again, err
}

// moveAll moves the files of a folder aside that is complete to those of the import. It may
// be begun again.
func moveAll(f disk.FS, from, to string) error {
	days, err := daysOf(f, from)
	if err != nil {
		return err
	}
	for _, day := range days {
		target := filepath.Join(to, day)
		if err := f.MkdirAll(target, 0o750); err != nil {
			return err
		}
		moving, err := filesOf(f, filepath.Join(from, day))
		if err != nil {
			return err
		}
		for _, n := range moving {
			if err := moveFile(f, filepath.Join(from, day), target, n); err != nil {
				return err
			}
		}
		for _, dir := range []string{target, filepath.Dir(target), filepath.Dir(filepath.Dir(target)), to} {
			if err := disk.SyncDir(f, dir); err != nil {
				return err
			}
		}
	}
	return removeTree(f, from)
}

// moveFile moves one file under a name that is free.
func moveFile(f disk.FS, from, to string, n file.Name) error {
	path := filepath.Join(from, n.String())
	there, err := filesOf(f, to)
	if err != nil {
		return err
	}
	n.Seq = 1
	for _, t := range there {
		if t.From.Equal(n.From) && t.To.Equal(n.To) && t.Level == n.Level {
			n.Seq = max(n.Seq, t.Seq+1)
		}
	}
	return f.Rename(path, filepath.Join(to, n.String()))
}

// lockRoot keeps other commands out of the imports.
func lockRoot(f disk.FS, root string) (disk.File, error) {
	lock, err := disk.Lock(f, filepath.Join(root, lockName), 0o640)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrBusy
	}
	return lock, err
}

// recoverAll completes additions whose files were all there, and removes what other imports
// have left. It is called with the lock.
func recoverAll(f disk.FS, root string) error {
	names, err := f.Names(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(root, name)
		part, isPart := strings.CutSuffix(name, partSuffix)
		if _, err := f.Lstat(filepath.Join(path, complete)); isPart && err == nil {
			if err := moveAll(f, path, filepath.Join(root, strings.TrimPrefix(part, "."))); err != nil {
				return err
			}
			continue
		}
		if strings.HasPrefix(name, ".") && (isPart || strings.HasSuffix(name, goneSuffix)) {
			if err := removeTree(f, path); err != nil {
				return err
			}
		}
	}
	return nil
}
