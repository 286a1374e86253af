//go:build !linux

package link

import "syscall"

// unsent cannot be determined here.
func unsent(syscall.RawConn) (n uint64, ok bool) { return 0, false }
