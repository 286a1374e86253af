//go:build unix

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space gives how many bytes of the file system of a path we may still write, and how many
// it has.
func Space(path string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", path, err)
	}
	size := uint64(s.Bsize)
	return uint64(max(s.Bavail, 0)) * size, uint64(s.Blocks) * size, nil
}
