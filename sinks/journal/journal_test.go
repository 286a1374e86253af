package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/memory"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// openDir opens the journal in dir, which is small, and does not start it. Append waits for
// this machine's disk, which may be slow under load; see putUnder for disks that hang.
func openDir(t *testing.T, dir string, d Durability, change ...func(*Config)) (*Journal, OpenReport) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Durability = dir, d
	cfg.SegmentBytes, cfg.MaxBytes, cfg.MemoryBytes = 64<<10, 1<<20, 1<<20
	for _, f := range change {
		f(&cfg)
	}
	j, report, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j.wait = patience
	return j, report
}

// crash ends a journal as kill -9 does: what is in memory is gone, nothing is saved.
func crash(j *Journal) {
	j.stop.Do(func() {})
	for _, l := range j.lanes {
		close(l.quit)
		l.work.Wait()
	}
	j.closeFiles()
}

// deliver opens dir and gives what a sink of that name gets of it.
func deliver(t *testing.T, dir, name string) ([]uint64, sinks.CursorStats, OpenReport) {
	t.Helper()
	j, report := openDir(t, dir, Always)
	sink := named{&fakeSink{}, name}
	r := newRunner(t, j, sink)
	r.Start()
	j.Start()
	stopAll(t, j, r)
	return sink.Got, r.Stats(), report
}

// segmentsIn gives the paths of the segments, the oldest first.
func segmentsIn(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(laneDir(dir), "*"+record.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestJournalSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	j.Start()
	for i := range 20 {
		add(t, j, numbered(100*i, 100))
	}
	if s := j.Stats(); s.Appended != 2000 || s.Writes < 20 || s.Segments < 3 || s.InMemory != 0 {
		t.Errorf("got %+v", s)
	}
	crash(j)
	got, s, report := deliver(t, dir, "a")
	if !slices.Equal(got, numbers(0, 2000)) || report.Damaged() || report.Events != 2000 {
		t.Errorf("got %d events, %v", len(got), report)
	}
	if s.Delivered != 2000 || s.MayRepeat {
		t.Errorf("got %+v", s)
	}
}

// TestJournalGoesOnWhereItWas stops and starts with sinks that are at different
// places, and a new one.
func TestJournalGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	j.Start()
	good := named{&fakeSink{}, "good"}
	bad := named{&fakeSink{Answer: func(_ context.Context, call, _ int) error {
		if call == 0 {
			return &sinks.RetryError{Sent: 40, Err: errAway}
		}
		return &sinks.RetryError{Err: errAway}
	}}, "bad"}
	runners := []*sinks.Runner{newRunner(t, j, good), newRunner(t, j, bad)}
	add(t, j, numbered(0, 100))
	for _, r := range runners {
		r.Start()
	}
	stopAll(t, j, runners...)
	if s := runners[1].Stats(); s.Pending != 60 || s.Delivered != 40 || s.Dropped != 0 {
		t.Errorf("got %+v", s)
	}
	for _, name := range []string{"good", "bad", "new"} {
		want := map[string][]uint64{"bad": numbers(40, 60)}[name]
		got, s, _ := deliver(t, dir, name)
		if !slices.Equal(got, want) || s.MayRepeat || s.Dropped != 0 {
			t.Errorf("%s: got %v, %+v, want %v", name, got, s, want)
		}
		if name == "bad" && (s.Delivered != 100 || s.Appended != 100) {
			t.Errorf("the counters did not go on: %+v", s)
		}
	}
}

func TestJournalNewSinkGetsWhatIsUndelivered(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	j.Start()
	sink := &fakeSink{Answer: func(_ context.Context, call, _ int) error {
		if call == 0 {
			return &sinks.RetryError{Sent: 40, Err: errAway}
		}
		return &sinks.RetryError{Err: errAway}
	}}
	r := newRunner(t, j, sink)
	add(t, j, numbered(0, 100))
	r.Start()
	stopAll(t, j, r)
	got, s, _ := deliver(t, dir, "new")
	if !slices.Equal(got, numbers(40, 60)) || s.Appended != 60 {
		t.Errorf("got %v, %+v", got, s)
	}
}

