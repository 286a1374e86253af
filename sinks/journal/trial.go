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
func (j *Journal) tryDisk() {
	j.mu.Lock()
	idle := j.trouble == nil || j.again != nil || j.resting() || j.closed
	j.mu.Unlock()
	if idle {
		return
	}
	err := j.trial()
	if err != nil {
		j.failedToWrite(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trouble, j.tried = err, time.Now()
	if err == nil {
		j.trouble = j.again
	}
	j.wakeAll()
}

// trial writes and syncs a file beside the segments and removes it.
func (j *Journal) trial() error {
	if err := j.checkDir(); err != nil {
		return err
	}
	path := filepath.Join(j.cfg.Dir, "trial")
	file, err := j.disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		_ = j.disk.Remove(path) // a link or what else is in the way
		return err
	}
	err = writeAll(file, make([]byte, trialBytes))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), j.disk.Remove(path))
}
