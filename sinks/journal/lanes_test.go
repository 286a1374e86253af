package journal

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/memory"
)

// TestUrgentLane holds the urgent lane to what the other tests hold the ordinary one to,
// and lets the disk fail while both are used.
func TestUrgentLane(t *testing.T) {
	defer func(before int) { testLane = before }(testLane)
	testLane = urgent
	for name, test := range map[string]func(*testing.T){
		"crash": TestJournalSurvivesACrash, "places": TestJournalGoesOnWhereItWas, "new sink": TestJournalNewSinkGetsWhatIsUndelivered,
		"repeats": TestJournalRepeatsAfterACrash, "torn tail": TestJournalTornTail, "bit flips": TestJournalBitFlips,
		"numbers": TestJournalNumbersAreNotUsedAgain, "full": TestJournalFull, "old": TestJournalDropsWhatIsTooOld,
		"age": TestJournalAgeIsKept, "nothing written": TestOnOutageWritesNothingWhileAllIsWell, "spill": TestOnOutageSpills,
		"stop": TestOnOutageStopKeeps, "forgotten sinks": TestJournalForgetsSinks, "bad cursor": TestJournalBadCursor, "bad cursor of one": TestJournalBadCursorOfOneSink,
		"removed": TestJournalIsRemoved, "reload": TestRunnerComesBack, "disk fails": TestJournalDiskFails, "disk recovers": TestJournalDiskRecoversIdle,
		"disk fails for good": TestJournalDiskFailsForGood, "disk hangs": TestJournalDiskHangs, "load": TestJournalUnderLoad,
		"read again": TestJournalReadIsTriedForEver, "folder away": TestJournalFolderIsAway, "sync": TestJournalSyncFails, "hangs": TestJournalDiskHangsEverywhere,
		"limit": TestLimitAndRepeats, "cursor missing": TestCursorIsMissing, "lost end": TestJournalLostEnd,
		"delivered": TestJournalDeliveredIsNotLost, "unreadable segment": TestLastSegmentUnreadable, "unreadable cursor": TestCursorUnreadable,
		"faults": TestJournalFaults,
	} {
		t.Run(name, test)
	}
	testLane = lanes
	t.Run("faults in both", TestJournalFaults)
}

// of gives events numbered from first on, all of one severity, with a text of some size.
func of(s event.Severity, first, n int) []event.Event {
	events := large(first, n)
	for i := range events {
		events[i].Severity = s
	}
	return events
}

// TestLaneOfAnEvent holds what is urgent.
func TestLaneOfAnEvent(t *testing.T) {
	for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
		for s := event.Low; s <= event.Critical; s++ {
			want := ordinary
			if kind == event.KindAlert || s >= event.High && kind != event.KindCanary {
				want = urgent
			}
			if got := laneOf(&event.Event{Kind: kind, Severity: s}); got != want {
				t.Errorf("%s %v: lane %d, want %d", kind, s, got, want)
			}
		}
	}
}

// TestUrgentComesFirst: events that are urgent are sent before those that wait in the
// other lane, also before the rest of a batch that the sink could not take; each lane
// keeps its order, over a restart too.
func TestUrgentComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		sink := named{&fakeSink{Answer: func(_ context.Context, call, n int) error {
			if back.Load() {
				return nil
			}
			return &sinks.RetryError{Sent: map[bool]int{true: 3}[call == 0], Err: errAway}
		}}, "a"}
		dir := t.TempDir()
		j, _ := openDir(t, dir, Always, roomy)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.Batch, c.BackoffMax = 10, time.Second })
		j.Start()
		r.Start()
		add(t, j, of(event.Medium, 0, 30))
		time.Sleep(10 * time.Second)
		add(t, j, of(event.Critical, 100, 5))
		if s := checkCursor(t, r); s.Delivered != 3 || s.Pending != 32 || s.PendingUrgent != 5 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
		back.Store(true)
		j, _ = openDir(t, dir, Always, roomy)
		r = newRunner(t, j, sink)
		j.Start()
		r.Start()
		time.Sleep(time.Second)
		add(t, j, of(event.Low, 30, 5))
		stopAll(t, j, r)
		want := slices.Concat(numbers(0, 3), numbers(100, 5), numbers(3, 32))
		if !slices.Equal(sink.Got, want) {
			t.Errorf("got %v", sink.Got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // without a restart
		var back atomic.Bool
		sink := &fakeSink{Answer: func(_ context.Context, _, n int) error {
			if back.Load() {
				return nil
			}
			return &sinks.RetryError{Sent: min(1, n), Err: errAway}
		}}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.BackoffMin, c.BackoffMax = time.Minute, time.Minute })
		r.Start()
		add(t, j, of(event.Low, 0, 10))
		time.Sleep(time.Second)
		add(t, j, of(event.High, 100, 3))
		time.Sleep(time.Minute) // the batch is tried once more, and yields
		back.Store(true)
		time.Sleep(5 * time.Minute)
		stopAll(t, j, r)
		want := slices.Concat(numbers(0, 2), numbers(100, 3), numbers(2, 8))
		if !slices.Equal(sink.Got, want) {
			t.Errorf("got %v", sink.Got)
		}
	})
}

