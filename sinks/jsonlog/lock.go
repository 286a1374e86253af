package jsonlog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeLock takes the lock beside the log, unless it is held. The log itself could
// not carry it: it is another file after each rotation. The lock file is never
// removed, for another process might just be opening it.
func (l *Log) takeLock() error {
	path := l.cfg.Path + ".lock"
	if l.holds(path) {
		return nil
	}
	file, err := l.disk.OpenFile(path, os.O_RDWR|os.O_CREATE, os.FileMode(l.cfg.Mode))
	if err != nil {
		return err
	}
	if err := file.Lock(); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s: is written by another process, which holds %s: give each its own path", l.cfg.Path, path)
		}
		return fmt.Errorf("lock %s: %w", path, err)
	}
	if l.lock != nil {
		_ = l.lock.Close()
	}
	l.lock = file
	return nil
}

// holds reports whether the lock is held on the file that is at path now: it
// goes with its directory.
func (l *Log) holds(path string) bool {
	if l.lock == nil {
		return false
	}
	held, err := l.lock.Stat()
	if err != nil {
		return false
	}
	there, err := l.disk.Stat(path)
	return err == nil && os.SameFile(held, there)
}
