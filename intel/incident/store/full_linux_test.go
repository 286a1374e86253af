package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// TestFullDisk: a batch that found no room on the disk is committed once there is room, and
// nothing of it is there before.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("DISK FULL IS NOT TESTED: only root may mount a tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("DISK FULL IS NOT TESTED: cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := open(t, DefaultConfig(filepath.Join(dir, "incidents.db")))
	commit(t, s, hit(0, "198.51.100.1", "10.0.0.5", 0))
	var b batch.Batch
	for i := range 5000 {
		e := hit(i+1, fmt.Sprintf("203.0.%d.%d", i>>8, i&255), "10.0.0.5", time.Second)
		b.Add(&e)
	}
	attempts := 3
	if raceDetector {
		attempts = 1
	}
	for range attempts {
		if _, err := s.Commit(t.Context(), &b); err == nil {
			t.Fatal("there was room")
		}
		if x := get(t, s, "198.51.100.1"); x.Flows != 1 {
			t.Errorf("got %+v", x)
		}
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	done, err := s.Commit(t.Context(), &b)
	if err != nil || done.New != 5000 || done.Repeats != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
	if st := s.Stats(); st.Aside != 0 || st.Commits != 2 {
		t.Errorf("got %+v", st)
	}
	_ = s.Close(context.Background())
}
