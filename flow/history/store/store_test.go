package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// A server writes every ten minutes, merges hours and days; all rows are there at any time.
func TestDaysOfAServer(t *testing.T) {
	w := newWorld(t, 1, false)
	flows := 40
	if raceDetector {
		flows = 10
	}
	for n := range 3 * 144 {
		w.now = w.now.Add(10 * time.Minute)
		if err := w.write(10*time.Minute, 1+n%3, flows); err != nil {
			t.Fatal(err)
		}
		w.tidy()
		if n%24 == 0 {
			w.check(w.now.String())
		}
	}
	w.check("at the end")
	if got := w.levels(); got != "ddd"+"ffffff"+"hhhhhhhhhhh" { // the last hour may still get a file
		t.Errorf("files are %s", got)
	}
	if len(w.reports) > 0 {
		t.Errorf("reports: %q", w.reports)
	}
}

// TestMonths: a history of months is at any time what was written, with late files, a clock
// that jumps, and a process that starts again now and then.
func TestMonths(t *testing.T) {
	for _, edge := range []bool{false, true} {
		w := newWorld(t, 7, edge)
		interval := 3 * time.Hour
		if edge {
			interval = 2*time.Hour + 13*time.Minute
		}
		span := 61 // days
		if raceDetector {
			span = 15
		}
		end := w.now.AddDate(0, 0, span)
		for n := 0; w.now.Before(end); n++ {
			w.now = w.now.Add(interval)
			for range 1 + w.r.IntN(7)/6*w.r.IntN(9) { // seldom, tables were full
				if err := w.write(interval, 1+w.r.IntN(2), 12); err != nil {
					t.Fatal(err)
				}
			}
			if w.r.IntN(8) > 0 {
				w.tidy()
			}
			switch w.r.IntN(120) {
			case 0: // the clock is set for a moment
				now := w.now
				w.now = w.now.AddDate(w.r.IntN(3)-1, 0, -w.r.IntN(3)).Add(-time.Minute)
				if err := w.write(time.Minute, 1, 12); err != nil {
					t.Fatal(err)
				}
				w.tidy()
				w.now = now
			case 1:
				w.open()
			}
			if n%200 == 0 {
				w.check(w.now.String())
			}
		}
		w.check("at the end")
		w.now = w.now.Truncate(24*time.Hour).AddDate(0, 0, 2).Add(3 * time.Hour)
		w.tidy()
		w.check("merged")
		days := make(map[string]int)
		for _, name := range w.files() {
			days[filepath.Dir(name)]++
		}
		for day, n := range days {
			if n != 1 {
				t.Errorf("edge %t: %d files on %s", edge, n, day)
			}
		}
		if len(days) < span || len(w.reports) > 0 {
			t.Errorf("edge %t: %d days, %q", edge, len(days), w.reports)
		}
	}
}

// TestStats: the counters can be shown, and are those of what is on the disk.
func TestStats(t *testing.T) {
	w := newWorld(t, 30, true)
	if err := w.write(time.Hour, 1, 50); err != nil {
		t.Fatal(err)
	}
	w.tidy()
	info, err := os.Stat(filepath.Join(w.root, w.files()[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := Stats{
		Files: [3]int{0, 1, 0}, Bytes: uint64(info.Size()), Oldest: start.Add(-time.Hour), Written: start, Rows: uint64(len(w.want)),
	}
	if got := w.store.Stats(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	var r observe.Registry
	c := r.Component("history")
	c.Add(observe.Of("history", w.store.Stats))
	if list := r.Complaints(); len(list) > 0 {
		t.Error(list)
	}
	w.open() // what is there is known from the start
	want.Rows = 0
	if got := w.store.Stats(); got != want {
		t.Errorf("opened:\n got %+v\nwant %+v", got, want)
	}
}

// TestNothingToWrite: without contacts there is no file, and no trouble either.
func TestNothingToWrite(t *testing.T) {
	w := newWorld(t, 31, false)
	for _, count := range []int{0, 3} {
		if err := w.write(time.Hour, count, 0); err != nil {
			t.Error(err)
		}
	}
	if got := w.files(); len(got) != 0 {
		t.Errorf("%q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tables, _ := w.tables(1, 3000, w.now)
	if err := w.store.Write(ctx, w.now, w.now, tables, names, 0, 0); err != context.Canceled || len(w.files()) != 0 || w.store.Stats().WriteErrors != 0 {
		t.Errorf("ended before: %v, %q", err, w.files())
	}
}

// TestManyFilesInOneHour: full tables make many files in a short time. They are merged before
// the hour and the day are over, with no more at once than memory allows.
func TestManyFilesInOneHour(t *testing.T) {
	for _, edge := range []bool{false, true} {
		w := newWorld(t, 32, edge)
		most := 0
		for range 130 {
			w.now = w.now.Add(20 * time.Second)
			if err := w.write(20*time.Second, 1, 12); err != nil {
				t.Fatal(err)
			}
			w.tidy()
			most = max(most, len(w.files()))
		}
		w.check("in the hour")
		if most > manyWaiting+1 {
			t.Errorf("edge %t: up to %d files", edge, most)
		}
		w.now = w.now.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(3 * time.Hour) // at night
		w.tidy()
		w.check("merged")
		if got := w.levels(); got != "d" {
			t.Errorf("edge %t: files are %s", edge, got)
		}
	}
}
