package journal

import (
	"context"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// away gives a sink of that name which delivers nothing.
func away(name string) sinks.Sink {
	return named{&fakeSink{Answer: func(context.Context, int, int) error { return &sinks.RetryError{Err: errAway} }}, name}
}

// TestJournalLostEnd cuts a journal off between two records, and empties it: nothing
// in it is damaged then, and still it says how much is gone.
func TestJournalLostEnd(t *testing.T) {
	const all = 50
	whole, begins := records(0, all)
	for left := range all + 1 {
		dir := t.TempDir()
		j, _ := openDir(t, dir, Always)
		had, not := newRunner(t, j, named{&fakeSink{}, "had"}), newRunner(t, j, away("not"))
		had.Start()
		not.Start()
		j.Start()
		add(t, j, numbered(0, all))
		waitFor(t, func() bool { return had.Stats().Delivered == all })
		stopAll(t, j, had, not)
		size := int64(len(whole))
		if left < all {
			size = int64(begins[left])
		}
		if err := os.Truncate(segmentsIn(t, dir)[0], size); err != nil {
			t.Fatal(err)
		}
		got, s, report := deliver(t, dir, "not")
		gone := uint64(all - left)
		if report.LostEvents != gone || report.Damaged() != (gone > 0) || !slices.Equal(got, numbers(0, left)) {
			t.Fatalf("%d of %d left: got %d, %v", left, all, len(got), report)
		}
		if s.Dropped > gone {
			t.Fatalf("%d of %d left: %+v", left, all, s)
		}
	}
}

// TestJournalDeliveredIsNotLost: what all sinks have had may go.
func TestJournalDeliveredIsNotLost(t *testing.T) {
	dir := t.TempDir()
	j, _ := openDir(t, dir, Always)
	r := newRunner(t, j, named{&fakeSink{}, "a"})
	r.Start()
	j.Start()
	add(t, j, numbered(0, 100))
	stopAll(t, j, r)
	for _, path := range segmentsIn(t, dir) {
		_ = os.Remove(path)
	}
	if _, _, report := deliver(t, dir, "a"); report.Damaged() {
		t.Error(report)
	}
}

// TestJournalHugeSegment: a file system that was damaged may say anything of the
// length of a file.
func TestJournalHugeSegment(t *testing.T) {
	whole, _ := records(0, 100)
	dir := t.TempDir()
	path := record.Path(laneDir(dir), 0)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	const huge = 300 << 20
	if err := os.Truncate(path, huge); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	j, report := openDir(t, dir, Always)
	runtime.ReadMemStats(&after)
	stopAll(t, j)
	if report.Events != 100 || report.TornBytes != huge-int64(len(whole)) {
		t.Error(report)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}
