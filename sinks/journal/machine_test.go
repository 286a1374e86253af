package journal

import (
	"bytes"
	"context"
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
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// full leaves n events in dir that no sink has had, of which a is known.
func full(t *testing.T, dir string, n int) {
	t.Helper()
	j, _ := openDir(t, dir, Always)
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	j.Start()
	add(t, j, numbered(0, n))
	stopAll(t, j, r)
}

func roomy(c *Config) { c.MaxBytes, c.MemoryBytes = 16<<20, 16<<20 }

// TestJournalReadIsTriedForEver: an hour without descriptors, or with the folder away,
// costs no event, and is named.
func TestJournalReadIsTriedForEver(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.ESTALE, syscall.EACCES, syscall.ENOMEM} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			full(t, dir, 1000)
			j, _ := openDir(t, dir, Always)
			var ill atomic.Bool
			ill.Store(true)
			putUnder(j, &disktest.Faults{Hook: func(c disktest.Call) error {
				if ill.Load() && (c.What == "open" || c.What == "read") && strings.HasSuffix(c.Path, record.Suffix) {
					return err
				}
				return nil
			}})
			sink := named{&fakeSink{}, "a"}
			r := newRunner(t, j, sink)
			j.Start()
			r.Start()
			time.Sleep(time.Hour)
			s := j.Stats()
			if c := checkCursor(t, r); c.Dropped != 0 || c.Pending != 1000 || s.ReadErrors < 100 || !strings.Contains(s.ReadTrouble, "sink a") {
				t.Errorf("%v: %+v, %+v", err, c, s)
			}
			ill.Store(false)
			time.Sleep(time.Minute)
			if s := j.Stats(); !slices.Equal(sink.Got, numbers(0, 1000)) || s.ReadTrouble != "" || s.LastError == "" {
				t.Errorf("%v: got %d, %+v", err, len(sink.Got), s)
			}
			stopAll(t, j, r)
		})
	}
}

// TestJournalFolderIsAway: a file system that is unmounted for a while leaves an empty
// directory, or none; nothing is taken for gone and nothing is written there.
func TestJournalFolderIsAway(t *testing.T) {
	for _, empty := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			full(t, dir, 1000)
			j, _ := openDir(t, dir, Always, roomy)
			if err := os.Rename(dir, dir+"-away"); err != nil {
				t.Fatal(err)
			}
			if empty {
				if err := os.Mkdir(dir, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			sink := named{&fakeSink{}, "a"}
			r := newRunner(t, j, sink)
			j.Start()
			r.Start()
			for i := range 60 {
				_ = j.Append(large(1000+100*i, 100)) // more than a segment
				time.Sleep(time.Second)
			}
			if s := j.Stats(); s.Trouble == "" || s.ReadTrouble == "" || r.Stats().Dropped != 0 {
				t.Errorf("got %+v, %+v", s, r.Stats())
			}
			if names, _ := os.ReadDir(dir); len(names) != 0 {
				t.Errorf("%v in the place of the journal", names)
			}
			_ = os.Remove(dir)
			if err := os.Rename(dir+"-away", dir); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if s := j.Stats(); s.Trouble != "" || s.ReadTrouble != "" || !slices.Equal(sink.Got, numbers(0, 7000)) {
				t.Errorf("got %d, %+v", len(sink.Got), s)
			}
			stopAll(t, j, r)
		})
	}
}

