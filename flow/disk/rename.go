package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// RenameNew renames a file to a name that nothing has. With something at the name, also a
// link to nowhere, the error is [fs.ErrExist] and both stay. A kernel that can does it in
// one step, and so does a file system that has hard links; where there is neither, a file
// that another process makes at the same moment is lost.
func (o OS) RenameNew(from, to string) error {
	err := renameExclusive(from, to)
	if !unavailable(err) {
		return linkError(from, to, err)
	}
	return renameByLink(o, from, to)
}

// renameByLink is RenameNew without the help of the kernel.
func renameByLink(f FS, from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return f.Remove(from)
	}
	if !unavailable(err) {
		return err
	}
	if _, err := f.Lstat(to); err == nil {
		return linkError(from, to, syscall.EEXIST)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.Rename(from, to)
}

// unavailable recognises the errors of a kernel, a file system or a filter of system calls
// that does not have a call.
func unavailable(err error) bool {
	for _, e := range []error{syscall.ENOSYS, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EPERM, errors.ErrUnsupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func linkError(from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
