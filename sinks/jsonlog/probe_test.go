package jsonlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// TestProbe: a canary goes into the file beside the log, whole, and each takes the place of
// the one before; the log itself stays as it is.
func TestProbe(t *testing.T) {
	cfg := configAt(filepath.Join(t.TempDir(), "log", "hits.json"))
	l := newLogWith(t, cfg)
	for range 2 {
		e := event.Event{Kind: event.KindCanary}
		if err := l.Probe(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(cfg.Path + ".canary"); err != nil || string(got) != string(event.AppendJSON(nil, &e)) {
			t.Errorf("%s, %v", got, err)
		}
	}
	if info, err := os.Stat(cfg.Path); err != nil || info.Size() != 0 {
		t.Errorf("the log: %v, %v", info, err)
	}
	names, err := os.ReadDir(filepath.Dir(cfg.Path))
	if err != nil || len(names) != 3 {
		t.Errorf("%v, %v: want the log, its lock and the canary", names, err)
	}
}

// TestProbeFaults: whatever call to the disk fails, the probe fails and asks for another
// try; the next one proves the way again.
func TestProbeFaults(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
		for at := 0; ; at++ {
			cfg := configAt(filepath.Join(t.TempDir(), "log", "hits.json"))
			l := newLogWith(t, cfg)
			hit := ""
			l.disk = disk.NewWatch(&disktest.Faults{Hook: func(c disktest.Call) error {
				if c.Index != at {
					return nil
				}
				hit = c.What
				return fault
			}})
			err := l.Probe(t.Context(), &event.Event{Kind: event.KindCanary})
			if hit == "" {
				if at < 5 {
					t.Errorf("only %d calls", at)
				}
				break
			}
			retry := new(sinks.RetryError)
			if err != nil && !errors.As(err, &retry) {
				t.Errorf("%s: %v is given up", hit, err)
			}
			if err != nil && l.Stats().LastError == "" {
				t.Errorf("%s: not counted", hit)
			}
			if _, there := os.Stat(cfg.Path + ".canary"); err == nil && there != nil {
				t.Errorf("%s failed, and the probe did not", hit)
			}
			if err := l.Probe(t.Context(), &event.Event{Kind: event.KindCanary}); err != nil {
				t.Errorf("after %s: %v", hit, err)
			}
			if _, err := os.Stat(cfg.Path + ".canary.new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after %s something is left over: %v", hit, err)
			}
		}
	}
}