func TestJournalRepeatsAfterACrash(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	sink := named{&fakeSink{}, "a"}
	r := newRunner(t, j, sink)
	r.Start()
	j.Start()
	add(t, j, numbered(0, 100))
	waitFor(t, func() bool { return r.Stats().Delivered == 100 && j.Stats().Saves > 0 })
	crash(j)
	_ = r.Stop(t.Context())
	got, s, _ := deliver(t, dir, "a")
	if !s.MayRepeat || s.Appended != 100 || s.Delivered != 100 {
		t.Errorf("got %d again, %+v", len(got), s)
	}
}

func TestJournalIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	cfg := j.cfg
	if _, _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
	stopAll(t, j)
	j, _ = openDir(t, dir, Always)
	stopAll(t, j)
	cfg.Dir = filepath.Join(dir, "lock", "x")
	if _, _, err := Open(cfg); err == nil || !strings.HasPrefix(err.Error(), "journal ") {
		t.Errorf("got %v", err)
	}
}

// TestJournalTornTail cuts the journal off anywhere: everything before is there,
// and the report says how many bytes went.
func TestJournalTornTail(t *testing.T) {
	whole, begins := records(0, 100)
	dir := t.TempDir()
	for range 200 {
		clearDir(t, dir)
		at := rand.IntN(len(whole))
		if err := os.WriteFile(record.Path(laneDir(dir), 0), whole[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := slices.BinarySearch(begins, at+1)
		intact := before - 1 // records that are whole
		got, _, report := deliver(t, dir, "a")
		if !slices.Equal(got, numbers(0, intact)) || report.TornBytes != int64(at-begins[intact]) ||
			report.Damaged() != (at != begins[intact]) || report.DamagedBytes != 0 {
			t.Fatalf("cut at %d: got %d of %d, %v", at, len(got), intact, report)
		}
		j, report := openDir(t, dir, Always) // repaired once and for all
		if report.Damaged() {
			t.Fatalf("cut at %d: again %v", at, report)
		}
		stopAll(t, j)
	}
}

// TestJournalBitFlips flips bits anywhere in two segments: only the records that
// were hit are missing, and each is counted.
func TestJournalBitFlips(t *testing.T) {
	first, _ := records(0, 100)
	second, begins := records(100, 100)
	dir := t.TempDir()
	for range 200 {
		clearDir(t, dir)
		a, b := slices.Clone(first), slices.Clone(second)
		for range 1 + rand.IntN(3) {
			a[rand.IntN(len(a))] ^= 1 << rand.IntN(8)
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		}
		if slices.Equal(b, second) { // the same bit twice
			continue
		}
		want := append(found(a), found(b)...)
		if len(want) < 194 {
			t.Fatalf("%d records are left", len(want))
		}
		if os.WriteFile(record.Path(laneDir(dir), 0), a, 0o600) != nil || os.WriteFile(record.Path(laneDir(dir), 100), b, 0o600) != nil {
			t.Fatal("cannot write")
		}
		got, s, report := deliver(t, dir, "a")
		if !slices.Equal(got, want) || !report.Damaged() {
			t.Fatalf("got %d of %d, %v", len(got), len(want), report)
		}
		gone := uint64(report.TornBytes) // of the last records only the bytes are known
		if gone > 0 {
			n, _ := slices.BinarySearch(begins, len(b)-int(gone))
			gone = uint64(100 - n)
		}
		if s.Dropped != 200-uint64(len(want))-gone || s.Damaged != s.Dropped {
			t.Fatalf("%d are missing, %d of them at the end, %+v", 200-len(want), gone, s)
		}
	}
}

func clearDir(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournalNumbersAreNotUsedAgain: a power cut may take events that a sink had
// already. New ones must not pass for those.
func TestJournalNumbersAreNotUsedAgain(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	r.Start()
	j.Start()
	add(t, j, numbered(0, 100))
	stopAll(t, j, r)
	for _, path := range segmentsIn(t, dir) {
		_ = os.Remove(path)
	}
	j, _ = openDir(t, dir, Always)
	j.Start()
	add(t, j, numbered(500, 10))
	stopAll(t, j)
	got, s, _ := deliver(t, dir, "a")
	if !slices.Equal(got, numbers(500, 10)) || s.Dropped != 0 || s.Delivered != 110 {
		t.Errorf("got %v, %+v", got, s)
	}
}

// TestJournalFull holds that what is missing equals the drop counters, exactly, for
// sinks at several places, and over a restart.
func TestJournalFull(t *testing.T) {
	for _, d := range []Durability{Always, OnOutage, InMemory} {
		t.Run(string(d), func(t *testing.T) {
			dir := t.TempDir()
			if d == InMemory {
				dir = ""
			}
			j, _ := openDir(t, dir, d)
			j.Start()
			away := &sinks.RetryError{Sent: 3, Err: errAway}
			bad := named{&fakeSink{Answer: func(ctx context.Context, call, _ int) error {
				if call == 0 {
					return away
				}
				<-ctx.Done()
				return ctx.Err()
			}}, "bad"}
			good := named{&fakeSink{}, "good"}
			short := func(c *sinks.RunnerConfig) { c.Drain = 50 * time.Millisecond }
			runners := []*sinks.Runner{newRunner(t, j, bad, short), newRunner(t, j, good), newRunner(t, j, named{&fakeSink{}, "idle"})}
			runners[0].Start()
			runners[1].Start()
			const all = 30_000
			for i := range all / 500 {
				add(t, j, numbered(500*i, 500))
				for _, r := range runners {
					checkCursor(t, r)
				}
				waitFor(t, func() bool { return runners[1].Stats().Delivered == uint64(500*i+500) })
			}
			if s := j.Stats(); s.DroppedFull == 0 || s.Bytes > 1<<20+64<<10 || s.MemoryBytes > 1<<20+memory.ChunkBytes {
				t.Errorf("got %+v", s)
			}
			for _, r := range runners {
				_ = r.Stop(t.Context())
			}
			err := j.Stop(t.Context())
			if (err != nil) != (d == InMemory) {
				t.Error(err)
			}
			for _, r := range runners {
				checkCursor(t, r)
			}
			if !slices.Equal(good.Got, numbers(0, all)) {
				t.Errorf("the good one has %d", len(good.Got))
			}
			for _, f := range []named{bad, {&fakeSink{}, "idle"}} {
				i := map[string]int{"bad": 0, "idle": 2}[f.name]
				s := runners[i].Stats()
				got := slices.Clone(f.Got)
				if d != InMemory {
					var rest []uint64
					rest, s, _ = deliver(t, dir, f.name)
					got = append(got, rest...)
				}
				if s.Dropped == 0 || uint64(len(got))+s.Dropped != all || s.Delivered != uint64(len(got)) || s.Pending != 0 {
					t.Errorf("%s has %d of %d, %+v", f.name, len(got), all, s)
				}
				if !slices.IsSorted(got) || d != InMemory && got[len(got)-1] != all-1 {
					t.Errorf("%s: the oldest do not go first", f.name)
				}
			}
		})
	}
}

func TestJournalDropsWhatIsTooOld(t *testing.T) {
	for _, d := range []Durability{Always, InMemory} {
		synctest.Test(t, func(t *testing.T) {
			j, _ := openDir(t, t.TempDir(), d, func(c *Config) { c.MaxAge, c.MaxBytes, c.MemoryBytes = time.Hour, 2<<20, 2<<20 })
			r := newRunner(t, j, &fakeSink{})
			j.Start()
			for i := range 10 { // all within a quarter of an hour
				add(t, j, numbered(1000*i, 1000))
				time.Sleep(90 * time.Second)
			}
			time.Sleep(30 * time.Minute)
			if s := checkCursor(t, r); s.Dropped != 0 || s.Pending != 10_000 && d == Always {
				t.Errorf("got %+v", s)
			}
			time.Sleep(20 * time.Minute)
			s := checkCursor(t, r)
			if s.Dropped == 0 || s.Pending == 0 || j.Stats().DroppedOld != s.Dropped {
				t.Errorf("got %+v, %+v", s, j.Stats())
			}
			time.Sleep(time.Hour)
			if s := checkCursor(t, r); s.Dropped != 10_000 || j.Stats().DroppedOld != 10_000 {
				t.Errorf("got %+v, %+v", s, j.Stats())
			}
			stopAll(t, j, r)
		})
	}
}

// TestJournalAgeIsKept holds that the age goes on over a restart, and that files
// with times of a clock that was wrong are given right ones.
func TestJournalAgeIsKept(t *testing.T) {
	dir := t.TempDir()
	b, _ := records(0, 10)
	path := record.Path(laneDir(dir), 0)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const year = 365 * 24 * time.Hour
	old := now.Add(-20 * year)
	if err := os.Chtimes(path, now, old); err != nil {
		t.Fatal(err)
	}
	// Written an hour ago, by a clock that is 20 years slow.
	j, _ := openDir(t, dir, Always, func(c *Config) { c.Date = func() time.Time { return old.Add(time.Hour) } })
	j.lanes[testLane].files.Redate(folder.Moment{Now: now, Date: now.Add(30 * year)})
	stopAll(t, j)
	info, err := os.Stat(path)
	if err != nil || now.Add(30*year-time.Hour).Sub(info.ModTime()).Abs() > time.Second {
		t.Errorf("the file is dated %v, %v", info.ModTime(), err)
	}
	if got, _, _ := deliver(t, dir, "a"); len(got) != 10 {
		t.Errorf("got %v", got)
	}
}

func TestOnOutageWritesNothingWhileAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j, _ := openDir(t, dir, OnOutage)
		r := newRunner(t, j, &fakeSink{})
		j.Start()
		r.Start()
		for i := range 600 {
			add(t, j, numbered(10*i, 10))
			time.Sleep(500 * time.Millisecond)
		}
		if s := j.Stats(); s.Writes != 0 || s.Saves != 0 || s.InMemory != 0 || len(segmentsIn(t, dir)) != 0 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
		if s := r.Stats(); s.Delivered != 6000 || j.Stats().Writes != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestOnOutageSpills holds how much a crash may take during an outage, that writes
// are few, and that the files go when the outage is over.
func TestOnOutageSpills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var mu sync.Mutex
		away := true
		sink := &fakeSink{Answer: func(context.Context, int, int) error {
			mu.Lock()
			defer mu.Unlock()
			if away {
				return &sinks.RetryError{Err: errAway}
			}
			return nil
		}}
		j, _ := openDir(t, dir, OnOutage)
		r := newRunner(t, j, sink)
		j.Start()
		r.Start()
		add(t, j, numbered(0, 10))
		if n := j.Stats().InMemory; n != 10 {
			t.Errorf("%d in memory", n)
		}
		for i := range 60 {
			time.Sleep(time.Second)
			if n := j.Stats().InMemory; i > 5 && n > 60 {
				t.Errorf("%d events of 10 a second are in memory", n)
			}
			add(t, j, numbered(10*i+10, 10))
		}
		if n := j.Stats().Writes; n < 8 || n > 30 {
			t.Errorf("%d writes in a minute", n)
		}
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(time.Minute)
		if s := j.Stats(); s.Segments != 0 || len(segmentsIn(t, dir)) != 0 {
			t.Errorf("got %+v", s)
		}
		if !slices.Equal(sink.Got, numbers(0, 610)) {
			t.Errorf("got %d events", len(sink.Got))
		}
		stopAll(t, j, r)
	})
}

