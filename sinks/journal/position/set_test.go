package position

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// testLane is a lane with events on the disk.
type testLane struct{ end uint64 }

func (l testLane) OnDisk() bool         { return true }
func (l testLane) EndFor(uint64) uint64 { return l.end }

// openSet opens the places in dir, of a lane that ends at end.
func openSet(t *testing.T, dir string, end uint64) (*Set, Report) {
	t.Helper()
	f, err := folder.Open(disk.NewWatch(disk.OS{}), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	s, r, err := Open(f, testLane{end}, new(sync.Mutex), folder.Now(nil))
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func newSet(t *testing.T, dir string) *Set {
	t.Helper()
	s, _ := openSet(t, dir, 0)
	return s
}

// attach gives the place of a sink in a lane from 0 to before 100.
func attach(t *testing.T, s *Set, name string) *Place {
	t.Helper()
	p, err := s.Attach(name, make(chan struct{}, 1), 0, 100, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestOrphans: the place of a sink that is no longer configured holds what it needs for a
// minute after the start, then nothing, and is forgotten when it is too old; only then its
// file goes, and a sink of that name is a new one.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	s := newSet(t, dir)
	stays, goes := attach(t, s, "stays"), attach(t, s, "goes")
	for p, at := range map[*Place]uint64{stays: 60, goes: 20} {
		p.Lend(0, at)
		p.Settle(Mark{Position: at, Delivered: at}, true)
	}
	if err := s.Save(true, true); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.dir.Close()

	s, r := openSet(t, dir, 100)
	if r.Cursors != 2 || !r.Clean || s.Floor(100) != 20 {
		t.Fatalf("%+v, from %d on", r, s.Floor(100))
	}
	attach(t, s, "stays")
	s.Orphan(AttachWithin - 1)
	if s.Floor(100) != 20 || s.Unread(100) != 20 || s.SavedFloor(100) != 20 {
		t.Errorf("too soon: %d, %d, %d", s.Floor(100), s.Unread(100), s.SavedFloor(100))
	}
	s.Orphan(AttachWithin)
	if s.Floor(100) != 60 || s.Unread(100) != 60 || s.SavedFloor(100) != 60 {
		t.Errorf("after a minute: %d, %d, %d", s.Floor(100), s.Unread(100), s.SavedFloor(100))
	}
	for days, want := range []int{2, 2, 1} {
		s.Forget(time.Now().Add(time.Duration(days)*24*time.Hour+time.Hour), 48*time.Hour)
		files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix))
		if len(s.All()) != want || len(files) != want {
			t.Errorf("after %d days: %d places, %v", days, len(s.All()), files)
		}
	}
	if p := attach(t, s, "goes"); p.Next() != 60 || p.Counts(100).MayRepeat {
		t.Errorf("a sink that was forgotten begins at %d", p.Next())
	}
	s.Close()
}

// TestNoOrphansWithoutSinks: while no runner has come everything is needed, however long.
func TestNoOrphansWithoutSinks(t *testing.T) {
	s := newSet(t, t.TempDir())
	s.Orphan(time.Hour)
	if s.Floor(100) != 0 || s.Unread(100) != 0 {
		t.Errorf("got %d, %d", s.Floor(100), s.Unread(100))
	}
}

// TestMissingLeavesTheList: a sink whose file is missing stays in the list for as long as it
// may come, and then leaves it.
func TestMissingLeavesTheList(t *testing.T) {
	dir := t.TempDir()
	s := newSet(t, dir)
	attach(t, s, "a")
	attach(t, s, "b")
	if err := s.Save(true, true); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.dir.Close()
	if err := (disk.OS{}).Remove(Path(dir, "b")); err != nil {
		t.Fatal(err)
	}
	for i, since := range []time.Duration{0, AttachWithin, 0} {
		s, r := openSet(t, dir, 100)
		if missing := slices.Contains(r.Missing, "b"); missing != (i < 2) {
			t.Errorf("run %d: missing %v", i, r.Missing)
		}
		attach(t, s, "a")
		s.Orphan(since)
		if err := s.Save(true, true); err != nil {
			t.Fatal(err)
		}
		list, err := loadKnown(disk.OS{}, dir)
		if err != nil || slices.Contains(list.Sinks, "b") != (i < 1) {
			t.Errorf("run %d: %v, %v", i, list.Sinks, err)
		}
		s.Close()
		s.dir.Close()
	}
}
