package disk

import "golang.org/x/sys/unix"

// Forget asks the kernel to drop what it keeps of the file in memory.
func (f osFile) Forget() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