// TestRoomOfTheLanes: a flood of ordinary events takes no urgent one and no more than its
// part, a flood of urgent events takes the ordinary ones first, and all that is lost is
// counted for its lane.
func TestRoomOfTheLanes(t *testing.T) {
	for _, d := range []Durability{Always, OnOutage, InMemory} {
		t.Run(string(d), func(t *testing.T) { testRoom(t, d) })
	}
}

func testRoom(t *testing.T, d Durability) {
	const size = 400 // about, of a record
	j, _ := openDir(t, t.TempDir(), d, func(c *Config) { c.MaxBytes, c.MemoryBytes = 2<<20, 2<<20 })
	r := newRunner(t, j, named{&fakeSink{}, "idle"}) // gets nothing
	j.Start()
	n := 0
	fill := func(s event.Severity, bytes int) {
		for range bytes / size / 100 {
			add(t, j, of(s, n, 100))
			n += 100
			if d == OnOutage { // Append does not wait for the writers
				waitFor(t, func() bool {
					j.mu.Lock()
					defer j.mu.Unlock()
					for _, l := range j.lanes {
						signal(l.due)
					}
					return j.lanes[0].room.waiting() <= 1<<20
				})
			}
		}
	}
	inRoom := func() (urgentBytes, ordinaryBytes int64) {
		s := j.Stats()
		if d == InMemory {
			return s.Urgent.MemoryBytes, s.MemoryBytes - s.Urgent.MemoryBytes
		}
		return s.Urgent.Bytes, s.Bytes - s.Urgent.Bytes
	}
	const slack = 64<<10 + memory.ChunkBytes
	fill(event.High, 300<<10)
	fill(event.Low, 4<<20)
	c, s := checkCursor(t, r), j.Stats()
	if c.DroppedUrgent != 0 || s.Urgent.DroppedFull != 0 || c.Dropped == 0 || s.DroppedFull < c.Dropped {
		t.Errorf("after low ones: %+v, %+v", c, s)
	}
	if _, o := inRoom(); o > notReserved(2<<20)+slack {
		t.Errorf("%d bytes of ordinary events", o)
	}
	before := s.DroppedFull
	fill(event.Critical, 1200<<10)
	c, s = checkCursor(t, r), j.Stats()
	if c.DroppedUrgent != 0 || s.Urgent.DroppedFull != 0 || d != OnOutage && s.DroppedFull <= before {
		t.Errorf("after critical ones: %+v, %+v", c, s)
	}
	fill(event.Critical, 3<<20)
	c, s = checkCursor(t, r), j.Stats()
	if s.Urgent.DroppedFull == 0 || s.Urgent.DroppedFull < c.DroppedUrgent {
		t.Errorf("after too many critical ones: %+v, %+v", c, s)
	}
	if u, o := inRoom(); u+o > 2<<20+slack || o > slack {
		t.Errorf("%d bytes of urgent, %d of ordinary events", u, o)
	}
	_ = r.Stop(t.Context())
	_ = j.Stop(t.Context())
	if d == InMemory {
		return
	}
	s = j.Stats()
	got, c, _ := deliver(t, j.cfg.Dir, "idle")
	if uint64(len(got))+c.Dropped != uint64(n) || c.Dropped != s.DroppedFull || c.DroppedUrgent != s.Urgent.DroppedFull || got[len(got)-1] >= uint64(n) {
		t.Errorf("got %d of %d, %+v, %+v", len(got), n, c, s)
	}
}

// TestFilledByAnEarlierVersion: a journal of one lane that has filled the whole room loses
// nothing because the lane may now have less.
func TestFilledByAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	wide := func(c *Config) { c.MaxBytes, c.MemoryBytes = 4<<20, 4<<20 }
	j, _ := openDir(t, dir, Always, wide)
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	j.Start()
	n := 0
	for ; j.Stats().Bytes < 2<<20-256<<10; n += 100 {
		add(t, j, of(event.Low, n, 100))
	}
	stopAll(t, j, r)
	j, _ = openDir(t, dir, Always, func(c *Config) { c.MaxBytes, c.MemoryBytes = 2<<20, 2<<20 })
	sink := named{&fakeSink{}, "a"}
	r = newRunner(t, j, sink)
	j.Start()
	add(t, j, of(event.Low, n, 100))
	add(t, j, of(event.High, n+100, 100))
	r.Start()
	stopAll(t, j, r)
	if s := r.Stats(); s.Dropped != 0 || !slices.Equal(unique(sink.Got), numbers(0, n+200)) {
		t.Errorf("got %d of %d, %+v", len(sink.Got), n+200, s)
	}
}

