package imports

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
)

// Folder is where the imports of a history are.
func Folder(history string) string { return filepath.Join(history, "import") }

// An Entry is what a folder of history files holds.
type Entry struct {
	Name               string `json:"name,omitempty"` // empty = the live one
	Files, Bytes, Rows int64
	// From and To are the span of the files, by receipt; zero = there are none.
	From, To time.Time
	// Damaged are files that cannot be opened.
	Damaged []string
}

// List looks at all imports, by name. Without any there is no error.
func List(f disk.FS, root string) ([]Entry, error) {
	names, err := f.Names(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, name := range names {
		if CheckName(name) != nil {
			continue
		}
		e, err := Describe(f, filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		e.Name = name
		list = append(list, e)
	}
	return list, nil
}

// Describe looks at the files of one history. One that is not there is empty.
func Describe(f disk.FS, root string) (e Entry, err error) {
	if _, err := f.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	files, err := folder.Open(f, root).Files(time.Time{}, time.Time{})
	if err != nil {
		return e, err
	}
	for _, entry := range files {
		e.add(f, entry.Path, entry.Name)
	}
	return e, nil
}

// add counts one file. One that went away meanwhile was merged or has got too old.
func (e *Entry) add(f disk.FS, path string, n file.Name) {
	in, err := file.Open(f, path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	info, statErr := f.Stat(path)
	if statErr == nil {
		e.Bytes += info.Size()
	}
	if err != nil {
		e.Damaged = append(e.Damaged, fmt.Sprintf("%s: %v", path, strings.TrimPrefix(err.Error(), path+": ")))
		return
	}
	e.Rows += in.Rows
	in.Close()
	e.Files++
	if e.From.IsZero() || n.From.Before(e.From) {
		e.From = n.From
	}
	if n.To.After(e.To) {
		e.To = n.To
	}
}

// Remove removes an import.
func Remove(f disk.FS, root, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return Changing(f, root, func() error {
		path, gone := filepath.Join(root, name), filepath.Join(root, "."+name+goneSuffix)
		if _, err := f.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", name, ErrNone)
		}
		if err := f.Rename(path, gone); err != nil {
			return err
		}
		if err := disk.SyncDir(f, root); err != nil {
			return err
		}
		return removeTree(f, gone)
	})
}

// Changing calls change while no import runs. Without a folder of imports, there is nothing
// to change, and the error is [ErrNone].
func Changing(f disk.FS, root string, change func() error) error {
	if _, err := f.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	lock, err := lockRoot(f, root)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := recoverAll(f, root); err != nil {
		return err
	}
	return change()
}

// Adopt gives the files of a history that root has made to the owner of the folder above: else
// the instance, which runs as another user, could neither read nor remove them. For anyone
// but root there is nothing to do.
func Adopt(f disk.FS, history string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	above, err := f.Stat(filepath.Dir(history))
	if err != nil {
		return err
	}
	owner, ok := above.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return adopt(f, history, int(owner.Uid), int(owner.Gid))
}

// adopt gives a file, or a folder with all that is in it, to a user.
func adopt(f disk.FS, path string, uid, gid int) error {
	info, err := f.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		names, err := f.Names(path)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := adopt(f, filepath.Join(path, name), uid, gid); err != nil {
				return err
			}
		}
	}
	if of, ok := info.Sys().(*syscall.Stat_t); !ok || of.Uid != 0 || info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	return f.Chown(path, uid, gid)
}
