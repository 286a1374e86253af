package app

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A badClock is a machine without a hardware clock. The test sets its wall clock.
type badClock struct {
	mu   sync.Mutex
	wall time.Time
	up   time.Duration
}

func (b *badClock) Wall() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wall
}

func (b *badClock) Uptime() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

func (b *badClock) Synced() (bool, error)       { return false, nil }
func (b *badClock) Hardware() (time.Time, bool) { return time.Time{}, false }

// pass lets time pass; the wall clock moves as far as it is told.
func (b *badClock) pass(d, wall time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up, b.wall = b.up+d, b.wall.Add(wall)
}

// TestWatch: what can be trusted is taken over from run to run, whatever the wall clock
// says, and written seldom.
func TestWatch(t *testing.T) {
	dir, start := t.TempDir(), time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	m := &badClock{wall: start}
	w := startWatch(t, m, dir, zap.NewNop())
	w.keep(saveClock)
	first := modified(t, w.path)
	for range 59 {
		m.pass(time.Minute, time.Minute)
		w.clock.Look()
		w.keep(saveClock)
	}
	if again := modified(t, w.path); !again.ModTime().Equal(first.ModTime()) {
		t.Error("written more than once within the hour")
	}
	m.pass(time.Minute, 10*year)
	w.clock.Look()
	w.keep(saveClock)
	want := start.Add(time.Hour)
	for _, wall := range []time.Duration{10 * year, -60 * year, 0} {
		m = &badClock{wall: start.Add(wall)}
		w = startWatch(t, m, dir, zap.NewNop())
		if got := w.Now(); !got.Equal(want) {
			t.Errorf("the wall clock says %s at the start: trusted is %s, want %s", m.wall, got, want)
		}
	}
}

func modified(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestClockFile: a file that is damaged anywhere says nothing, and that is told.
func TestClockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), clockName)
	whole := formatTime(time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC))
	read := func(b []byte) error {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readTime(path)
		return err
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 1
		if read(whole[:i]) == nil || read(flipped) == nil {
			t.Errorf("damage at byte %d is not seen", i)
		}
	}
	core, logs := observer.New(zap.WarnLevel)
	startWatch(t, &badClock{}, filepath.Dir(path), zap.New(core))
	if logs.FilterMessageSnippet("the last trusted time is not known").Len() != 1 {
		t.Errorf("logged: %v", logs.All())
	}
}

// startWatch is the clock of an app that has started.
func startWatch(t *testing.T, m clock.Machine, dir string, log *zap.Logger) *watch {
	t.Helper()
	cfg := configs.Config{Clock: clock.DefaultConfig(), StateDir: dir}
	w := newWatch(&cfg, &Options{Machine: m}, newBackground(log), log)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}
