package jsonlog

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// clock is a wall clock that a test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// smallLog makes a log that is rotated after about three events.
func smallLog(t *testing.T) (*Log, *clock) {
	l := newLog(t)
	l.cfg.MaxSize, l.cfg.Keep = 800, 1000
	c := &clock{time.Date(2026, 11, 21, 10, 15, 0, 0, time.UTC)}
	l.now = c.now
	return l, c
}

// old gives the names of the old files, the oldest first.
func old(t *testing.T, l *Log) []string {
	t.Helper()
	files, err := l.rotated()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.path)
	}
	return names
}

func readAll(t *testing.T, l *Log) []int {
	t.Helper()
	var got []int
	for _, name := range append(old(t, l), l.cfg.Path) {
		got = append(got, read(t, name)...)
	}
	return got
}

func TestRotateBySize(t *testing.T) {
	l, c := smallLog(t)
	send(t, l, 0, 100)
	c.t = c.t.Add(time.Hour)
	send(t, l, 100, 100)
	checkOrder(t, readAll(t, l), 200)
	names := old(t, l)
	if len(names) < 30 || l.Stats().Rotations != uint64(len(names)) {
		t.Errorf("%d old files, %+v", len(names), l.Stats())
	}
	if names[0] != l.cfg.Path+"-20261121-101500" || !slices.Contains(names, l.cfg.Path+"-20261121-111500") {
		t.Errorf("got %q", names)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > 800 || info.Size() < 400 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
	}
}

// TestRotateNamesSortByAge sets the clock back between rotations.
func TestRotateNamesSortByAge(t *testing.T) {
	l, c := smallLog(t)
	for i := range 20 {
		send(t, l, 10*i, 10)
		c.t = c.t.Add(-time.Hour)
	}
	checkOrder(t, readAll(t, l), 200)
}

func TestRotateNone(t *testing.T) {
	l, c := smallLog(t)
	l.cfg.Rotate = RotateNone
	send(t, l, 0, 50)
	c.t = c.t.AddDate(0, 0, 1)
	send(t, l, 50, 50)
	checkOrder(t, read(t, l.cfg.Path), 100)
}

func TestRotateDaily(t *testing.T) {
	l, c := smallLog(t)
	l.cfg.Rotate, l.cfg.MaxSize = RotateDay, 1<<20
	east := time.FixedZone("east", 2*3600)
	c.t = time.Date(2026, 11, 21, 23, 59, 59, 0, east)
	send(t, l, 0, 1)
	send(t, l, 1, 1)
	c.t = c.t.Add(time.Second)
	send(t, l, 2, 1)
	send(t, l, 3, 1)
	if names := old(t, l); !slices.Equal(names, []string{l.cfg.Path + "-20261121-220000"}) {
		t.Errorf("got %q", names)
	}
	checkOrder(t, read(t, l.cfg.Path+"-20261121-220000"), 2)
	c.t = c.t.AddDate(0, 0, 3) // nothing for days
	send(t, l, 4, 1)
	checkOrder(t, readAll(t, l), 5)
	if n := len(old(t, l)); n != 2 {
		t.Errorf("%d old files", n)
	}
}

// TestRotateDailyAfterRestart finds a file of another day at its start.
func TestRotateDailyAfterRestart(t *testing.T) {
	l, c := smallLog(t)
	l.cfg.Rotate = RotateDay
	send(t, l, 0, 1)
	_ = l.Close(t.Context())
	if err := os.Chtimes(l.cfg.Path, c.t, c.t); err != nil {
		t.Fatal(err)
	}
	for day, want := range []int{0, 1} {
		next := newLogWith(t, configAt(l.cfg.Path))
		next.cfg.Rotate = RotateDay
		next.now = func() time.Time { return c.t.AddDate(0, 0, day) }
		send(t, next, 1+day, 1)
		_ = next.Close(t.Context())
		if err := os.Chtimes(l.cfg.Path, c.t, c.t); err != nil {
			t.Fatal(err)
		}
		if n := len(old(t, l)); n != want {
			t.Errorf("day %d: %d old files, want %d", day, n, want)
		}
	}
	checkOrder(t, readAll(t, l), 3)
}

func TestPruneKeepsTheLatestAndWhatIsNotOurs(t *testing.T) {
	l, c := smallLog(t)
	l.cfg.Keep = 3
	foreign := []string{"hits.json-20261121", "hits.json-20261121-101500.gz", "hits.json-2026", "hits.json-20261399-101500", "other.json-20251121-101500"}
	dir := filepath.Dir(l.cfg.Path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	c.t = time.Now().Add(time.Hour) // everything is older than the quiet time
	send(t, l, 0, 100)
	if n := len(old(t, l)); n != 3 {
		t.Errorf("%d old files", n)
	}
	got := readAll(t, l)
	if got[len(got)-1] != 99 || got[0] < 80 {
		t.Errorf("kept %v", got)
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestPruneSparesFilesInUse rotates faster than a reader can follow.
func TestPruneSparesFilesInUse(t *testing.T) {
	l, c := smallLog(t)
	l.cfg.Keep = 3
	c.t = time.Now().Add(quiet / 2)
	send(t, l, 0, 100)
	if n := len(old(t, l)); n != 6 {
		t.Errorf("%d old files, want twice as many as are kept", n)
	}
	c.t = c.t.Add(quiet)
	for _, name := range old(t, l) {
		if l.inUse(name) {
			t.Errorf("%s counts as in use", name)
		}
	}
}

// TestRotateFails holds that events go on in the old file, and that it is tried
// again a minute later.
func TestRotateFails(t *testing.T) {
	l, c := smallLog(t)
	broken, calls := true, 0
	stub(l).rename = func(from, to string) error {
		if calls++; broken {
			return os.ErrPermission
		}
		return os.Rename(from, to)
	}
	send(t, l, 0, 20)
	if s := l.Stats(); calls != 1 || s.Errors != 1 || s.Lines != 20 || s.LastError != "rotate: permission denied" {
		t.Errorf("%d attempts, %+v", calls, s)
	}
	broken = false
	send(t, l, 20, 5)
	c.t = c.t.Add(rotatePause)
	send(t, l, 25, 1)
	checkOrder(t, readAll(t, l), 26)
	if n := len(old(t, l)); n != 1 || calls != 2 {
		t.Errorf("%d old files after %d attempts", n, calls)
	}
}

// TestRotateFindsTheFileGone has it moved between the look and the rename.
func TestRotateFindsTheFileGone(t *testing.T) {
	l, _ := smallLog(t)
	stub(l).rename = func(from, _ string) error {
		return errors.Join(os.Rename(from, from+".moved"), os.ErrNotExist)
	}
	send(t, l, 0, 4)
	checkOrder(t, append(read(t, l.cfg.Path+".moved"), read(t, l.cfg.Path)...), 4)
	if s := l.Stats(); s.Errors != 0 || s.Rotations != 0 {
		t.Errorf("got %+v", s)
	}
}

// TestRotateByDate: the wall clock is set to other years and back, and the day is over
// when the date that can be trusted says so.
func TestRotateByDate(t *testing.T) {
	l, wall := smallLog(t)
	date := clock{wall.t}
	l.cfg.Rotate, l.cfg.MaxSize, l.cfg.Date = RotateDay, 1<<30, date.now
	for i, years := range []int{0, 10, -56, 0, 30} {
		wall.t = time.Date(2026+years, 3, i+1, 1, 2, 3, 0, time.UTC)
		send(t, l, 10*i, 10)
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if got := old(t, l); len(got) != 0 {
		t.Errorf("rotated because the clock was set: %q", got)
	}
	date.t = date.t.Add(24 * time.Hour)
	send(t, l, 50, 10)
	if got := old(t, l); len(got) != 1 || got[0] != l.cfg.Path+"-20261122-101500" {
		t.Errorf("a day later: %q", got)
	}
	checkOrder(t, readAll(t, l), 60)
}

// TestDayOf: no two days of a decade have the same number, and later ones have higher numbers.
func TestDayOf(t *testing.T) {
	last := 0
	for at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC); at.Year() < 2036; at = at.AddDate(0, 0, 1) {
		if n := dayOf(at); n <= last {
			t.Fatalf("%v has the number %d, the day before %d", at, n, last)
		} else {
			last = n
		}
	}
}