// TestHeldInBothLanes: what a sink is not sure of comes again from both lanes, when it
// asks for it and after a crash.
func TestHeldInBothLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{Answer: func(_ context.Context, call, _ int) error {
			if call == 4 {
				return &sinks.RetryError{Sent: -15, Err: errAway} // the connection broke
			}
			return nil
		}}}
		dir := t.TempDir()
		j, _ := openDir(t, dir, Always)
		r := newRunner(t, j, sink)
		j.Start()
		r.Start()
		sink.held.Store(20)
		for i, s := range []event.Severity{event.Low, event.High, event.Low, event.Critical} {
			add(t, j, of(s, 10*i, 10))
			time.Sleep(time.Second / 2)
		}
		add(t, j, of(event.Low, 40, 1))
		time.Sleep(time.Second / 2)
		// The latest 15 and some more, those of high severity first.
		want := slices.Concat(numbers(0, 40), numbers(30, 10), numbers(20, 10), numbers(40, 1))
		s := checkCursor(t, r)
		if !slices.Equal(sink.Got, want) || s.Repeated != 20 || s.Held < 20 || s.Delivered != 41 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		crash(j)
		_ = r.Stop(t.Context())
		got, s, _ := deliver(t, dir, "fake")
		if len(got) < 20 || !slices.Contains(got, 30) || !slices.Contains(got, 40) || s.Dropped != 0 || s.Appended != 41 || s.Delivered != 41 {
			t.Errorf("after a crash got %v, %+v", got, s)
		}
	})
}

// TestLimitOfEachLane: a flood of ordinary events leaves the urgent ones their limit.
func TestLimitOfEachLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		j := inMemory(t)
		r := newRunner(t, j, sink, func(c *sinks.RunnerConfig) { c.Limit = sinks.RateLimit{Rate: 1, Burst: 10} })
		r.Start()
		for _, s := range []event.Severity{event.Low, event.Critical} {
			events := of(s, 1000*int(s), 100)
			for i := range events {
				events[i].Time = eventtest.At
			}
			add(t, j, events)
			synctest.Wait()
		}
		want := append(numbers(0, 10), numbers(1000*int(event.Critical), 10)...)
		if s := checkCursor(t, r); !slices.Equal(sink.Got, want) || s.Limited != 180 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		stopAll(t, j, r)
	})
}

// TestOneLaneInTrouble: a lane whose files cannot be written keeps its events in memory
// and does not hold up the other.
func TestOneLaneInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, _ := openDir(t, t.TempDir(), Always)
		putUnder(j, &disktest.Faults{Hook: func(c disktest.Call) error {
			if c.What == "write" && filepath.Base(filepath.Dir(c.Path)) == urgentDir {
				return syscall.EIO
			}
			return nil
		}})
		sink := &fakeSink{}
		r := newRunner(t, j, sink)
		j.Start()
		r.Start()
		if err := j.Append(of(event.High, 0, 10)); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "10 urgent events in memory only") {
			t.Errorf("got %v", err)
		}
		add(t, j, of(event.Low, 10, 10))
		synctest.Wait()
		if s := j.Stats(); !slices.Equal(sink.Got, numbers(0, 20)) || s.Trouble == "" || s.WriteErrors == 0 || s.Written == 0 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		_ = r.Stop(t.Context())
		_ = j.Stop(t.Context())
	})
}

// TestStatsAddUp: every counter of a lane is in those of the journal.
func TestStatsAddUp(t *testing.T) {
	ofJournal := []string{"Refused", "Stalls", "Urgent"}
	for i := range reflect.TypeFor[Stats]().NumField() {
		var one, sum Stats
		name := reflect.TypeFor[Stats]().Field(i).Name
		switch f := reflect.ValueOf(&one).Elem().Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(math.MaxUint32)
		case reflect.Int64, reflect.Int:
			f.SetInt(math.MaxUint32)
		case reflect.String:
			f.SetString("x")
			one.LastErrorAt = time.Now()
		}
		sum.add(one)
		if sum == (Stats{}) && !slices.Contains(ofJournal, name) && name != "LastErrorAt" {
			t.Errorf("%s is lost", name)
		}
	}
}
