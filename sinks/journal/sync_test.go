package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestSync: after Sync all that Append has taken is on the disk, in both lanes, long before it
// is due; a sync that fails is an error, and no promise once the journal has stopped.
func TestSync(t *testing.T) {
	var mu sync.Mutex
	synced := make(map[string]int64)
	var broken error
	files := &disktest.Faults{Hook: func(c disktest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.What != "sync" || filepath.Ext(c.Path) != ".events" {
			return nil
		}
		if broken != nil {
			return broken
		}
		if info, err := os.Stat(c.Path); err == nil {
			synced[c.Path] = info.Size()
		}
		return nil
	}}
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Dir, cfg.SyncEvery = dir, time.Hour
	j, _, err := openOnDisk(cfg, files)
	if err != nil {
		t.Fatal(err)
	}
	j.wait = patience
	j.Start()
	defer j.Stop(t.Context())
	for round := range 3 {
		events := numbered(10*round, 10)
		events[3].Severity = event.High
		if err := j.Append(events); err != nil {
			t.Fatal(err)
		}
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		segments := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".events" {
				return err
			}
			info, err := d.Info()
			mu.Lock()
			defer mu.Unlock()
			if segments++; err == nil && synced[path] != info.Size() {
				t.Errorf("%d of %d bytes of %s are synced", synced[path], info.Size(), path)
			}
			return err
		})
		if err != nil || segments != 2 {
			t.Errorf("%d segments, %v", segments, err)
		}
	}
	if err := j.Append(numbered(100, 1)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	broken = syscall.EIO
	mu.Unlock()
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync that fails: %v", err)
	}
	mu.Lock()
	broken = nil
	mu.Unlock()
	if err := j.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := j.Sync(); !errors.Is(err, ErrStopped) {
		t.Errorf("after the stop: %v", err)
	}
}

// TestSyncOfMemory: where no event is to be on the disk there is nothing to wait for.
func TestSyncOfMemory(t *testing.T) {
	j := inMemory(t)
	defer j.Stop(t.Context())
	if err := j.Append(numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); err != nil {
		t.Error(err)
	}
}
