package store

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// copyOf gives a world on a copy of the files of another one.
func copyOf(t *testing.T, from *world, d *disktest.Faults) *world {
	t.Helper()
	w := &world{t: t, r: from.r, root: filepath.Join(t.TempDir(), "history"), now: from.now, synced: true, want: maps.Clone(from.want), seen: from.seen}
	if err := os.CopyFS(w.root, os.DirFS(from.root)); err != nil {
		t.Fatal(err)
	}
	w.cfg = from.cfg
	w.cfg.Root, w.cfg.Disk = w.root, d
	w.cfg.Now = func() time.Time { return w.now }
	w.cfg.Report = func(warn bool, text string) { w.reports = append(w.reports, text) }
	return w
}

// everyCall runs a procedure with the disk failing at one call after the other: at that call
// alone, or from it on, as when the process is killed there. Of reads only some fail, and with
// the race detector, which is ten times slower, of others, too.
func everyCall(t *testing.T, from *world, do func(*testing.T, *world) error, check func(t *testing.T, w *world, call disktest.Call, killed bool, err error)) {
	count := 0
	for n, step := 0, 1; ; n += step {
		call := disktest.Call{Index: -1}
		for _, killed := range []bool{false, true} {
			begun := false
			first := 0
			d := &disktest.Faults{Part: 100}
			d.Hook = func(c disktest.Call) error {
				if !begun {
					first = c.Index + 1
					return nil
				}
				if c.Index-first == n {
					call = c
				}
				if c.Index-first == n || killed && c.Index-first > n {
					return syscall.EIO
				}
				return nil
			}
			w := copyOf(t, from, d)
			w.open()
			begun = true
			err := do(t, w)
			if killed {
				begun = false // the next process
				_ = w.store.Close()
			}
			if call.Index >= 0 {
				check(t, w, call, killed, err)
			}
		}
		if call.Index < 0 {
			break
		}
		count++
		switch step = 1; {
		case call.What == "read":
			step = 31
		case raceDetector && count > 20:
			step = 7
		}
	}
	t.Logf("%d calls failed", count)
	if count < 10 {
		t.Error("these are too few")
	}
}

func TestEveryCallOfWriteFails(t *testing.T) {
	from := newWorld(t, 2, false)
	if err := from.write(10*time.Minute, 1, 50); err != nil {
		t.Fatal(err)
	}
	tables, rows := from.tables(3, 200, from.now)
	write := func(_ *testing.T, w *world) error {
		return w.store.Write(context.Background(), w.now.Add(-time.Minute), w.now, tables, names, 0, 0)
	}
	everyCall(t, from, write, func(t *testing.T, w *world, call disktest.Call, killed bool, err error) {
		if err == nil && call.What != "close" && call.What != "stat" { // of a folder; of the file system
			t.Errorf("%+v: no error", call)
		}
		if killed {
			w.open()
			if err != nil && len(w.found()) == len(w.want) {
				w.check(call.What) // nothing of the write is there
				return
			}
		} else if err != nil {
			if err := write(t, w); err != nil {
				t.Fatalf("%+v: again: %v", call, err)
			}
		}
		w.expect(rows)
		w.check(call.What + " " + call.Path)
		if names := len(w.files()); names != 2 {
			t.Errorf("%+v: %q", call, w.files())
		}
	})
}

// waiting makes the files of a day, some of one hour, which wait to be merged.
func waiting(t *testing.T, edge bool, hours int) *world {
	w := newWorld(t, 3, edge)
	w.now = start.Truncate(24 * time.Hour)
	interval := 3 * time.Hour
	if edge {
		interval = 2 * time.Hour
	}
	for range hours {
		w.now = w.now.Add(interval)
		for range 1 + w.r.IntN(2) {
			if err := w.write(10*time.Minute, 1, 30); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.now = start.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(3 * time.Hour)
	return w
}

func TestEveryCallOfTidyFails(t *testing.T) {
	for _, edge := range []bool{false, true} {
		from := waiting(t, edge, 6)
		tidy := func(_ *testing.T, w *world) error { return w.store.Tidy(context.Background()) }
		everyCall(t, from, tidy, func(t *testing.T, w *world, call disktest.Call, killed bool, _ error) {
			w.check(call.What + " " + call.Path) // a reader sees it as it is
			if killed {
				w.open()
				w.check("opened")
			}
			for range 2 { // what has failed is not tried in the same pass
				w.tidy()
				w.check("tidied")
			}
			if got := w.levels(); got != "d" {
				t.Errorf("edge %t, %+v: files are %s, %q", edge, call, got, w.reports)
			}
			if got := w.store.Stats().Trouble; got != "" {
				t.Errorf("edge %t, %+v: %s", edge, call, got)
			}
		})
	}
}

func TestEveryCallOfEraseFails(t *testing.T) {
	from := waiting(t, false, 2)
	prefix := []netip.Prefix{netip.MustParsePrefix("198.51.0.0/26")}
	erased := func(w *world) {
		maps.DeleteFunc(w.want, func(r row.Row, _ row.Row) bool { return prefix[0].Contains(r.Outside.Addr().Unmap()) })
	}
	erase := func(_ *testing.T, w *world) error {
		_, _, err := w.store.Erase(context.Background(), prefix)
		return err
	}
	everyCall(t, from, erase, func(t *testing.T, w *world, call disktest.Call, killed bool, err error) {
		if killed {
			w.open()
		}
		if err := erase(t, w); err != nil {
			t.Fatalf("%+v: again: %v", call, err)
		}
		before := len(w.want)
		if erased(w); len(w.want) == before || len(w.want) == 0 {
			t.Fatal("nothing to erase")
		}
		w.check(call.What + " " + call.Path)
	})
}

func TestEveryCallOfRetentionFails(t *testing.T) {
	from := waiting(t, true, 3)
	from.tidy()
	from.now = from.now.AddDate(0, 0, 9)
	if err := from.write(time.Hour, 1, 50); err != nil {
		t.Fatal(err)
	}
	from.cfg.Keep = 5 * 24 * time.Hour
	tidy := func(_ *testing.T, w *world) error { return w.store.Tidy(context.Background()) }
	everyCall(t, from, tidy, func(t *testing.T, w *world, call disktest.Call, killed bool, _ error) {
		if killed {
			w.open()
		}
		w.tidy()
		if got := w.files(); len(got) != 1 {
			t.Errorf("%+v: %q", call, got)
		}
		if _, err := os.Stat(filepath.Join(w.root, "2026/11/29")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: the empty folder: %v", call, err)
		}
	})
}
