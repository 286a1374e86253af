package journal

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// trialBytes is what a disk that was in trouble must take before it is trusted again. It
// is so much that a full one does not look well for the sake of a few free blocks.
const trialBytes = 64 << 10

// tryDisk finds out whether a disk that was in trouble takes events again while none is
// to be written. There may never be one: where sinks are quick, they have had each from
// memory before it is its turn.
func (l *lane) tryDisk() {
	l.mu.Lock()
	idle := l.trouble == nil || l.again != nil || l.resting() || l.closed
	l.mu.Unlock()
	if idle {
		return
	}
	err := l.trial()
	if err != nil {
		l.failedToWrite(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble, l.tried = err, time.Now()
	if err == nil {
		l.trouble = l.again
	}
	l.wakeAll()
}

// trial writes and syncs a file beside the segments and removes it.
func (l *lane) trial() error {
	if err := l.checkDir(); err != nil {
		return err
	}
	path := filepath.Join(l.cfg.Dir, "trial")
	file, err := l.disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		_ = l.disk.Remove(path) // a link or what else is in the way
		return err
	}
	err = writeAll(file, make([]byte, trialBytes))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), l.disk.Remove(path))
}
