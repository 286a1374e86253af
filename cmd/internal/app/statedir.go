package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openStateDir makes the state directory if it is not there. It refuses one in which others
// could have prepared links and files for us; concern is what is odd about it otherwise.
func openStateDir(dir string) (concern string, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("state directory %s: %w; set state_dir to one that can be written", dir, pathCause(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("state directory %s: %w", dir, pathCause(err))
	}
	owner, us := ownerOf(info), os.Geteuid()
	open := info.Mode().Perm()&0o002 != 0
	switch {
	case owner != us && owner > 0:
		return "", fmt.Errorf("state directory %s: belongs to uid %d, must belong to uid %d, which runs flowsnitch, or to root; change its owner or set another state_dir", dir, owner, us)
	case owner != us && open:
		return "", fmt.Errorf("state directory %s: belongs to root and everybody can write to it (mode %04o): chown %d it, chmod o-w it, or set another state_dir", dir, info.Mode().Perm(), us)
	case info.Mode().Perm()&0o022 != 0 && (open || owner == us):
		return fmt.Sprintf("others can write to the state directory %s (mode %04o): chmod go-w it", dir, info.Mode().Perm()), nil
	}
	return "", nil
}

// ownerOf gives the user id of the owner, -1 where the system does not say it.
func ownerOf(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// HandOver gives a file in the state directory that a command of root has written to the
// user that the directory belongs to: an instance must be able to read it.
func HandOver(dir, name string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	err = os.Lchown(filepath.Join(dir, name), int(s.Uid), int(s.Gid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// linked reports whether a file in the state directory is a link: what is ours there is
// never reached by one. Elsewhere a link is the word of whoever set the path.
func linked(stateDir, path string) error {
	if filepath.Dir(filepath.Clean(path)) != filepath.Clean(stateDir) {
		return nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return fmt.Errorf("hit log %s: is a link, and links in the state directory are not followed; set the path of the hit log to the place itself", path)
	}
	return nil
}
