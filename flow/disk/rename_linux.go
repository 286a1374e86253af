package disk

import "golang.org/x/sys/unix"

// renameExclusive renames a file where nothing has the new name; kernels have it since 3.15.
func renameExclusive(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}
