//go:build integration

package hitlog

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// A site is an instance with two hit logs: one in a directory that is treated badly, and the
// reference, which is left alone.
type site struct {
	*instance.Instance
	dir, path, reference string
	old                  []*os.File // of the log, that were moved away, the oldest first
}

// newSite makes a site whose log is in dir, empty = the state directory; more are further
// keys of the configuration.
func newSite(t *testing.T, dir, more string) *site {
	t.Helper()
	s := &site{dir: dir, reference: filepath.Join(t.TempDir(), "hits.json")}
	s.Instance = instance.New(t, "")
	if dir == "" {
		s.dir = s.Dir
	}
	s.path = filepath.Join(s.dir, "hits.json")
	s.configure(t, more)
	t.Cleanup(func() {
		for _, f := range s.old {
			f.Close()
		}
	})
	return s
}

func (s *site) configure(t *testing.T, more string) {
	t.Helper()
	s.Configure(t, fmt.Sprintf(`
listen: [{udp: %q, receive_buffer: 16777216}]
home: [%s]
intel: {feeds: [], deny: [%s]}
canary: {every: 0s}
sinks:
  - jsonlog: {path: %s, rotate: none}
    delivery: {backoff_min: 10ms, backoff_max: 100ms}
  - jsonlog: {path: %s, rotate: none}
%s
`, instance.FreeUDP(t), instance.Home, instance.Offenders, s.path, s.reference, more))
}

// load sends flows, each a hit, and does something meanwhile, again and again until all are
// found.
func (s *site) load(t *testing.T, flows, rate int, meanwhile func()) {
	t.Helper()
	gen := s.Generate(t, flows, rate)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = gen.Wait()
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			meanwhile()
		}
	}
	s.Until(t, "all hits are found", func() bool { return s.LostNothing(t).Hits.Found == uint64(flows) })
}

// keep holds on to a file that was moved away: what a reader that follows it would see.
func (s *site) keep(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		if !os.IsNotExist(err) {
			t.Error(err)
		}
		return // there was none yet
	}
	s.old = append(s.old, f)
}

// written is the account of all files of the log, old ones first.
func (s *site) written(t *testing.T) instance.Account {
	t.Helper()
	var all []io.Reader
	for _, f := range s.old {
		all = append(all, f)
	}
	switch f, err := os.Open(s.path); {
	case err == nil:
		defer f.Close()
		all = append(all, f)
	case !os.IsNotExist(err) || len(all) == 0:
		t.Fatal(err)
	} // it may have been moved away after the last hit
	return instance.AccountOf(t, io.MultiReader(all...), false)
}

// compare holds the log against the reference; nothing may be missing, twice or half.
func (s *site) compare(t *testing.T, flows int) {
	t.Helper()
	s.Drained(t)
	want, got := instance.AccountOfFile(t, s.reference, false), s.written(t)
	t.Logf("%d hits, %d in the log's %d files, %d twice", flows, len(got.Seen), len(s.old)+1, got.Double)
	if len(want.Seen) != flows || want.Double+got.Double > 0 {
		t.Errorf("%d hits: %d in the reference (%d twice), %d in the log (%d twice)", flows, len(want.Seen), want.Double, len(got.Seen), got.Double)
	}
	want.Compare(t, "the log", got)
}

// statusSays waits until a line of the status has all parts.
func (s *site) statusSays(t *testing.T, parts ...string) {
	t.Helper()
	s.Until(t, "the status says "+strings.Join(parts, ", "), func() bool {
		for line := range strings.Lines(s.Command(t, "status")) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// mount puts a tmpfs on dir until the end of the test.
func mount(t *testing.T, dir, size string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// grow makes room on a tmpfs.
func grow(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size="+size); err != nil {
		t.Fatalf("grow a tmpfs: %v", err)
	}
}
