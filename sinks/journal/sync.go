package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/internal/disk"
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

// A syncing is one sync of a segment, and what it covers.
type syncing struct {
	s    *segment
	file disk.File
	end  uint64
	size int64
	err  error
}

// syncSegments syncs the segments that were written to, the directory if there are
// new ones, and closes those that are sealed.
func (j *Journal) syncSegments() {
	list, fresh := j.toSync()
	for i := range list {
		list[i].err = list[i].file.Sync()
	}
	var names error
	if len(fresh) > 0 {
		names = disk.SyncDir(j.disk, j.cfg.Dir)
	}
	for _, s := range j.synced(list, fresh, names) {
		j.closeSegment(s)
	}
}

// toSync gives the files that were written to, and the segments that are new.
func (j *Journal) toSync() (list []syncing, fresh []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.dirty && s.file != nil {
			list = append(list, syncing{s: s, file: s.file, end: s.end, size: s.size})
			s.dirty = false
		}
		if s.fresh {
			fresh = append(fresh, s)
		}
	}
	return list, fresh
}

// synced notes the outcome of all syncs, and gives the segments that can be closed.
// After a sync that failed the kernel takes the pages for clean, and the next sync
// reports success: what it covered is only safe when it is written again.
func (j *Journal) synced(list []syncing, fresh []*segment, names error) (sealed []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, one := range list {
		j.stats.Syncs++
		s := one.s
		switch {
		case errors.Is(one.err, os.ErrClosed): // the journal has let go of it meanwhile
		case one.err != nil:
			j.stats.SyncErrors++
			s.failed = true
			j.again = fmt.Errorf("sync %s: %w", s.path, one.err)
			j.trouble, j.tried = j.again, time.Time{}
			j.stats.failed(j.again)
		case s.fresh && names != nil:
			s.dirty = true
		case !s.failed:
			s.synced, s.syncedSize = one.end, one.size
		}
	}
	if len(fresh) > 0 {
		j.stats.Syncs++
		if names != nil {
			j.stats.SyncErrors++
			names = fmt.Errorf("sync %s: %w", j.cfg.Dir, names)
		}
		j.setTrouble(troubleNames, names)
		for _, s := range fresh {
			s.fresh = names != nil
		}
	}
	if j.again != nil {
		j.wakeAll()
		signal(j.due)
	}
	j.safeTo = j.safe()
	for _, s := range j.segments {
		if s != j.active && !s.dirty && !s.fresh && !s.failed && s.file != nil {
			sealed = append(sealed, s)
		}
	}
	return sealed
}

// safe gives the number before which the disk has all for good that was written.
func (j *Journal) safe() uint64 {
	for _, s := range j.segments {
		if s.synced < s.end {
			return s.synced
		}
	}
	return math.MaxUint64
}
