package journal

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// openOn opens the journal in dir on another file system.
func openOn(dir string, d Durability, files disk.FS) (*Journal, OpenReport, error) {
	cfg := DefaultConfig()
	cfg.Dir, cfg.Durability = dir, d
	cfg.SegmentBytes, cfg.MaxBytes, cfg.MemoryBytes = 64<<10, 1<<20, 4<<20
	return openOnDisk(cfg, files)
}

// A fault is what happens to the calls from one on.
type fault struct {
	name string
	err  error         // nil = they hang
	long time.Duration // 0 = to one call alone
}

var faults = []fault{
	{"EIO", syscall.EIO, 0},
	{"ENOSPC", syscall.ENOSPC, 0},
	{"EMFILE", syscall.EMFILE, 0},
	{"EIO for a minute", syscall.EIO, time.Minute},
	{"ESTALE for a minute", syscall.ESTALE, time.Minute},
	{"hangs for a minute", nil, time.Minute},
}

// A faultyRun is one run of the journal with a fault at one call.
type faultyRun struct {
	t     *testing.T
	dir   string
	fault fault
	at    int
	files *disktest.Faults
	said  bool // that something is wrong

	worked, stopping, stopped int // calls until the work was done, the stop began and ended

	mu      sync.Mutex
	began   time.Time // of the fault; zero = not yet
	hit     string    // the first call that it met
	journal *Journal
	sinks   map[string]*fakeSink
}

// hook is the fault. It holds that the journal's lock is free during every call.
func (f *faultyRun) hook(c disktest.Call) error {
	f.mu.Lock()
	j := f.journal
	if c.Index == f.at {
		f.began, f.hit = time.Now(), c.What+" "+filepath.Base(c.Path)
	}
	ill := !f.began.IsZero() && (c.Index == f.at || time.Since(f.began) < f.fault.long)
	left := f.fault.long - time.Since(f.began)
	f.mu.Unlock()
	if j != nil {
		f.checkLock(j, c)
	}
	switch {
	case !ill:
		return nil
	case f.fault.err == nil:
		time.Sleep(left)
	}
	return f.fault.err
}

// checkLock fails when the lock is held for longer than others may hold it.
func (f *faultyRun) checkLock(j *Journal, c disktest.Call) {
	for range 1_000_000 {
		if j.mu.TryLock() {
			j.mu.Unlock()
			return
		}
		runtime.Gosched()
	}
	f.t.Errorf("the lock is held during %s %s", c.What, c.Path)
}

// open opens the journal as a service does that is started again when that fails.
func (f *faultyRun) open() *Journal {
	for range 100 {
		j, report, err := openOn(f.dir, Always, f.files)
		f.said = f.said || err != nil || report.Damaged()
		if err == nil {
			return j
		}
		time.Sleep(time.Second)
	}
	f.t.Fatalf("%s at call %d: cannot be opened", f.fault.name, f.at)
	return nil
}

