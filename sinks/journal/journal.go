package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// appendWait is the longest time that Append waits for the disk. After it the
// disk counts as failing until it moves again.
const appendWait = 250 * time.Millisecond

// syncWait is the longest time that Sync waits for a lane.
const syncWait = 10 * time.Second

// The reasons why Append has kept events in memory only.
var (
	ErrStopped  = errors.New("the journal is stopped")
	errSlowDisk = fmt.Errorf("the disk did not take it within %v", appendWait)
)

// The lanes of a journal, the first to be read first.
const (
	urgent   = iota // events of high and critical severity, and alerts
	ordinary        // all others
	lanes
)

// laneOf gives the lane of an event.
func laneOf(e *event.Event) int {
	if e.Kind == event.KindAlert || e.Severity >= event.High && e.Kind != event.KindCanary {
		return urgent
	}
	return ordinary
}

// urgentDir is the directory of the urgent lane within that of the journal, which is the
// other lane's: journals of before had one lane.
const urgentDir = "urgent"

// A Journal holds events from the moment they exist until every sink has had them,
// in memory and in files, bounded in bytes and age. The sinks follow, each with a
// [Cursor]. All methods may be called from any goroutine.
type Journal struct {
	cfg  Config
	disk *disk.Watch
	wait time.Duration // of Append, for the disk: appendWait

	start, stop sync.Once
	stopErr     error

	// The lanes share the lock, so that what is in both is seen, bounded and lost at one
	// moment. It guards what is in memory, and where the sinks are: the lanes, their room,
	// and all of package position but its files. No call to the disk is made under it, for
	// Append and Stats need it and wait for nothing else.
	//
	// What the disk may hold up has gates: [position.Set] has one for its files, and
	// [folder.Folder] one for making and removing files. They are taken before the lock, in
	// this order. [segment.Files] and [folder.Health] have locks of their own, which are
	// taken after it, and under which nothing is called.
	mu      *sync.Mutex
	lanes   [lanes]*lane
	closed  bool
	refused uint64
}

// Open opens the journal, repairs its end and reads the places of the sinks. Nothing is
// written before Start but the repair. The error is about cfg, about a directory
// that cannot be used, or about another process that uses it.
func Open(cfg Config) (*Journal, OpenReport, error) {
	return openOnDisk(cfg, disk.OS{})
}

func openOnDisk(cfg Config, files disk.FS) (*Journal, OpenReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, OpenReport{}, err
	}
	j := &Journal{cfg: cfg, disk: disk.NewWatch(files), wait: appendWait, mu: new(sync.Mutex)}
	var report OpenReport
	for _, i := range []int{ordinary, urgent} {
		lc, what := cfg, ""
		if i == urgent {
			what = "urgent "
			if cfg.Dir != "" {
				lc.Dir = filepath.Join(cfg.Dir, urgentDir)
			}
		}
		l, err := openLane(lc, what, j.disk, j.mu, &report)
		if err != nil {
			j.closeFiles()
			return nil, report, fmt.Errorf("journal %w", err)
		}
		j.lanes[i] = l
	}
	shareRoom(cfg, j.lanes)
	return j, report, nil
}

func (j *Journal) closeFiles() {
	for _, l := range j.lanes {
		if l != nil {
			l.closeFiles()
		}
	}
}

// Start starts writing. Only the first call does anything, and none after Stop.
// Runners may be made before or after; what a sink of the run before still has to
// get is kept for a minute, until its runner is there.
func (j *Journal) Start() {
	j.start.Do(func() {
		for _, l := range j.lanes {
			l.start()
		}
	})
}

// Append adds events, in order, and returns when they are as safe as the
// durability asks: with [Always] they are in the file, else in memory. The events
// are copied. They exist from then on, and only then sinks see them. Those of the
// urgent lane keep their order among themselves, and so do the others.
//
// An error means that some are in memory only, for the disk is full, fails or is
// too slow; sinks get them all the same. No more than memory_bytes are held so:
// the oldest go, counted. It never waits longer than a quarter of a second, and
// while the disk is in trouble not at all. After Stop events are refused, counted.
func (j *Journal) Append(events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	j.mu.Lock()
	if j.closed {
		j.refused += uint64(len(events))
		j.mu.Unlock()
		return ErrStopped
	}
	now := time.Now()
	var before, after [lanes]uint64
	for i, l := range j.lanes {
		before[i] = l.next
	}
	for i := range events {
		j.lanes[laneOf(&events[i])].push(&events[i], now)
	}
	j.lanes[0].room.holdMemory()
	for i, l := range j.lanes {
		if after[i] = l.next; after[i] > before[i] {
			l.offer()
		}
	}
	j.mu.Unlock()
	if j.cfg.Durability != Always {
		return nil
	}
	var failed error
	for i, l := range j.lanes {
		if after[i] > before[i] {
			failed = errors.Join(failed, l.await(after[i], j.wait-time.Since(now)))
		}
	}
	return failed
}

// Sync brings to the disk, now and not within sync_every, what Append has taken without an
// error, so that a power cut does not take it either. It is for callers that record elsewhere
// that their events have been sent. With a durability other than [Always] it does nothing. It
// waits syncWait at most for each lane; after an error it is not known how much is on the disk.
func (j *Journal) Sync() error {
	if j.cfg.Durability != Always {
		return nil
	}
	var failed error
	for _, l := range j.lanes {
		failed = errors.Join(failed, l.awaitSync(syncWait))
	}
	return failed
}

// Stop ends the journal after its runners. What is only in memory is written,
// unless the durability is memory, and the places are saved. The error reports
// what was lost for whom. Further calls return the same.
func (j *Journal) Stop(ctx context.Context) error {
	j.stop.Do(func() {
		j.mu.Lock()
		j.closed = true
		j.mu.Unlock()
		j.start.Do(func() {}) // never started: there is nothing to wait for
		var errs [lanes]error
		var both sync.WaitGroup
		for i, l := range j.lanes {
			both.Go(func() { errs[i] = l.shutdown(ctx) })
		}
		both.Wait()
		j.stopErr = errors.Join(errs[:]...)
	})
	return j.stopErr
}

// signal leaves a token unless one lies there already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
