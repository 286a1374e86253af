package jsonlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks"
)

// mountTmpfs gives the path of a small file system of its own.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may mount the tmpfs that this needs; run the test as root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("SKIPPED: cannot mount the tmpfs that this needs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestDiskFull fills a disk, goes on, and makes room.
func TestDiskFull(t *testing.T) {
	dir := mountTmpfs(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLogWith(t, configAt(filepath.Join(dir, "log", "hits.json")))
	cfg := sinks.DefaultRunnerConfig()
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	j, q := follow(t, l, cfg)
	defer func() {
		if err := errors.Join(q.Stop(t.Context()), j.Stop(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	const n = 150 // about 36 kB, into 20 kB
	if err := j.Append(events(0, n)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "disk full", func() bool { return q.Stats().Failing > 3 })
	s := q.Stats()
	if s.Delivered == 0 || s.Delivered == n || !strings.Contains(s.LastError, "no space left") {
		t.Errorf("when full: %+v", s)
	}
	checkOrder(t, read(t, l.cfg.Path), int(s.Delivered))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery", func() bool { return q.Stats().Delivered == n })
	checkOrder(t, read(t, l.cfg.Path), n)
	if got := l.Stats(); got.Repaired == 0 || got.Torn != 0 || got.Lines != n {
		t.Errorf("got %+v", got)
	}
}

// TestReadOnly starts on a file system that becomes writable later.
func TestReadOnly(t *testing.T) {
	dir := mountTmpfs(t)
	remount := func(flags uintptr) {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	l := newLogWith(t, configAt(filepath.Join(dir, "log", "hits.json")))
	if err := l.Open(); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("got %v", err)
	}
	remount(0)
	send(t, l, 0, 3)
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	send(t, l, 3, 3)
	checkOrder(t, read(t, l.cfg.Path), 6)
	if s := l.Stats(); s.Errors != 1 {
		t.Errorf("got %+v", s)
	}
}