func TestOnOutageStopKeeps(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, OnOutage)
	r := newRunner(t, j, named{&fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}, "a"})
	j.Start()
	r.Start()
	add(t, j, numbered(0, 1000))
	stopAll(t, j, r)
	got, s, _ := deliver(t, dir, "a")
	if !slices.Equal(got, numbers(0, 1000)) || s.Dropped != 0 {
		t.Errorf("got %d, %+v", len(got), s)
	}
}

// TestJournalForgetsSinks holds that the place of a sink that is gone holds no
// segment, counts what the sink misses, and is forgotten in the end.
func TestJournalForgetsSinks(t *testing.T) { synctest.Test(t, testForgetsSinks) }

func testForgetsSinks(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	runners := []*sinks.Runner{newRunner(t, j, named{&fakeSink{}, "a"}), newRunner(t, j, named{&fakeSink{}, "gone"})}
	j.Start()
	for i := range 20 {
		add(t, j, numbered(100*i, 100))
	}
	stopAll(t, j, runners...)

	j, report := openDir(t, dir, Always)
	if report.Cursors != 2 {
		t.Errorf("got %v", report)
	}
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	j.Start()
	r.Start()
	time.Sleep(position.AttachWithin / 2)
	if n := j.Stats().Segments; n == 1 {
		t.Error("what the other may still come for is gone")
	}
	time.Sleep(position.AttachWithin)
	if n := j.Stats().Segments; n != 1 {
		t.Errorf("%d segments are held", n)
	}
	stopAll(t, j, r)
	if _, s, _ := deliver(t, dir, "gone"); s.Dropped == 0 || s.Appended != 2000 {
		t.Errorf("got %+v", s)
	}

	j, _ = openDir(t, dir, Always)
	j.lanes[testLane].places.Forget(time.Now().Add(6*24*time.Hour), j.cfg.MaxAge)
	if len(j.lanes[testLane].places.All()) != 2 {
		t.Error("forgotten too soon")
	}
	r = newRunner(t, j, named{&fakeSink{}, "a"})
	j.lanes[testLane].places.Forget(time.Now().Add(8*24*time.Hour), j.cfg.MaxAge)
	if paths, _ := filepath.Glob(filepath.Join(laneDir(dir), "*.cursor")); len(j.lanes[testLane].places.All()) != 1 || len(paths) != 1 {
		t.Errorf("left: %v, %v", j.lanes[testLane].places.All(), paths)
	}
	stopAll(t, j, r)
}

