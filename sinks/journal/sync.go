package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// syncLoop brings what was written to the disk, in a goroutine of its own: a card
// takes its time, and neither Append nor the cursors shall wait for it.
func (l *lane) syncLoop() {
	tick := time.NewTicker(l.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.syncSegments()
		case <-l.quit:
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
func (l *lane) syncSegments() {
	list, fresh := l.toSync()
	for i := range list {
		list[i].err = list[i].file.Sync()
	}
	var names error
	if len(fresh) > 0 {
		names = disk.SyncDir(l.disk, l.cfg.Dir)
	}
	for _, s := range l.synced(list, fresh, names) {
		l.closeSegment(s)
	}
}

// toSync gives the files that were written to, and the segments that are new.
func (l *lane) toSync() (list []syncing, fresh []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
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
func (l *lane) synced(list []syncing, fresh []*segment, names error) (sealed []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range list {
		l.stats.Syncs++
		s := one.s
		switch {
		case errors.Is(one.err, os.ErrClosed): // the journal has let go of it meanwhile
		case one.err != nil:
			l.stats.SyncErrors++
			s.failed = true
			l.again = fmt.Errorf("sync %s: %w", s.path, one.err)
			l.trouble, l.tried = l.again, time.Time{}
			l.stats.failed(l.again)
		case s.fresh && names != nil:
			s.dirty = true
		case !s.failed:
			s.synced, s.syncedSize = one.end, one.size
		}
	}
	if len(fresh) > 0 {
		l.stats.Syncs++
		if names != nil {
			l.stats.SyncErrors++
			names = fmt.Errorf("sync %s: %w", l.cfg.Dir, names)
		}
		l.setTrouble(troubleNames, names)
		for _, s := range fresh {
			s.fresh = names != nil
		}
	}
	if l.again != nil {
		l.wakeAll()
		signal(l.due)
	}
	l.safeTo = l.safe()
	for _, s := range l.segments {
		if s != l.active && !s.dirty && !s.fresh && !s.failed && s.file != nil {
			sealed = append(sealed, s)
		}
	}
	return sealed
}

// safe gives the number before which the disk has all for good that was written.
func (l *lane) safe() uint64 {
	for _, s := range l.segments {
		if s.synced < s.end {
			return s.synced
		}
	}
	return math.MaxUint64
}
