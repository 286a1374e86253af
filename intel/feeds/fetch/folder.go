package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.uber.org/zap"
)

// lockName is the file that a process holds while it works in the folder.
const lockName = "lock"

// openDir makes the folder ready for the files of this manager.
func (m *Manager) openDir() error {
	if m.dir == "" || m.opts.ReadOnly {
		return m.openTemp()
	}
	if err := os.MkdirAll(m.dir, 0o750); err != nil {
		return err
	}
	if err := m.takeLock(); err != nil {
		return err
	}
	if err := m.disk.Sweep(m.dir); err != nil {
		m.log.Warn("half-written files of an earlier process remain", zap.Error(err))
	}
	return nil
}

// takeLock keeps a second process from writing the same files. The lock file stays: to
// remove it would let in two.
func (m *Manager) takeLock() error {
	path := filepath.Join(m.dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s: another process keeps its feeds there; wait for its end, or set another state_dir", m.dir)
		}
		return fmt.Errorf("lock %s: %w", path, err)
	}
	m.lock = file
	return nil
}

// openTemp makes a folder that goes at the end. For one that only reads it begins with
// links to what the folder of the feeds holds: a file that is written takes the place of
// its link, never that of what is behind it.
func (m *Manager) openTemp() error {
	shared := m.dir
	dir, err := os.MkdirTemp("", "flowsnitch-")
	if err != nil {
		return err
	}
	m.dir, m.temp = dir, true
	if shared == "" {
		return nil
	}
	if shared, err = filepath.Abs(shared); err != nil {
		return err
	}
	entries, err := os.ReadDir(shared)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(shared, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// closeDir gives the folder free.
func (m *Manager) closeDir() {
	if m.lock != nil {
		_ = m.lock.Close()
	}
	if m.temp {
		_ = os.RemoveAll(m.dir)
	}
}