func TestJournalBadCursor(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	j.Start()
	add(t, j, numbered(0, 10))
	stopAll(t, j, r)
	if err := os.WriteFile(position.Path(laneDir(dir), "a"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, report := deliver(t, dir, "a")
	if !slices.Equal(got, numbers(0, 10)) || len(report.BadCursors) != 1 || !strings.Contains(report.String(), "get all that is there") {
		t.Errorf("got %v, %v", got, report)
	}
}

// TestJournalBadCursorOfOneSink: what a sink had still to get is not lost with its
// cursor because another sink has had it. The file is news once.
func TestJournalBadCursorOfOneSink(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	a, b := newRunner(t, j, named{&fakeSink{}, "a"}), newRunner(t, j, named{&fakeSink{}, "b"})
	a.Start() // b does not get anything
	j.Start()
	add(t, j, numbered(0, 10))
	waitFor(t, func() bool { return a.Stats().Delivered == 10 })
	stopAll(t, j, a, b)
	if err := os.WriteFile(position.Path(laneDir(dir), "b"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, report := deliver(t, dir, "b"); !slices.Equal(got, numbers(0, 10)) || len(report.BadCursors) != 1 {
		t.Errorf("got %v, %v", got, report)
	}
	if got, _, report := deliver(t, dir, "b"); len(got) != 0 || report.Damaged() {
		t.Errorf("got %v, %v", got, report)
	}
}

// TestJournalIsRemoved takes the files away while they are in use.
func TestJournalIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "journal")
		j, _ := openDir(t, dir, Always)
		r := newRunner(t, j, named{&fakeSink{}, "a"})
		j.Start()
		r.Start()
		add(t, j, numbered(0, 10))
		time.Sleep(1500 * time.Millisecond)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		add(t, j, numbered(10, 10))
		time.Sleep(time.Second)
		if s := j.Stats(); s.Trouble != "" || s.LastError == "" {
			t.Errorf("got %+v", s)
		}
		if _, err := os.Stat(position.Path(laneDir(dir), "a")); err != nil || len(segmentsIn(t, dir)) != 1 {
			t.Errorf("files are not there anew: %v", err)
		}
		stopAll(t, j, r)
	})
}

