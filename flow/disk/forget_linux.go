package disk

import "golang.org/x/sys/unix"

// Forget has the kernel drop what it keeps of the file in memory, if it likes.
func (f osFile) Forget() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
