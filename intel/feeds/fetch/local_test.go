package fetch

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// put writes a file with the time of the bubble's clock.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// TestFile: a file is watched; what is wrong with it changes nothing in force.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bad ones.txt")
		put(t, path, list(100))
		w := newWorld(t, nil, spec.Feed{File: path, Score: 80, Category: "c2", TLP: "amber"})
		w.start()
		if ind := w.indicators("62.0.0.1"); len(ind) != 1 || ind[0].Feed != "bad ones" || ind[0].Score != 80 ||
			ind[0].Category != "c2" || ind[0].TLP != "amber" {
			t.Errorf("%+v", ind)
		}
		for _, step := range []struct {
			content       string
			live          int
			wantErr, held string
		}{
			{list(120), 120, "", ""},
			{"<html>", 120, "HTML or XML", ""},
			{list(110), 110, "", ""},
			{list(3), 110, "", "shrunk from 110 to 3 entries, more than 50 %"},
			{list(100), 100, "", ""},
		} {
			w.pass(time.Minute)
			put(t, path, step.content)
			w.pass(time.Minute)
			s := w.status()
			if w.live() != step.live || !strings.Contains(s.Error, step.wantErr) || step.wantErr == "" && s.Error != "" || s.Held != step.held {
				t.Errorf("%d entries, want %d, error %q: %+v", w.live(), step.live, step.wantErr, s)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s := w.status(); w.live() != 100 || !strings.Contains(s.Error, "bad ones.txt: no such file") {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
		w.start()
		if w.live() != 100 {
			t.Errorf("%d entries after a restart without the file", w.live())
		}
	})
}

// TestFileBeingWritten: a file that changes right now is left alone until it rests.
func TestFileBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.txt")
		put(t, path, list(100))
		w := newWorld(t, nil, spec.Feed{File: path, Interval: time.Second})
		w.start()
		for i := range 20 {
			w.pass(500 * time.Millisecond)
			put(t, path, list(101+i))
			if w.live() != 100 {
				t.Errorf("%d entries of a file that is not finished", w.live())
			}
		}
		w.pass(time.Minute)
		if w.live() != 120 {
			t.Errorf("%d entries", w.live())
		}
	})
}

// TestDir: all files of a drop directory are one feed; one that is broken keeps the
// whole as it was.
func TestDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "a.txt"), list(50))
		put(t, filepath.Join(dir, "b.json"), `{"cidr":"62.200.0.0/16"}`+"\n"+`{"type":"metadata","records":1}`)
		put(t, filepath.Join(dir, "b.json"), `[{"ip":"62.200.0.1","description":"x"}]`)
		put(t, filepath.Join(dir, ".hidden"), "<html>")
		put(t, filepath.Join(dir, "c.txt.part"), "<html>")
		w := newWorld(t, nil, spec.Feed{Name: "drop", Dir: dir})
		w.start()
		if w.live() != 51 || w.status().Format != "several" {
			t.Errorf("%d entries, %+v", w.live(), w.status())
		}
		put(t, filepath.Join(dir, "d.txt"), "62.201.0.1\n")
		w.pass(time.Minute)
		if !w.lists("62.201.0.1") || w.live() != 52 {
			t.Errorf("%d entries with a new file", w.live())
		}
		put(t, filepath.Join(dir, "e.txt"), "<html>")
		w.pass(time.Minute)
		if s := w.status(); w.live() != 52 || !strings.Contains(s.Error, "e.txt: ") {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
		for _, name := range []string{"e.txt", "d.txt"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(time.Minute)
		if s := w.status(); w.live() != 51 || s.Error != "" {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
	})
}

// TestOperator: the operator's own word needs no guard, and a mistake in it is told at
// once.
func TestOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "mine.txt")
		put(t, path, list(100)+"10.0.0.1\n8.8.8.8\n0.0.0.0/0\n")
		cfg := spec.DefaultConfig()
		cfg.Deny = []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")}
		m := New(cfg, Options{Home: intel.DefaultHome(), Lists: []string{path}})
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		defer m.Stop()
		find := func(addr string) bool {
			table, _, err := m.Build()
			if err != nil {
				t.Fatal(err)
			}
			return !table.Find(netip.MustParseAddr(addr), 0).Empty()
		}
		for _, addr := range []string{"10.0.0.1", "8.8.8.8", "9.9.9.9", "62.0.0.1"} {
			if !find(addr) {
				t.Errorf("%s is not listed", addr)
			}
		}
		time.Sleep(time.Minute)
		put(t, path, "62.7.7.7\n")
		time.Sleep(time.Minute)
		if find("62.0.0.1") || !find("62.7.7.7") {
			t.Error("the operator's word does not count at once")
		}
		bad := New(cfg, Options{Lists: []string{filepath.Join(dir, "none.txt")}})
		defer bad.Stop()
		if err := bad.Load(); err == nil || !strings.Contains(err.Error(), "none.txt: no such file") {
			t.Errorf("a list that is not there: %v", err)
		}
		put(t, path, "nonsense here\n")
		wrong := New(cfg, Options{Lists: []string{path}})
		defer wrong.Stop()
		if err := wrong.Load(); err == nil || !strings.Contains(err.Error(), "no prefix in it; line 1 is") {
			t.Errorf("a list without prefix: %v", err)
		}
	})
}
