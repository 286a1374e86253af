package app

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestStateDirectory: what others have made, or can change, is refused or named.
func TestStateDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		mode os.FileMode
		want string
	}{{0o750, ""}, {0o700, ""}, {0o770, "chmod go-w"}, {0o777, "(mode 0777): chmod go-w"}} {
		if err := os.Chmod(dir, tt.mode); err != nil {
			t.Fatal(err)
		}
		concern, err := openStateDir(dir)
		if err != nil || (concern == "") != (tt.want == "") || !strings.Contains(concern, tt.want) {
			t.Errorf("mode %o: %q, %v", tt.mode, concern, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory to another user")
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := openStateDir(dir); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534, must belong to uid 0") {
		t.Errorf("a directory of another user: %v", err)
	}
}

// TestLinksInStateDirectory: files of the state directory that are links to elsewhere are
// replaced or refused; what they point to stays as it is.
func TestLinksInStateDirectory(t *testing.T) {
	f := newFiled(t, "intel: {feeds: [], deny: [62.0.0.9]}")
	dir, victim := filepath.Dir(f.path), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"templates.new", "clock.new"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hits.json", "hits.json.lock"} {
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		a := New(f.cfg, Options{Out: io.Discard}, zap.NewNop())
		if err := a.Start(); err == nil {
			a.Stop()
			t.Errorf("it starts with a link %s", name)
		}
		os.Remove(filepath.Join(dir, name))
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("the victim is %q, %v", b, err)
	}
}
