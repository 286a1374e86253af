package fetch

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

var today = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// quarantined is a manager without feeds that believes now.
func quarantined(t *testing.T, dir string, now *time.Time) *Manager {
	t.Helper()
	m := New(spec.DefaultConfig(), Options{Dir: dir, Now: func() time.Time { return *now }})
	t.Cleanup(m.Stop)
	if err := m.Load(); err != nil {
		t.Fatal(err)
	}
	return m
}

func names(m *Manager) (s string) {
	for _, q := range m.Quarantined() {
		s += q.Prefix.String() + " "
	}
	return s
}

func TestQuarantineEndsAfterADay(t *testing.T) {
	p, now := netip.MustParsePrefix("62.0.0.0/24"), today
	dir := t.TempDir()
	m := quarantined(t, dir, &now)
	want := func(added bool) {
		t.Helper()
		if got, err := m.Quarantine(p, "too much"); got != added || err != nil {
			t.Errorf("added %v, %v", got, err)
		}
	}
	want(true)
	now = now.Add(23 * time.Hour)
	want(false) // and does not begin anew
	m.Stop()
	m = quarantined(t, dir, &now)
	if names(m) != "62.0.0.0/24 " {
		t.Errorf("after a restart: %q", names(m))
	}
	now = now.Add(time.Hour)
	if names(m) != "" {
		t.Errorf("after a day: %q", names(m))
	}
	want(true)
	if err := m.Accept("62.0.0.0/24"); err != nil || names(m) != "" {
		t.Errorf("accepted: %q, %v", names(m), err)
	}
	if err := m.Accept("62.0.0.0/24"); err == nil {
		t.Error("accepted twice")
	}
	now = now.Add(23 * time.Hour)
	m.Stop()
	m = quarantined(t, dir, &now)
	want(false)
	if names(m) != "" {
		t.Errorf("an accepted entry is back: %q", names(m))
	}
	now = now.Add(time.Hour)
	want(true)
	now = now.Add(-48 * time.Hour) // the clock was wrong
	if names(m) != "" {
		t.Errorf("from the future: %q", names(m))
	}
}

// TestQuarantineOfTheFirstVersion reads what was written when the entries were taken out.
func TestQuarantineOfTheFirstVersion(t *testing.T) {
	dir, now := t.TempDir(), today
	text := `[{"prefix": "62.0.0.53/32", "since": "` + today.Add(-time.Hour).Format(time.RFC3339Nano) + `", "why": "it matched 9 of 10 flows within a minute"},
 {"prefix": "62.0.0.54/32", "since": "2026-01-01T00:00:00Z", "why": "months ago"}, {"prefix": "", "since": "2026-01-01T00:00:00Z", "why": ""}]`
	if err := os.WriteFile(filepath.Join(dir, "quarantine.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m := quarantined(t, dir, &now)
	if names(m) != "62.0.0.53/32 " || m.Quarantined()[0].Why != "it matched 9 of 10 flows within a minute" {
		t.Errorf("%+v", m.Quarantined())
	}
	if err := m.Accept("62.0.0.53"); err != nil || names(m) != "" {
		t.Errorf("%q, %v", names(m), err)
	}
}

// TestQuarantineBeforeLoad is refused, at whatever moment Load comes: an entry that was
// accepted is not lost by it.
func TestQuarantineBeforeLoad(t *testing.T) {
	p, dir := netip.MustParsePrefix("62.0.0.53/32"), t.TempDir()
	m := New(spec.DefaultConfig(), Options{Dir: dir, Now: func() time.Time { return today }})
	t.Cleanup(m.Stop)
	if added, err := m.Quarantine(p, "too much"); added || err == nil || names(m) != "" {
		t.Errorf("added %v, %v, in force: %q", added, err, names(m))
	}
	loaded := make(chan error)
	go func() { loaded <- m.Load() }()
	added, _ := m.Quarantine(p, "too much")
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if added != (names(m) != "") {
		t.Errorf("added %v, in force: %q", added, names(m))
	}
	if added, err := m.Quarantine(p, "too much"); err != nil || names(m) != "62.0.0.53/32 " {
		t.Errorf("added %v, %v, in force: %q", added, err, names(m))
	}
}

// TestQuarantineWithoutDisk is in force, says that it is not saved, and is told once.
func TestQuarantineWithoutDisk(t *testing.T) {
	dir, now := t.TempDir(), today
	m := quarantined(t, dir, &now)
	if err := os.MkdirAll(filepath.Join(dir, "quarantine.json", "x"), 0o700); err != nil { // no file can take its place
		t.Fatal(err)
	}
	p := netip.MustParsePrefix("62.0.0.53/32")
	if added, err := m.Quarantine(p, "too much"); !added || err == nil || !strings.Contains(err.Error(), "not saved") || names(m) != "62.0.0.53/32 " {
		t.Errorf("added %v, %v, in force: %q", added, err, names(m))
	}
	if added, err := m.Quarantine(p, "too much"); added || err != nil {
		t.Errorf("added %v, %v", added, err)
	}
}