// TestJournalFaults lets every call to the disk fail and hang in turn: Append and Stats
// never wait for the disk, it is named while it is ill, all is OK again by itself, and
// every sink gets every event.
func TestJournalFaults(t *testing.T) {
	sound := &faultyRun{dir: t.TempDir(), at: -1}
	synctest.Test(t, func(t *testing.T) {
		sound.t = t
		sound.run()
	})
	if sound.worked < 150 || sound.stopped-sound.stopping < 15 {
		t.Fatalf("only %d calls, %d to %d of the stop", sound.worked, sound.stopping, sound.stopped)
	}
	for i, one := range faults {
		step := 5 // the first and the last at every call, the others at every fifth
		switch {
		case raceEnabled && testLane != ordinary:
			step = 46
		case testing.Short() || raceEnabled:
			step = 23
		case i == 0 || i == len(faults)-1:
			step = 1
		}
		t.Run(one.name, func(t *testing.T) {
			for at := i % step; at < sound.stopped; at += step {
				if at >= sound.worked && at < sound.stopping {
					continue // nothing but looks whether all is there
				}
				synctest.Test(t, func(t *testing.T) {
					(&faultyRun{t: t, dir: t.TempDir(), fault: one, at: at}).run()
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (f *faultyRun) run() {
	t := f.t
	f.files = &disktest.Faults{Hook: f.hook, Part: 100}
	// A run before leaves something to read.
	j, _, err := openOn(f.dir, Always, new(disktest.Faults))
	if err != nil {
		t.Fatal(err)
	}
	runners := []*sinks.Runner{newRunner(t, j, named{&fakeSink{}, "good"}), newRunner(t, j, named{&fakeSink{}, "late"})}
	j.Start()
	add(t, j, large(0, 100))
	stopAll(t, j, runners...)

	j = f.open()
	f.mu.Lock()
	f.journal = j
	f.mu.Unlock()
	good := named{&fakeSink{}, "good"}
	var away sync.Mutex
	isAway := true
	late := named{&fakeSink{Answer: func(context.Context, int, int) error {
		away.Lock()
		defer away.Unlock()
		if isAway {
			return &sinks.RetryError{Err: errAway}
		}
		return nil
	}}, "late"}
	f.sinks = map[string]*fakeSink{"good": good.fakeSink, "late": late.fakeSink}
	runners = []*sinks.Runner{newRunner(t, j, good), newRunner(t, j, late)}
	j.Start()
	for _, r := range runners {
		r.Start()
	}
	for i := range 12 {
		began := time.Now()
		err := j.Append(large(100+100*i, 100))
		if d := time.Since(began); d > appendWait {
			t.Fatalf("%s at call %d (%s): Append took %v", f.fault.name, f.at, f.hit, d)
		}
		f.said = f.said || err != nil
		for range 2 {
			time.Sleep(time.Second)
			s := j.Stats()
			f.said = f.said || s.Trouble != "" || s.ReadTrouble != ""
		}
		if i == 8 { // the outage is over: from disk and memory
			away.Lock()
			isAway = false
			away.Unlock()
		}
	}
	f.worked = f.files.Calls()
	time.Sleep(3*time.Minute + 500*time.Millisecond) // not at the moment of one of the looks
	synctest.Wait()
	if f.met() { // at the very end, perhaps
		time.Sleep(f.fault.long + 5*time.Second)
	}
	s := j.Stats()
	if s.Trouble != "" || s.ReadTrouble != "" {
		t.Fatalf("%s at call %d (%s): not OK again: %+v", f.fault.name, f.at, f.hit, s)
	}
	if f.met() && s.LastError == "" && !f.said && !f.harmless() {
		t.Fatalf("%s at call %d (%s): not named: %+v", f.fault.name, f.at, f.hit, s)
	}
	for i, sink := range []named{good, late} {
		c := checkCursor(t, runners[i])
		if got := unique(sink.Got); !slices.Equal(got, numbers(0, 1300)) || c.Dropped != 0 || c.Pending != 0 {
			t.Fatalf("%s at call %d (%s): %s has %d of 1300, %+v, %+v", f.fault.name, f.at, f.hit, sink.name, len(got), c, s)
		}
	}
	f.stop(j, runners)
}

// stop stops, with a fault or without: what was not delivered comes after the next start.
func (f *faultyRun) stop(j *Journal, runners []*sinks.Runner) {
	t := f.t
	f.stopping = f.files.Calls()
	_ = j.Append(large(1300, 100)) // may be in memory only
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var failed []error
	var wait sync.WaitGroup
	for _, r := range runners {
		wait.Go(func() { _ = r.Stop(ctx) })
	}
	wait.Wait()
	failed = append(failed, j.Stop(ctx))
	f.stopped = f.files.Calls()
	if d := time.Since(began); d > 10*time.Second {
		t.Fatalf("%s at call %d (%s): the stop took %v", f.fault.name, f.at, f.hit, d)
	}
	time.Sleep(2 * time.Minute) // the process does not end in a test: what hangs comes back
	synctest.Wait()
	for _, l := range j.lanes {
		l.dir.Close()
	}
	for _, name := range []string{"good", "late"} {
		next, report, err := openOn(f.dir, Always, new(disktest.Faults))
		if err != nil {
			t.Fatal(err)
		}
		sink := named{&fakeSink{}, name}
		r := newRunner(t, next, sink)
		next.Start()
		r.Start()
		stopAll(t, next, r)
		had := f.sinks[name].Got
		if got := unique(append(slices.Clone(had), sink.Got...)); !slices.Equal(got, numbers(0, 1400)) && errors.Join(failed...) == nil {
			t.Fatalf("%s at call %d (%s): after the restart %s has %d of 1400, %v, %+v", f.fault.name, f.at, f.hit, name, len(got), report, r.Stats())
		}
	}
}

func (f *faultyRun) met() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.began.IsZero()
}

// harmless reports whether the call may fail without a word: closing what was synced or
// only read, looking whether a file is there, and what is tried again before anybody
// could look.
func (f *faultyRun) harmless() bool {
	what, _, _ := strings.Cut(f.hit, " ")
	return slices.Contains([]string{"close", "lstat"}, what)
}

// large gives numbered events of some size, so that there are several segments.
func large(first, n int) []event.Event {
	events := numbered(first, n)
	for i := range events {
		events[i].Reason = strings.Repeat("x", 300)
	}
	return events
}

// unique sorts numbers and removes those that came twice.
func unique(all []uint64) []uint64 {
	all = slices.Sorted(slices.Values(all))
	return slices.Compact(all)
}
