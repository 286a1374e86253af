package link

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent gives the number of bytes in the kernel's send queue: written, but not
// acknowledged by the peer's kernel. ok is false when that cannot be determined.
func unsent(raw syscall.RawConn) (n uint64, ok bool) {
	var queued int
	var failed error
	err := raw.Control(func(fd uintptr) { queued, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil || failed != nil || queued < 0 {
		return 0, false
	}
	return uint64(queued), true
}