// TestJournalSyncFails: what a failed sync has covered is written again and synced, it is
// trouble until then, and a power cut afterwards takes nothing.
func TestJournalSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j, _ := openDir(t, dir, Always, func(c *Config) { c.MemoryBytes = 4 << 20 })
		var ill atomic.Bool
		files := &disktest.Faults{Hook: func(c disktest.Call) error {
			if ill.Load() && c.What == "sync" {
				return syscall.EIO
			}
			return nil
		}}
		putUnder(j, files)
		idle := newRunner(t, j, named{&fakeSink{}, "idle"})
		j.Start()
		add(t, j, large(0, 100))
		time.Sleep(2 * time.Second) // synced
		ill.Store(true)
		for i := range 5 {
			_ = j.Append(large(100+100*i, 100)) // over the end of the segment
		}
		time.Sleep(10 * time.Second)
		if s := j.Stats(); !strings.Contains(s.Trouble, "input/output error") || s.SyncErrors == 0 || s.MemoryBytes < 500*300 {
			t.Errorf("got %+v", s)
		}
		if err := j.Append(large(600, 100)); err == nil {
			t.Error("Append says that all is well")
		}
		ill.Store(false)
		time.Sleep(5 * time.Second)
		s := j.Stats()
		// How many were written before the first sync failed depends on the goroutines;
		// the others were never written until the disk was whole.
		if s.Trouble != "" || s.Rewritten == 0 || s.LastError == "" {
			t.Errorf("got %+v", s)
		}
		add(t, j, large(700, 100))
		stopAll(t, j, idle)
		got, c, report := deliver(t, dir, "idle")
		if !slices.Equal(got, numbers(0, 800)) || c.Dropped != 0 || report.Damaged() {
			t.Errorf("got %d, %+v, %v", len(got), c, report)
		}
	})
}

// TestJournalDiskHangsEverywhere: with a disk that answers no call at all Append, Stats
// and the stop are bounded, the call is named, and what the stop loses is counted.
func TestJournalDiskHangsEverywhere(t *testing.T) {
	for _, what := range []string{"open", "write", "sync", "read", "rename", "remove", "lstat", "stat", "close", ""} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			full(t, dir, 1000)
			j, _ := openDir(t, dir, Always, roomy)
			var ill atomic.Bool
			release := make(chan struct{})
			putUnder(j, &disktest.Faults{Hook: func(c disktest.Call) error {
				if ill.Load() && (what == "" || c.What == what) {
					<-release
				}
				return nil
			}})
			r := newRunner(t, j, named{&fakeSink{}, "a"})
			late := newRunner(t, j, named{&fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}, "late"})
			j.Start()
			ill.Store(true)
			r.Start()
			late.Start()
			for i := range 30 {
				began := time.Now()
				_ = j.Append(large(1000+100*i, 100))
				if d := time.Since(began); d > appendWait {
					t.Errorf("%q: Append took %v", what, d)
				}
				_ = checkCursor(t, r)
				time.Sleep(time.Second)
			}
			s := j.Stats()
			if hung := s.Stalls > 0; hung != strings.Contains(s.Trouble, "no answer") && s.Trouble == "" {
				t.Errorf("%q: not named: %+v", what, s)
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			_, _ = r.Stop(ctx), late.Stop(ctx)
			err := j.Stop(ctx)
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("%q: the stop took %v", what, d)
			}
			if lost := late.Stats().Dropped; err == nil && s.Stalls > 0 && what != "read" || lost > 0 && !strings.Contains(err.Error(), "dropped") {
				t.Errorf("%q: stopped with %v, %d lost", what, err, lost)
			}
			checkCursor(t, late)
			close(release)
			synctest.Wait()
		})
	}
}

// TestLimitAndRepeats: what passed the limit passes again when it is asked for again,
// and after a crash.
func TestLimitAndRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &unsure{fakeSink: &fakeSink{Answer: func(_ context.Context, call, _ int) error {
			if call == 1 {
				return &sinks.RetryError{Sent: -10, Err: errAway} // the connection broke
			}
			return nil
		}}}
		dir := t.TempDir()
		j, _ := openDir(t, dir, Always)
		limit := func(c *sinks.RunnerConfig) { c.Limit = sinks.RateLimit{Rate: 1, Burst: 12} }
		r := newRunner(t, j, sink, limit)
		j.Start()
		r.Start()
		sink.held.Store(10)
		events := func(first, n int) []event.Event {
			list := numbered(first, n)
			for i := range list {
				list[i].Time = eventtest.At
			}
			return list
		}
		add(t, j, events(0, 10))
		time.Sleep(500 * time.Millisecond)
		add(t, j, events(10, 1))
		time.Sleep(10 * time.Second)
		want := append(numbers(0, 10), numbers(0, 11)...)
		if s := checkCursor(t, r); !slices.Equal(sink.Got, want) || s.Limited != 0 || s.Delivered != 11 || s.Repeated != 10 {
			t.Errorf("got %v, %+v", sink.Got, s)
		}
		sink.held.Store(0)
		time.Sleep(2 * time.Second)
		stopAll(t, j, r)
		j, _ = openDir(t, dir, Always) // the bucket is where it was
		after := &fakeSink{}
		r = newRunner(t, j, after, limit)
		j.Start()
		r.Start()
		add(t, j, events(11, 5))
		stopAll(t, j, r)
		if s := r.Stats(); !slices.Equal(after.Got, numbers(11, 1)) || s.Limited != 4 {
			t.Errorf("after a restart: got %v, %+v", after.Got, s)
		}
	})
}

