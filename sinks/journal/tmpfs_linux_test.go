package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks"
)

// mountTmpfs gives a file system of that many bytes, for root alone.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("DISK FULL IS NOT TESTED: only root may mount a tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("DISK FULL IS NOT TESTED: cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestJournalOnAFullDisk fills a disk that is smaller than the journal may be:
// nothing waits, the oldest go, counted, and when there is room again all is well.
func TestJournalOnAFullDisk(t *testing.T) {
	dir := filepath.Join(mountTmpfs(t, "size=600k"), "journal")
	j, _ := openDir(t, dir, Always, func(c *Config) { c.MaxBytes = 1 << 30 })
	good := named{&fakeSink{}, "good"}
	away := named{&fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}, "away"}
	runners := []*sinks.Runner{newRunner(t, j, good), newRunner(t, j, away)}
	j.Start()
	for _, r := range runners {
		r.Start()
	}
	const all = 40_000
	for i := range all / 100 {
		_ = j.Append(numbered(100*i, 100))
		for _, r := range runners {
			checkCursor(t, r)
		}
		waitFor(t, func() bool { return runners[0].Stats().Delivered == uint64(100*i+100) })
	}
	s := j.Stats()
	if s.WriteErrors == 0 || !strings.Contains(s.LastError, "no space") || s.DroppedFull == 0 {
		t.Errorf("got %+v", s)
	}
	if !slices.Equal(good.Got, numbers(0, all)) {
		t.Errorf("the good one has %d", len(good.Got))
	}
	if err := syscall.Mount("tmpfs", filepath.Dir(dir), "tmpfs", syscall.MS_REMOUNT, "size=10m"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { s := j.Stats(); return s.Trouble == "" && s.InMemory == 0 })
	add(t, j, numbered(all, 100))
	stopAll(t, j, runners...)
	got, c, report := deliver(t, dir, "away")
	if !slices.IsSorted(got) || uint64(len(got))+c.Dropped != all+100 || c.Dropped == 0 || got[len(got)-1] != all+99 || report.Damaged() {
		t.Errorf("got %d, %+v, %v", len(got), c, report)
	}
}

func TestUrgentLaneOnAFullDisk(t *testing.T) {
	defer func(before int) { testLane = before }(testLane)
	testLane = urgent
	TestJournalOnAFullDisk(t)
}
