package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// What can be wrong with the disk while it takes events.
const (
	troubleNames     = iota // the directory is not synced
	troublePositions        // a cursor or the list of sinks is not saved
	troubleRemove           // a file is not removed
	troublePlace            // the directory is not there
	troubleKinds
)

// troubles holds what is wrong now, by kind.
type troubles [troubleKinds]error

// note notes that something is wrong, or with nil that it is right again.
func (l *lane) note(kind int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setTrouble(kind, err)
}

// setTrouble is note under the lock.
func (l *lane) setTrouble(kind int, err error) {
	l.troubles[kind] = err
	if err != nil {
		l.stats.failed(err)
	}
}

// checkDir makes sure that the directory is the one that the journal was opened in,
// before something is made there or taken for gone. A file system that was unmounted or
// has lost its server may leave another directory in that place; what is written there
// would be hidden when it comes back. The lock file shows the difference: it has no name
// any more where it was removed. Then directory and lock are made anew.
func (l *lane) checkDir() error {
	l.place.Lock()
	defer l.place.Unlock()
	err := l.findDir()
	l.note(troublePlace, err)
	return err
}

func (l *lane) findDir() error {
	l.mu.Lock()
	lock := l.lock
	l.mu.Unlock()
	held, err := lock.Stat()
	if err != nil {
		return err
	}
	there, err := l.disk.Stat(lockPath(l.cfg.Dir))
	switch {
	case err == nil && os.SameFile(held, there):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case disk.Links(held) > 0 && err == nil:
		return fmt.Errorf("%s: another directory is in the place of the journal", l.cfg.Dir)
	case disk.Links(held) > 0:
		return fmt.Errorf("%s: is away: %w", l.cfg.Dir, err)
	}
	if err := l.disk.MkdirAll(l.cfg.Dir, 0o750); err != nil {
		return err
	}
	fresh, err := lockDir(l.disk, l.cfg.Dir)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.lock = fresh
	l.mu.Unlock()
	_ = lock.Close()
	return nil
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }
