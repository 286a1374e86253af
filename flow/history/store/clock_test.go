package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
)

// TestClockSetBackIntoMergedHours: files of an hour and of a day that have been merged are kept
// beside the merged ones, count at once, and are merged with them.
func TestClockSetBackIntoMergedHours(t *testing.T) {
	for _, edge := range []bool{false, true} {
		w := newWorld(t, 20, edge)
		hour := func(at time.Time) {
			for n := range 6 {
				w.now = at.Add(time.Duration(n+1) * 10 * time.Minute)
				if err := w.write(10*time.Minute, 1, 20); err != nil {
					t.Fatal(err)
				}
			}
		}
		later := start.Add(2 * time.Hour)
		for range 3 {
			hour(start) // the very same names
			w.check("back again")
			w.now = later
			w.tidy()
			w.check("hours")
		}
		day := start.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(3 * time.Hour)
		for range 3 {
			w.now = day
			w.tidy()
			if got := w.levels(); got != "d" {
				t.Errorf("edge %t: files are %s", edge, got)
			}
			w.check("the day")
			hour(start)
			w.check("back again")
		}
	}
}

// TestClockJumpsWithinAnInterval: by a year in either direction; hunts find the contacts.
func TestClockJumpsWithinAnInterval(t *testing.T) {
	w := newWorld(t, 21, false)
	for _, years := range []int{1, -1, 60, -60, 9000, -3000} {
		tables, rows := w.tables(1, 20, w.now)
		if err := w.store.Write(context.Background(), w.now, w.now.AddDate(years, 0, 0), tables, names, 0, 0); err != nil {
			t.Fatal(err)
		}
		w.expect(rows)
	}
	w.check("written")
	for range 3 {
		w.now = w.now.AddDate(0, 0, 2)
		w.tidy()
		w.check("merged")
	}
	list, err := w.store.Folder().Files(start.Add(-time.Hour), start)
	if err != nil || len(list) == 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// days writes files of the days before now.
func (w *world) days(n int) {
	w.t.Helper()
	end := w.now
	for day := n; day >= 1; day-- {
		w.now = end.AddDate(0, 0, -day)
		if err := w.write(time.Hour, 1, 30); err != nil {
			w.t.Fatal(err)
		}
	}
	w.now = end
}

// dates the files as if they had been written at that time.
func (w *world) date(at time.Time) {
	w.t.Helper()
	for _, name := range w.files() {
		if err := os.Chtimes(filepath.Join(w.root, name), at, at); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestRetentionByAge(t *testing.T) {
	w := newWorld(t, 22, false)
	w.days(10)
	w.store.Reconfigure(5*24*time.Hour, 0)
	for left := 10; left > 5; left-- { // a day for each pass, the oldest first
		if got := len(w.files()); got != left {
			t.Errorf("%d files, want %d", got, left)
		}
		w.tidy()
	}
	w.tidy()
	files := w.files()
	if len(files) != 5 || !strings.HasPrefix(files[0], "2026/11/24/") || w.store.Stats().AgedFiles != 5 {
		t.Errorf("%q, %+v", files, w.store.Stats())
	}
	if left, _ := filepath.Glob(w.root + "/*/*/*"); len(left) != 5 {
		t.Errorf("folders %q", left)
	}
}

func TestRetentionByBytes(t *testing.T) {
	w := newWorld(t, 23, false)
	w.days(6)
	w.tidy()
	size := int64(w.store.Stats().Bytes)
	w.store.Reconfigure(0, size)
	w.tidy()
	if n := len(w.files()); n != 6 {
		t.Errorf("%d files left", n)
	}
	w.store.Reconfigure(0, size/2)
	for range 5 {
		w.tidy()
	}
	files, s := w.files(), w.store.Stats()
	if int64(s.Bytes) > size/2 || len(files) < 2 || !strings.HasPrefix(files[len(files)-1], "2026/11/28/") || int(s.PushedFiles) != 6-len(files) {
		t.Errorf("%q, %+v of %d bytes", files, s, size)
	}
	// Within the present day, file by file.
	for range 20 {
		if err := w.write(time.Minute, 1, 30); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		w.tidy()
	}
	if s := w.store.Stats(); int64(s.Bytes) > size/2 || s.Files[0] < 2 {
		t.Errorf("%+v of %d bytes", s, size/2)
	}
}

// TestRetentionPassesBy: a day that cannot be removed does not keep the others, and is one line
// of trouble, however many files it has.
func TestRetentionPassesBy(t *testing.T) {
	w := newWorld(t, 24, false)
	w.days(5)
	now := w.now
	w.now = now.AddDate(0, 0, -5)
	for range 4 {
		if err := w.write(time.Minute, 1, 30); err != nil {
			t.Fatal(err)
		}
	}
	w.now = now
	stays := filepath.Dir(w.files()[0])
	w.cfg.Disk.(*disktest.Faults).Hook = func(c disktest.Call) error {
		if c.What == "remove" && strings.Contains(c.Path, stays) {
			return syscall.EACCES
		}
		return nil
	}
	w.store.Reconfigure(0, 1)
	for range 6 {
		_ = w.store.Tidy(context.Background())
	}
	for _, name := range w.files() {
		if filepath.Dir(name) != stays {
			t.Errorf("%s is still there", name)
		}
	}
	if s := w.store.Stats(); s.Trouble == "" || strings.Contains(s.Trouble, "\n") || strings.Count(s.Trouble, ".parquet") != 1 || !strings.Contains(s.Trouble, "belong to the user") {
		t.Errorf("%q", s.Trouble)
	}
}

// TestClockAheadEmptiesNothing: by age nothing goes while the clock is not synchronised; when a
// wrong clock is believed it costs a day for each pass, or nothing if it is wrong by more than
// a year. A file from the future goes when it has been there for as long as others.
func TestClockAheadEmptiesNothing(t *testing.T) {
	w := newWorld(t, 24, false)
	w.days(10)
	w.date(w.now)
	w.store.Reconfigure(30*24*time.Hour, 0)
	right := w.now
	w.now, w.synced = right.AddDate(1, 0, 0), false
	w.tidy()
	if n := len(w.files()); n != 10 {
		t.Errorf("%d files left", n)
	}
	if err := w.write(time.Minute, 1, 30); err != nil {
		t.Fatal(err)
	}
	w.date(w.now)
	w.synced = true
	w.tidy()
	if n := len(w.files()); n != 10 {
		t.Errorf("%d files left after one pass with a wrong clock", n)
	}
	w.now = right.AddDate(3, 0, 0)
	w.tidy()
	if n := len(w.files()); n != 10 {
		t.Errorf("%d files left three years ahead", n)
	}
	w.now = right
	w.date(right.AddDate(2, 0, 0))
	for day := range 45 {
		w.now = right.AddDate(0, 0, day)
		w.tidy()
		future, _ := filepath.Glob(w.root + "/2027/*/*/*.parquet")
		if want := 1; day <= 29 && len(future) != want || day >= 41 && len(future) != 0 {
			t.Errorf("day %d: %d files from the future", day, len(future))
		}
	}
	if got := w.files(); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestFutureDoesNotCrowdOut: files that a clock ahead has left do not make those of today the
// oldest.
func TestFutureDoesNotCrowdOut(t *testing.T) {
	w := newWorld(t, 25, false)
	right := w.now
	w.now = right.AddDate(0, 6, 0)
	w.days(5)
	w.now = right
	w.date(right.AddDate(0, 0, -1))
	w.tidy()
	w.store.Reconfigure(30*24*time.Hour, int64(w.store.Stats().Bytes))
	for range 5 {
		w.now = w.now.Add(time.Hour)
		if err := w.write(time.Hour, 1, 30); err != nil {
			t.Fatal(err)
		}
		w.tidy()
	}
	if today, _ := filepath.Glob(w.root + "/2026/*/*/*.parquet"); len(today) != 5 {
		t.Errorf("%d files of today are left: %q", len(today), w.files())
	}
}

// TestEdgeAtNight: hours wait for the night, but not too many of them.
func TestEdgeAtNight(t *testing.T) {
	w := newWorld(t, 26, true)
	_ = w.store.Close()
	w.cfg.Zone = time.FixedZone("", 5*3600)
	w.open()
	w.now = start.Truncate(24 * time.Hour)
	for range 24 + 19 { // up to 19:00, which is midnight here
		w.now = w.now.Add(time.Hour)
		if err := w.write(time.Hour, 1, 20); err != nil {
			t.Fatal(err)
		}
		before := w.store.Stats().Merges
		w.tidy()
		hour := w.now.In(w.cfg.Zone).Hour()
		if s := w.store.Stats(); s.Merges > before && s.Files[1]+6 < manyWaiting && (hour < 1 || hour >= 5) {
			t.Errorf("merged at %d o'clock: %+v", hour, s)
		}
	}
	w.check("before the night")
	for range 8 { // 26 files may wait, with those of today
		w.now = w.now.Add(time.Hour)
		if err := w.write(time.Hour, 1, 20); err != nil {
			t.Fatal(err)
		}
		w.tidy()
	}
	w.check("after the night")
	if got := w.levels(); strings.Count(got, "d") != 1 {
		t.Errorf("files are %s", got)
	}
}

// TestMergeGivesWay: a merge ends with its context, leaves nothing, and is done the next time.
func TestMergeGivesWay(t *testing.T) {
	w := waiting(t, true, 8)
	ctx, cancel := context.WithCancel(context.Background())
	_ = w.store.Close()
	calls := 0
	w.cfg.Yield = func() {
		if calls++; calls == 3 {
			cancel()
		}
	}
	w.open()
	before := len(w.files())
	if err := w.store.Tidy(ctx); err != context.Canceled {
		t.Errorf("%v", err)
	}
	if n := len(w.files()); n != before || w.store.Stats().Trouble != "" || len(w.reports) > 0 {
		t.Errorf("%d files, want %d; %q", n, before, w.reports)
	}
	w.check("stopped")
	w.tidy()
	w.check("merged")
	if w.levels() != "d" {
		t.Errorf("files are %s", w.levels())
	}
}
