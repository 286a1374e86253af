package jsonlog

import (
	"errors"
	"fmt"
	"os"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// takeLock takes the lock beside the log, unless it is held. The log itself could
// not carry it: it is another file after each rotation. The lock file is never
// removed, for another process might just be opening it.
func (l *Log) takeLock() error {
	path := l.cfg.Path + ".lock"
	if l.holds(path) {
		return nil
	}
	file, err := disk.Lock(l.disk, path, os.FileMode(l.cfg.Mode))
	if errors.Is(err, disk.ErrLocked) {
		return fmt.Errorf("%s: is written by another process, which holds %s: give each its own path", l.cfg.Path, path)
	}
	if err != nil {
		return err
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
