package sinks

import (
	"errors"
	"os"
	"time"
)

// syncLoop brings what was written to the disk, in a goroutine of its own: a card
// takes its time, and neither Append nor the cursors shall wait for it.
func (j *Journal) syncLoop() {
	tick := time.NewTicker(j.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.syncSegments()
		case <-j.quit:
			return
		}
	}
}

// syncSegments syncs the segments that were written to, the directory if there are
// new ones, and closes those that are sealed.
func (j *Journal) syncSegments() {
	files, fresh := j.toSync()
	for _, f := range files {
		j.synced(j.sync(f))
	}
	if fresh {
		j.synced(syncDir(j.cfg.Dir))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s != j.active && !s.dirty && s.file != nil {
			_ = s.file.Close()
			s.file = nil
		}
	}
}

// toSync gives the files that were written to, and whether there are new ones.
func (j *Journal) toSync() (files []*os.File, fresh bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.dirty {
			files = append(files, s.file)
		}
		fresh = fresh || s.fresh
		s.dirty, s.fresh = false, false
	}
	return files, fresh
}

// synced counts a sync.
func (j *Journal) synced(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Syncs++
	if err != nil && !errors.Is(err, os.ErrClosed) { // closed: dropped meanwhile
		j.stats.SyncErrors++
		j.stats.failed(err)
	}
}

// syncDir brings the names in a directory to the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
