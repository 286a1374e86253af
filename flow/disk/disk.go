// Package disk is the file system as everything that keeps files uses it: the journal, the
// hit log, the copies of feeds and the files of the state directory. It is an interface, so
// that tests can make any call fail or hang (disktest), with a watch over calls that take
// long, and the few procedures that must be right everywhere: make a file anew, replace one, lock one.
package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// An FS makes the calls of package os that have the same names. Errors are those of
// package os as well.
type FS interface {
	Open(path string) (File, error)
	// A link at the end of a path is not followed but an error, as somebody else may have
	// prepared it, unless [FollowLinks] is among the flags. Links to folders on the way are.
	OpenFile(path string, flag int, mode fs.FileMode) (File, error)
	MkdirAll(path string, mode fs.FileMode) error
	// Names gives the names in a directory, sorted.
	Names(path string) ([]string, error)
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)
	Remove(path string) error
	Rename(from, to string) error
	// RenameNew renames a file, but replaces nothing: see [OS.RenameNew].
	RenameNew(from, to string) error
	Chmod(path string, mode fs.FileMode) error
	Chown(path string, uid, gid int) error
	// Chtimes dates a file.
	Chtimes(path string, date time.Time) error
}

// A File makes the calls of [os.File] that have the same names.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
	Chmod(mode fs.FileMode) error
	// Lock keeps other processes out for as long as the file is open. An error that is
	// [syscall.EWOULDBLOCK] means that one holds the lock.
	Lock() error
	// Forget makes room in the memory of the system after a file was read that is not going
	// to be read again soon. It may do nothing.
	Forget()
}

// OS is the file system of the machine.
type OS struct{}

var _ FS = OS{}

type osFile struct{ *os.File }

func (f osFile) Lock() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// FollowLinks is a flag for OpenFile: for what the operator names, and for folders.
const FollowLinks = 1 << 30 // none of the flags of open(2)

// Open opens a file for reading.
func (o OS) Open(path string) (File, error) { return o.OpenFile(path, os.O_RDONLY, 0) }

// OpenFile opens or creates a file.
func (OS) OpenFile(path string, flag int, mode fs.FileMode) (File, error) {
	if flag&FollowLinks != 0 {
		flag &^= FollowLinks
	} else {
		flag |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err // a nil *os.File within the interface would not be nil
	}
	return osFile{f}, nil
}

// MkdirAll makes a directory and its parents.
func (OS) MkdirAll(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Names reads a directory.
func (OS) Names(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Stat looks at a file behind links.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Lstat looks at a file or a link.
func (OS) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

// Remove removes a file.
func (OS) Remove(path string) error { return os.Remove(path) }

// Rename renames a file.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Chmod sets the mode of a file.
func (OS) Chmod(path string, mode fs.FileMode) error { return os.Chmod(path, mode) }

// Chown sets the owner of a file; -1 leaves it.
func (OS) Chown(path string, uid, gid int) error { return os.Chown(path, uid, gid) }

// Chtimes sets the time of the last change.
func (OS) Chtimes(path string, date time.Time) error { return os.Chtimes(path, time.Time{}, date) }

// Links gives the number of names that a file has; 0 = it was removed, and is only still
// open.
func Links(info fs.FileInfo) uint64 {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(s.Nlink)
}

// SyncDir brings the names in a directory to the disk. File systems that cannot do that
// keep no promise about names, and no error would help.
func SyncDir(f FS, path string) error {
	dir, err := f.OpenFile(path, os.O_RDONLY|FollowLinks, 0)
	if err != nil {
		return err
	}
	err = dir.Sync()
	_ = dir.Close()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Replace puts content in the place of a file in one step: whoever reads the file, after a
// power cut too, finds it as it was or as it is now. After an error it is as it was, unless
// only the name could not be brought to the disk. What stands at the name with .new behind
// it, where the content is written first, is removed: a link there is not followed, and a
// pipe does not block.
func Replace(f FS, path string, content []byte, mode fs.FileMode) error {
	return ReplaceBy(f, path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// OpenNew makes a file and opens it with flags of package os beside those that it sets. What
// stands at the path is removed before: a link there is not followed, a pipe does not block,
// and who still has the file open keeps it.
func OpenNew(f FS, path string, flags int, mode fs.FileMode) (File, error) {
	flags |= os.O_CREATE | os.O_EXCL
	file, err := f.OpenFile(path, flags, mode)
	if !errors.Is(err, fs.ErrExist) {
		return file, err
	}
	if err := f.Remove(path); err != nil {
		return nil, err
	}
	return f.OpenFile(path, flags, mode)
}

// ReplaceBy is Replace for content that is too large to be in memory as a whole. Writes
// are buffered.
func ReplaceBy(f FS, path string, mode fs.FileMode, write func(io.Writer) error) error {
	aside := path + ".new"
	file, err := OpenNew(f, aside, os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 64<<10)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = f.Rename(aside, path)
	}
	if err != nil {
		_ = f.Remove(aside)
		return err
	}
	return SyncDir(f, filepath.Dir(path))
}

// ErrLocked is within the error of [Lock] when another process holds the lock.
var ErrLocked = errors.New("another process holds it")

// Lock opens or creates a file and keeps other processes out for as long as it is open.
// The file must not be removed afterwards: another process may just be opening it, and
// two would have a lock.
func Lock(f FS, path string, mode fs.FileMode) (File, error) {
	file, err := f.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if err = file.Lock(); err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
