//go:build integration

package hitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The load of each test.
const (
	flows = 6000 // 5 MB of lines
	rate  = 2000 // a second
)

// TestDiskFull fills the disk of the log; the events wait, and are written when there is
// room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "1m", 0)
	s := newSite(t, dir, "")
	s.Start(t)
	s.load(t, flows, rate, func() { time.Sleep(10 * time.Millisecond) })
	s.statusSays(t, "sink ", s.path, "no space left on device")
	full := s.written(t) // whole lines only
	if len(full.Seen) == 0 || len(full.Seen) >= flows || full.Double > 0 {
		t.Errorf("%d of %d lines on the full disk, %d twice", len(full.Seen), flows, full.Double)
	}
	grow(t, dir, "64m")
	s.compare(t, flows)
}

// TestDiskFullTooLong fills the journal as well: what is missing is what was counted.
func TestDiskFullTooLong(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "1m", 0)
	s := newSite(t, dir, "journal: {max_bytes: 1048576, segment_bytes: 65536}")
	s.Start(t)
	s.load(t, flows, rate, func() { time.Sleep(10 * time.Millisecond) })
	grow(t, dir, "64m")
	st := s.Drained(t)
	want, got := instance.AccountOfFile(t, s.reference, false), s.written(t)
	missing := uint64(len(want.Seen) - len(got.Seen))
	dropped := st.Sinks[0].Dropped
	t.Logf("%d hits, %d in the log, %d missing, %d counted as dropped", flows, len(got.Seen), missing, dropped)
	if missing == 0 || missing != dropped || st.Sinks[1].Dropped != 0 || len(want.Seen) != flows || got.Double > 0 {
		t.Errorf("%d missing, %d in the reference; status %+v", missing, len(want.Seen), st)
	}
}

// TestDiskOfEverythingFull fills the disk that has journal, state and log: events are kept
// in memory, which the status tells, and nothing is lost when there is room.
func TestDiskOfEverythingFull(t *testing.T) {
	s := newSite(t, "", "")
	mount(t, s.Dir, "2m", 0)
	t.Cleanup(s.Kill) // before the disk goes
	s.configure(t, "")
	s.Start(t)
	s.load(t, flows, rate, func() { time.Sleep(10 * time.Millisecond) })
	s.statusSays(t, "journal ", "the disk does not take events", "no space left on device")
	grow(t, s.Dir, "64m")
	s.compare(t, flows)
	s.Contact(t, "62.0.15.1")
	s.Until(t, "the journal has recovered", func() bool {
		var st struct{ Journal struct{ Trouble string } }
		return s.Status(t, &st) && st.Journal.Trouble == ""
	})
}

// TestReadOnly puts a file system that cannot be written over the directory of the log, and
// takes it away again.
func TestReadOnly(t *testing.T) {
	s := newSite(t, t.TempDir(), "")
	s.Start(t)
	turns := 0
	s.load(t, flows, rate, func() {
		mount(t, s.dir, "1m", syscall.MS_RDONLY)
		if turns++; turns == 1 {
			s.statusSays(t, "sink ", s.path, "read-only file system")
		}
		time.Sleep(100 * time.Millisecond)
		if err := syscall.Unmount(s.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
	})
	s.compare(t, flows)
}

// TestMoved renames and removes the log, and its directory, again and again.
func TestMoved(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "log"), "")
	s.Start(t)
	turns := 0
	s.load(t, flows, rate, func() {
		turns++
		away := fmt.Sprintf("%s.%d", s.path, turns)
		if turns%4 < 2 {
			_ = os.Rename(s.path, away)
			s.keep(t, away)
		} else {
			away = fmt.Sprintf("%s.%d", s.dir, turns)
			_ = os.Rename(s.dir, away)
			s.keep(t, filepath.Join(away, "hits.json"))
		}
		if turns%2 == 0 {
			_ = os.RemoveAll(away)
		}
		time.Sleep(20 * time.Millisecond)
	})
	s.compare(t, flows)
}

// TestSignals sends SIGHUP 1,000 times, as a logrotate gone mad that also moves the log.
func TestSignals(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "log"), "")
	s.Start(t)
	signals := 0
	hup := func() {
		if signals%25 == 0 {
			away := fmt.Sprintf("%s.%d", s.path, signals)
			_ = os.Rename(s.path, away)
			s.keep(t, away)
		}
		s.Signal(syscall.SIGHUP)
		signals++
		time.Sleep(time.Millisecond)
	}
	s.load(t, flows, rate, hup)
	for signals < 1000 {
		hup()
	}
	t.Logf("%d signals", signals)
	s.compare(t, flows)
}