// TestRunnerComesBack gives the place of a runner that is stopped to the next one
// of that name, as a reload of the configuration does.
func TestRunnerComesBack(t *testing.T) {
	j := inMemory(t)
	away := &fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Sent: 4, Err: errAway} }}
	r := newRunner(t, j, away, func(c *sinks.RunnerConfig) { c.Drain, c.BackoffMin = 0, time.Second })
	r.Start()
	add(t, j, numbered(0, 10))
	waitFor(t, func() bool { return r.Stats().Delivered == 4 })
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink := &fakeSink{}
	r = newRunner(t, j, sink)
	r.Start()
	stopAll(t, j, r)
	if got := append(away.Got, sink.Got...); !slices.Equal(got, numbers(0, 10)) {
		t.Errorf("got %v", got)
	}
}

// failingDisk makes writes fail while err is set, after a part of them is done.
type failingDisk struct {
	mu   sync.Mutex
	err  error
	part int
}

func (d *failingDisk) set(err error, part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.part = err, part
}

// under puts the disk under a journal.
func (d *failingDisk) under(j *Journal) {
	f := new(disktest.Faults)
	f.Hook = func(c disktest.Call) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if c.What != "write" || strings.Contains(c.Path, ".cursor") {
			return nil
		}
		f.SetPart(d.part)
		return d.err
	}
	putUnder(j, f)
}

func TestJournalDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		bad := new(failingDisk)
		j, _ := openDir(t, dir, Always)
		bad.under(j)
		j.Start()
		good := named{&fakeSink{}, "good"}
		runners := []*sinks.Runner{newRunner(t, j, good), newRunner(t, j, named{&fakeSink{}, "idle"})}
		runners[0].Start()
		add(t, j, numbered(0, 100))
		bad.set(syscall.EIO, 1000)
		err := j.Append(numbered(100, 100))
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "events in memory only") {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if s := j.Stats(); len(good.Got) != 200 || s.Trouble == "" || s.WriteErrors == 0 || s.InMemory != 100 {
			t.Errorf("the sink has %d, %+v", len(good.Got), s)
		}
		bad.set(nil, 0)
		time.Sleep(2 * time.Second)
		if s := j.Stats(); s.Trouble != "" || s.LastError == "" || s.InMemory != 0 {
			t.Errorf("got %+v", s)
		}
		add(t, j, numbered(200, 100))
		stopAll(t, j, runners...)
		got, s, report := deliver(t, dir, "idle")
		if !slices.Equal(got, numbers(0, 300)) || s.Dropped != 0 || report.Damaged() {
			t.Errorf("got %d, %+v, %v", len(got), s, report)
		}
	})
}

// TestJournalDiskRecoversIdle: sinks have had all events from memory when the disk is well
// again, so that none is left to be written.
func TestJournalDiskRecoversIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		bad := new(failingDisk)
		j, _ := openDir(t, dir, Always)
		bad.under(j)
		j.Start()
		sink := &fakeSink{}
		r := newRunner(t, j, sink)
		r.Start()
		bad.set(syscall.ENOSPC, 0)
		_ = j.Append(numbered(0, 10))
		time.Sleep(5 * time.Second)
		if s := j.Stats(); len(sink.Got) != 10 || s.InMemory != 0 || s.Trouble == "" || s.WriteErrors < 3 {
			t.Errorf("the sink has %d, %+v", len(sink.Got), s)
		}
		bad.set(nil, 0)
		time.Sleep(2 * keepEvery)
		if s := j.Stats(); s.Trouble != "" || s.LastError == "" {
			t.Errorf("got %+v", s)
		}
		add(t, j, numbered(10, 10))
		if s := j.Stats(); s.InMemory != 0 || s.Written == 0 {
			t.Errorf("got %+v", s)
		}
		stopAll(t, j, r)
		if _, err := os.Stat(filepath.Join(dir, "trial")); !os.IsNotExist(err) {
			t.Errorf("the trial is left: %v", err)
		}
	})
}

// TestJournalDiskFailsForGood holds the memory to its bound and counts what goes.
func TestJournalDiskFailsForGood(t *testing.T) {
	dir := t.TempDir()
	bad := new(failingDisk)
	j, _ := openDir(t, dir, Always)
	bad.under(j)
	j.wait = patience // it fails, it does not hang
	j.Start()
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	add(t, j, numbered(0, 100))
	bad.set(syscall.EROFS, 0)
	for i := range 300 {
		if err := j.Append(numbered(100+100*i, 100)); err == nil {
			t.Fatal("it says that the disk has it")
		}
		checkCursor(t, r)
	}
	if s := j.Stats(); s.MemoryBytes > 1<<20+memory.ChunkBytes || s.DroppedFull == 0 {
		t.Errorf("got %+v", s)
	}
	_ = r.Stop(t.Context())
	if err := j.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "dropped") {
		t.Errorf("got %v", err)
	}
	checkCursor(t, r)
	got, s, _ := deliver(t, dir, "a")
	if !slices.Equal(got, numbers(0, 100)) || s.Dropped != 30_000 || s.Appended != 30_100 {
		t.Errorf("got %d, %+v", len(got), s)
	}
}

// TestJournalDiskHangs holds that Append does not wait for a disk that does not
// answer, more than once and shortly.
func TestJournalDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		release := make(chan struct{})
		j, _ := openDir(t, dir, Always)
		putUnder(j, &disktest.Faults{Hook: func(c disktest.Call) error {
			if c.What == "write" && strings.HasSuffix(c.Path, record.Suffix) {
				<-release
			}
			return nil
		}})
		sink := &fakeSink{}
		r := newRunner(t, j, sink)
		j.Start()
		r.Start()
		began := time.Now()
		for i := range 10 {
			if err := j.Append(numbered(10*i, 10)); !errors.Is(err, errSlowDisk) {
				t.Errorf("got %v", err)
			}
		}
		if d := time.Since(began); d != appendWait {
			t.Errorf("took %v, want %v", d, appendWait)
		}
		synctest.Wait()
		if !slices.Equal(sink.Got, numbers(0, 100)) {
			t.Errorf("the sink has %d", len(sink.Got))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = r.Stop(t.Context())
		if err := j.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		synctest.Wait()
	})
}

