package jsonlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// dirMode is that of a directory that has to be made.
const dirMode = 0o750

// prepare sees to it that the file at the path is open, and is the one of today.
func (l *Log) prepare() error {
	if l.closed {
		return fmt.Errorf("%s: %w", l.cfg.Path, os.ErrClosed)
	}
	if l.file != nil && l.moved() {
		l.closeFile()
		l.count(&l.stats.Reopens, 1)
	}
	if l.file == nil {
		if err := l.openFile(); err != nil {
			return err
		}
		l.startCompressor()
	}
	return l.rotateDaily()
}

// moved reports whether the path leads to another file than the open one, or to
// none. It learns the size on the way: somebody may have truncated the file.
func (l *Log) moved() bool {
	info, err := l.disk.Stat(l.cfg.Path)
	if err != nil || !os.SameFile(info, l.info) {
		return true
	}
	l.size = info.Size()
	return false
}

// openFile opens or creates the file at the path and makes sure that it ends with a
// whole line.
func (l *Log) openFile() error {
	if err := l.makeDir(); err != nil {
		return err
	}
	if err := l.takeLock(); err != nil {
		return err
	}
	file, err := l.openOrCreate()
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return err
	}
	l.file, l.info, l.size, l.day = file, info, info.Size(), dayOf(l.date().Add(-disk.Age(l.now(), info.ModTime())))
	if err := l.endLine(); err != nil {
		l.closeFile()
		return err
	}
	return nil
}

// makeDir makes the directory of the log if there is none, for the group of the log
// to look into.
func (l *Log) makeDir() error {
	dir := filepath.Dir(l.cfg.Path)
	if _, err := l.disk.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.disk.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	if err := l.disk.Chmod(dir, dirMode); err != nil {
		return err
	}
	return l.setGroup(dir)
}

// openOrCreate opens the file for appending, and for reading its end. Mode and
// group are set on a file that it makes; one that is there keeps its own.
func (l *Log) openOrCreate() (disk.File, error) {
	const flags = os.O_RDWR | os.O_APPEND | disk.FollowLinks
	info, err := l.disk.Stat(l.cfg.Path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		// A pipe would block, a device has no end to repair.
		return nil, fmt.Errorf("%s: is not a regular file, the hit log must be one", l.cfg.Path)
	case err == nil:
		return l.disk.OpenFile(l.cfg.Path, flags, 0)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	file, err := l.disk.OpenFile(l.cfg.Path, flags|os.O_CREATE, os.FileMode(l.cfg.Mode))
	if err != nil {
		return nil, err
	}
	err = file.Chmod(os.FileMode(l.cfg.Mode))
	if err == nil {
		err = l.setGroup(l.cfg.Path)
	}
	if err != nil {
		// Left as it is, the next attempt would take it for a file that is right.
		_ = file.Close()
		return nil, errors.Join(err, l.disk.Remove(l.cfg.Path))
	}
	return file, nil
}

// setGroup gives what was made to the group of the log, if one is asked for.
func (l *Log) setGroup(path string) error {
	if l.gid < 0 {
		return nil
	}
	if err := l.disk.Chown(path, -1, l.gid); err != nil {
		return fmt.Errorf("group %s: %w", l.cfg.Group, err)
	}
	return nil
}

// endLine writes a newline if the file ends in half a line, so that the next event
// does not complete it.
func (l *Log) endLine() error {
	if l.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := l.file.ReadAt(last[:], l.size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := l.file.Write([]byte{'\n'})
	l.size += int64(n)
	if err == nil {
		l.count(&l.stats.Torn, 1)
	}
	return err
}

// append writes one line, to a new file if it would not fit in this one. After an
// error the file is closed: opening it anew finds out what is left of it.
func (l *Log) append(line []byte) error {
	if err := l.rotateBySize(len(line)); err != nil {
		return err
	}
	n, err := l.file.Write(line)
	if err != nil {
		if n > 0 && l.takeBack(line[:n]) {
			l.count(&l.stats.Repaired, 1)
		}
		l.closeFile()
		return err
	}
	l.size += int64(n)
	l.count(&l.stats.Lines, 1)
	l.count(&l.stats.Bytes, n)
	return nil
}

// takeBack cuts a part of a line off the end of the file, if it is the end.
func (l *Log) takeBack(part []byte) bool {
	info, err := l.file.Stat()
	if err != nil || info.Size() < int64(len(part)) {
		return false
	}
	end := make([]byte, len(part))
	start := info.Size() - int64(len(part))
	if _, err := l.file.ReadAt(end, start); err != nil || !bytes.Equal(end, part) {
		return false
	}
	return l.file.Truncate(start) == nil
}

// closeFile closes the file, if it is open.
func (l *Log) closeFile() {
	if l.file == nil {
		return
	}
	_ = l.failed(l.file.Close())
	l.file, l.info = nil, nil
}

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