// TestCursorIsMissing: what waited for a sink whose file was removed, cut off, or comes
// from another journal, is sent again, and that is said. A new sink gets none of it.
func TestCursorIsMissing(t *testing.T) {
	other := t.TempDir()
	full(t, other, 5000)
	for name, harm := range map[string]func(t *testing.T, dir string){
		"removed": func(t *testing.T, dir string) { _ = os.Remove(position.Path(laneDir(dir), "b")) },
		"empty":   func(t *testing.T, dir string) { _ = os.Truncate(position.Path(laneDir(dir), "b"), 0) },
		"cut off": func(t *testing.T, dir string) { _ = os.Truncate(position.Path(laneDir(dir), "b"), 100) },
		"of another journal": func(t *testing.T, dir string) {
			copyFile(t, position.Path(laneDir(other), "a"), position.Path(laneDir(dir), "b"))
		},
		"removed with the list": func(t *testing.T, dir string) {
			_, _ = os.Remove(position.Path(laneDir(dir), "b")), os.Remove(filepath.Join(laneDir(dir), "sinks"))
		},
		"removed, list damaged": func(t *testing.T, dir string) {
			_, _ = os.Remove(position.Path(laneDir(dir), "b")), os.Truncate(filepath.Join(laneDir(dir), "sinks"), 5)
		},
		"removed, a bit of its name flipped in the list": func(t *testing.T, dir string) {
			_ = os.Remove(position.Path(laneDir(dir), "b"))
			flip(t, filepath.Join(laneDir(dir), "sinks"), `"b"`)
		},
		"all removed": func(t *testing.T, dir string) {
			_, _ = os.Remove(position.Path(laneDir(dir), "b")), os.Remove(position.Path(laneDir(dir), "a"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, _ := openDir(t, dir, Always)
			a, b := newRunner(t, j, named{&fakeSink{}, "a"}), newRunner(t, j, named{&fakeSink{}, "b"})
			a.Start() // b does not get anything
			j.Start()
			add(t, j, numbered(0, 100))
			waitFor(t, func() bool { return a.Stats().Delivered == 100 })
			stopAll(t, j, a, b)
			harm(t, dir)
			got, s, report := deliver(t, dir, "b")
			if !slices.Equal(got, numbers(0, 100)) || !s.MayRepeat || s.Repeated != 100 || s.Dropped != 0 {
				t.Errorf("got %d, %+v", len(got), s)
			}
			if name != "removed with the list" && !report.Damaged() {
				t.Errorf("not reported: %v", report)
			}
			if got, _, report := deliver(t, dir, "b"); len(got) != 0 || len(report.BadCursors) > 0 {
				t.Errorf("again %d, %v", len(got), report)
			}
		})
	}
	dir := t.TempDir()
	full(t, dir, 100)
	if got, _, _ := deliver(t, dir, "a"); len(got) != 100 {
		t.Fatal(len(got))
	}
	if got, s, report := deliver(t, dir, "new"); len(got) != 0 || s.MayRepeat || report.Damaged() {
		t.Errorf("a new sink got %d, %+v, %v", len(got), s, report)
	}
}

// flip changes a bit of the letter in a text of a file.
func flip(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte(text))+1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSinkDoesNotClose: a sink that hangs in Close is left behind.
func TestSinkDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := inMemory(t)
		release := make(chan struct{})
		r := newRunner(t, j, hangingClose{&fakeSink{}, release})
		r.Start()
		began := time.Now()
		if err := r.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "left behind") || time.Since(began) > 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		_ = j.Stop(t.Context())
		close(release)
	})
}

type hangingClose struct {
	*fakeSink
	release chan struct{}
}

func (h hangingClose) Close(context.Context) error {
	<-h.release
	return nil
}