// TestJournalUnderLoad appends from many sides, to sinks that fail at random, to a
// disk that fails at random, in a journal that is too small, over restarts; in the
// end every event is with every sink or counted.
func TestJournalUnderLoad(t *testing.T) {
	for _, d := range []Durability{Always, OnOutage} {
		t.Run(string(d), func(t *testing.T) { loadJournal(t, d) })
	}
}

func loadJournal(t *testing.T, d Durability) {
	dir, bad := t.TempDir(), new(failingDisk)
	answer := func(_ context.Context, _, n int) error {
		switch rand.IntN(8) {
		case 0:
			return &sinks.RetryError{Sent: rand.IntN(2*n+1) - n/2, Err: errAway}
		case 1:
			return errAway
		}
		return nil
	}
	got := map[string]uint64{}
	var last []sinks.CursorStats
	for round := range 5 {
		j, report := openDir(t, dir, d, func(c *Config) { c.MaxBytes = 4 * c.SegmentBytes })
		if report.Damaged() {
			t.Fatal(report)
		}
		bad.under(j)
		var runners []*sinks.Runner
		var fakes []named
		for i := range 3 {
			f := named{&fakeSink{Answer: answer}, fmt.Sprint("sink", i)}
			fakes = append(fakes, f)
			runners = append(runners, newRunner(t, j, f, func(c *sinks.RunnerConfig) {
				c.Batch, c.BackoffMin, c.BackoffMax = 7+100*i, 1, 1000
				c.Filter.MinSeverity = []string{"low", "medium", "high"}[i]
			}))
		}
		j.Start()
		for _, r := range runners {
			r.Start()
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					bad.set([]error{nil, nil, syscall.ENOSPC}[rand.IntN(3)], rand.IntN(100))
					events := numbered(0, rand.IntN(100))
					for i := range events {
						events[i].Severity = event.Severity(rand.IntN(4))
					}
					_ = j.Append(events)
					for _, r := range runners {
						checkCursor(t, r)
					}
				}
			})
		}
		wg.Wait()
		bad.set(nil, 0)
		for _, r := range runners {
			_ = r.Stop(t.Context())
		}
		if err := j.Stop(t.Context()); err != nil {
			t.Error(round, err)
		}
		last = last[:0]
		for i, r := range runners {
			got[r.Name()] += uint64(len(fakes[i].Got))
			last = append(last, checkCursor(t, r))
		}
	}
	for i, s := range last {
		if n := got[fmt.Sprint("sink", i)]; n != s.Delivered || n == 0 || s.Failed == 0 || i > 0 && s.Filtered == 0 || s.Appended != last[0].Appended {
			t.Errorf("sink%d has %d, %+v", i, n, s)
		}
	}
}

// TestAppendCopies holds that the caller may use its events again.
func TestAppendCopies(t *testing.T) {
	j := inMemory(t)
	sink := &fakeSink{}
	r := newRunner(t, j, sink)
	events := numbered(7, 1)
	add(t, j, events)
	events[0].Flows = 0
	add(t, j, nil)
	r.Start()
	stopAll(t, j, r)
	if !slices.Equal(sink.Got, []uint64{7}) {
		t.Errorf("got %v", sink.Got)
	}
}

func BenchmarkJournal(b *testing.B) {
	for _, d := range []Durability{Always, OnOutage, InMemory} {
		b.Run(string(d), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Durability, cfg.Dir = d, b.TempDir()
			j, _, err := Open(cfg)
			if err != nil {
				b.Fatal(err)
			}
			sink := &countSink{}
			r, err := sinks.NewRunner(j, sink, sinks.DefaultRunnerConfig())
			if err != nil {
				b.Fatal(err)
			}
			j.Start()
			r.Start()
			events := make([]event.Event, 100)
			for i := range events {
				events[i] = eventtest.Hit()
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = j.Append(events)
			}
			_ = r.Stop(b.Context())
			_ = j.Stop(b.Context())
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/event")
		})
	}
}

type countSink struct{ n int }

func (c *countSink) Name() string { return "count" }
func (c *countSink) Send(_ context.Context, events []event.Event) error {
	c.n += len(events)
	return nil
}
func (c *countSink) Close(context.Context) error { return nil }
