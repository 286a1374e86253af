//go:build unix

package enrich

import "golang.org/x/sys/unix"

// reserve gives memory outside the heap: a database of 60 MB in the heap would let it grow by
// as much again before garbage is collected. The memory must be given back by release.
func reserve(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

// release gives memory back to the system. Nothing may use it any more.
func release(b []byte) { _ = unix.Munmap(b) }
