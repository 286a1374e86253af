package intake

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// TestHeldIsOnDisk: with durability on-outage, events that are held for a commit are on the disk
// after spill_after, each once, so that a kill within the five minutes between two commits of a
// small machine loses none of them.
func TestHeldIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	start := func(dir string) (*journal.Journal, *sinks.Runner, *Intake, *store.Store) {
		jc := journal.DefaultConfig()
		jc.Dir, jc.Durability, jc.SpillAfter, jc.SyncEvery = filepath.Join(dir, "journal"), journal.OnOutage, 20*time.Millisecond, 10*time.Millisecond
		j, _, err := journal.Open(jc)
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), store.DefaultConfig(filepath.Join(dir, "incidents.db")))
		if err != nil {
			t.Fatal(err)
		}
		i := New(s, DefaultConfig(true))
		r, err := sinks.NewRunner(j, taker{i}, sinks.DefaultRunnerConfig())
		if err != nil {
			t.Fatal(err)
		}
		j.Start()
		r.Start()
		return j, r, i, s
	}
	j, r, _, s := start(dir)
	for c := range 100 {
		if err := j.Append([]event.Event{killEvent(c, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return r.Stats().Held == 100 && j.Stats().InMemory == 0 })
	one := j.Stats()
	waitFor(t, func() bool { return j.Stats().Syncs > one.Syncs || j.Stats().Written > 0 })
	if s := j.Stats(); s.Written > 100*2000 {
		t.Errorf("%d bytes were written for 100 events", s.Written)
	}
	t.Logf("%d bytes written for 100 events, in %d writes", j.Stats().Written, j.Stats().Writes)
	killed := t.TempDir() // what is there after a kill
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	j2, r2, i2, s2 := start(killed)
	waitFor(t, func() bool { return i2.Stats().Waiting == 100 })
	stopAll := func(j *journal.Journal, r *sinks.Runner, s *store.Store) {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := j.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Events; n != 100 {
			t.Errorf("%d events are in the database", n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stopAll(j2, r2, s2)
	stopAll(j, r, s)
}
