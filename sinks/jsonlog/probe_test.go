package jsonlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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

// TestProbeWhatIsInTheWay: what stands where the canary is written first is neither followed
// nor waited for.
func TestProbeWhatIsInTheWay(t *testing.T) {
	for name, put := range map[string]func(aside, other string) error{
		"link":    func(aside, other string) error { return os.Symlink(other, aside) },
		"pipe":    func(aside, _ string) error { return syscall.Mkfifo(aside, 0o600) },
		"remains": func(aside, _ string) error { return os.WriteFile(aside, []byte("half of it"), 0o444) },
		"folder":  func(aside, _ string) error { return os.Mkdir(aside, 0o700) },
	} {
		cfg := configAt(filepath.Join(t.TempDir(), "log", "hits.json"))
		l := newLogWith(t, cfg)
		if err := l.Open(); err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(t.TempDir(), "other")
		if err := errors.Join(os.WriteFile(other, nil, 0o600), put(cfg.Path+".canary.new", other)); err != nil {
			t.Fatal(err)
		}
		e := event.Event{Kind: event.KindCanary}
		done := make(chan error, 1)
		go func() { done <- l.Probe(t.Context(), &e) }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			if p, err := os.OpenFile(cfg.Path+".canary.new", os.O_RDWR, 0); err == nil {
				defer func() { _ = p.Close() }() // a reader lets it go on, so that the log can be closed
			}
			t.Errorf("%s: the probe hangs", name)
			continue
		}
		got, err := os.ReadFile(cfg.Path + ".canary")
		if info, _ := os.Stat(other); err != nil || string(got) != string(event.AppendJSON(nil, &e)) || info.Size() != 0 {
			t.Errorf("%s: %q, %v; the other %d bytes", name, got, err, info.Size())
		}
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
