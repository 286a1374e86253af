package configs

import (
	"path/filepath"
	"testing"
)

// TestPackage: the configuration that the packages bring differs from the default in
// nothing but its places, the one sink, the limit of the unit, and metrics on loopback.
func TestPackage(t *testing.T) {
	got, err := Load(filepath.Join("..", "deploy", "package", "flowsnitch.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sinks) != 1 || got.Sinks[0].JSONLog == nil || got.Sinks[0].JSONLog.Path != "/var/log/flowsnitch/hits.json" || got.Sinks[0].JSONLog.Rotate != "none" {
		t.Errorf("sinks %+v", got.Sinks)
	}
	if got.StateDir != "/var/lib/flowsnitch" || got.MemoryLimit != 800<<20 {
		t.Errorf("state in %s, memory limit %d", got.StateDir, got.MemoryLimit)
	}
	if got.Web.Listen != "127.0.0.1:8055" {
		t.Errorf("web at %q", got.Web.Listen)
	}
	want := Default()
	got.Sinks, got.StateDir, got.MemoryLimit, got.Journal.Dir, got.Web = want.Sinks, want.StateDir, want.MemoryLimit, want.Journal.Dir, want.Web
	a, errA := Marshal(got)
	b, errB := Marshal(want)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("further differences:\n%s\nthe default:\n%s\n%v %v", a, b, errA, errB)
	}
}
