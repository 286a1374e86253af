//go:build !linux

package disk

import "syscall"

func renameExclusive(string, string) error { return syscall.ENOSYS }
