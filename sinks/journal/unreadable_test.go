package journal

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// unreadable makes reads of the files with a name that ends so fail, until left is used up.
func unreadable(suffix string, left *atomic.Int64) *disktest.Faults {
	return &disktest.Faults{Hook: func(c disktest.Call) error {
		if c.What == "read" && strings.HasSuffix(c.Path, suffix) && left.Add(-1) >= 0 {
			return syscall.EIO
		}
		return nil
	}}
}

// TestLastSegmentUnreadable: a segment that cannot be read at the start is neither damaged
// nor a reason not to start. What comes meanwhile is taken, and both are delivered in order
// when it can be read.
func TestLastSegmentUnreadable(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			j, _ := openDir(t, dir, Always)
			a := newRunner(t, j, named{&fakeSink{}, "a"}) // does not get anything
			j.Start()
			add(t, j, numbered(0, 50))
			if crashed {
				time.Sleep(time.Second) // and its place is saved
				crash(j)
			} else {
				stopAll(t, j, a)
			}
			before, err := os.ReadFile(segmentsIn(t, dir)[0])
			if err != nil {
				t.Fatal(err)
			}
			var left atomic.Int64
			left.Store(1 << 40)
			j, report, err := openOn(dir, Always, unreadable(record.Suffix, &left))
			if err != nil || len(report.Unreadable) != 1 || !report.Damaged() || report.TornBytes+report.DamagedBytes != 0 || report.LostEvents+report.MissingEvents != 0 ||
				!strings.Contains(report.String(), "not readable for now: "+segmentsIn(t, dir)[0]) {
				t.Fatalf("crashed %v: %v, %v", crashed, err, report)
			}
			sink := named{&fakeSink{}, "a"}
			r := newRunner(t, j, sink)
			j.Start()
			r.Start()
			add(t, j, numbered(50, 50))
			time.Sleep(5 * time.Minute)
			if s := j.Stats(); len(sink.Got) != 0 || s.ReadErrors == 0 || !strings.Contains(s.ReadTrouble, "input/output error") {
				t.Errorf("crashed %v: %d delivered, %+v", crashed, len(sink.Got), s)
			}
			if now, err := os.ReadFile(segmentsIn(t, dir)[0]); err != nil || !slices.Equal(now, before) {
				t.Errorf("crashed %v: the segment was changed, %v", crashed, err)
			}
			left.Store(0)
			time.Sleep(2 * time.Minute)
			s := checkCursor(t, r)
			if !slices.Equal(sink.Got, numbers(0, 100)) || s.Pending != 0 || !crashed && s.Dropped != 0 {
				t.Errorf("crashed %v: got %v, %+v", crashed, sink.Got, s)
			}
			if trouble := j.Stats().ReadTrouble; trouble != "" {
				t.Errorf("crashed %v: still %s", crashed, trouble)
			}
			stopAll(t, j, r)
			if got, _, report := deliver(t, dir, "a"); len(got) != 0 || report.Damaged() {
				t.Errorf("crashed %v: again %d, %v", crashed, len(got), report)
			}
		})
	}
}

// TestCursorUnreadable: the place of a sink that cannot be read at once is read a moment
// later; if it still cannot be, its file is set aside under a name that says so, and the
// sink gets all that is there.
func TestCursorUnreadable(t *testing.T) {
	for _, c := range []struct {
		file     string
		fails    int64
		got      int
		setAside bool
	}{
		{".cursor", folder.ReadTries - 1, 0, false},
		{".cursor", folder.ReadTries, 100, true},
		{"/sinks", folder.ReadTries - 1, 0, false},
		{"/sinks", folder.ReadTries, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			j, _ := openDir(t, dir, Always)
			a, b := newRunner(t, j, named{&fakeSink{}, "a"}), newRunner(t, j, named{&fakeSink{}, "b"})
			a.Start() // b does not get anything
			j.Start()
			add(t, j, numbered(0, 100))
			time.Sleep(time.Minute)
			stopAll(t, j, a, b)
			if c.file == ".cursor" {
				c.file = position.Path(laneDir(dir), "a")
			} else {
				c.file = filepath.Join(laneDir(dir), "sinks")
			}
			var left atomic.Int64
			left.Store(c.fails)
			j, report, err := openOn(dir, Always, unreadable(c.file, &left))
			if err != nil || (len(report.Unreadable) == 1) != c.setAside || len(report.BadCursors) != 0 {
				t.Fatalf("%s: %v, %v", c.file, err, report)
			}
			if s := j.Stats(); s.ReadErrors != uint64(c.fails) || s.LastError == "" {
				t.Errorf("%s: %+v", c.file, s)
			}
			sink := named{&fakeSink{}, "a"}
			r := newRunner(t, j, sink)
			j.Start()
			r.Start()
			time.Sleep(time.Minute)
			if s := checkCursor(t, r); len(sink.Got) != c.got || s.Dropped != 0 {
				t.Errorf("%s: got %d, %+v", c.file, len(sink.Got), s)
			}
			aside, _ := filepath.Glob(filepath.Join(laneDir(dir), "*"+".unreadable"))
			if (len(aside) == 1) != c.setAside {
				t.Errorf("%s: set aside: %v", c.file, aside)
			}
			stopAll(t, j, r)
			if got, _, report := deliver(t, dir, "a"); len(got) != 0 || report.Damaged() {
				t.Errorf("%s: again %d, %v", c.file, len(got), report)
			}
		})
	}
}

// TestJournalFollowsNoLinks: what somebody has put in the place of the journal's files
// leads to no other file, which the journal would write to or cut.
func TestJournalFollowsNoLinks(t *testing.T) {
	for _, name := range []string{"trial", "sinks", "sinks.new", "lock", "00000000000000000000.events", filepath.Base(position.Path("", "a"))} {
		synctest.Test(t, func(t *testing.T) {
			dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			j, report, err := openOn(dir, Always, new(disktest.Faults))
			if err != nil {
				if name != "lock" {
					t.Errorf("%s: %v", name, err)
				}
			} else {
				sink := named{&fakeSink{}, "a"}
				r := newRunner(t, j, sink)
				j.Start()
				r.Start()
				_ = j.Append(numbered(0, 10))
				time.Sleep(time.Minute)
				// What is made anew takes the place of a link; others are in the way, and that shows.
				anew := slices.Contains([]string{"trial", "sinks.new", "00000000000000000000.events"}, name)
				s := j.Stats()
				if clean := !report.Damaged() && s.Trouble == "" && s.LastError == ""; len(sink.Got) != 10 || clean != anew {
					t.Errorf("%s: %d delivered, %v, %+v", name, len(sink.Got), report, s)
				}
				stopAll(t, j, r)
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
				t.Errorf("%s: the file behind it is %q, %v", name, b, err)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "link") // that the operator has set up
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	full(t, dir, 100)
	if got, _, report := deliver(t, dir, "a"); len(got) != 100 || report.Damaged() {
		t.Errorf("through a link to a folder: %d, %v", len(got), report)
	}
}
