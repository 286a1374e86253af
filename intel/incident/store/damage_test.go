package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// filled is a store with some incidents, closed again; what is in it is in the file.
func filled(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
	s := open(t, cfg)
	var events []event.Event
	for i := range 3000 {
		events = append(events, hit(i, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}).String(), "10.0.0.5", time.Duration(i)*time.Second))
	}
	commit(t, s, events...)
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// rounds is how often a file is damaged: FLOWSNITCH_DAMAGES, else 3 times.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("FLOWSNITCH_DAMAGES")); err == nil {
		return n
	}
	if raceDetector {
		return 1
	}
	return 3
}

// worksOn holds that a store takes events, whatever happened to its file before.
func worksOn(t *testing.T, cfg Config, moved bool) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	commit(t, s, hit(99_999, "198.51.100.1", "10.0.0.5", 0))
	if x := get(t, s, "198.51.100.1"); x.Flows == 0 {
		t.Errorf("got %+v", x)
	}
	_, err = os.Stat(cfg.Path + ".bad")
	if s.Stats().Aside > 0 != (err == nil) || moved && err != nil {
		t.Errorf("moved aside: %d times, file: %v", s.Stats().Aside, err)
	}
	if bad := s.Stats().AsideAs; (bad != "") != (err == nil) {
		t.Errorf("the file is shown as %q", bad)
	}
	var ok string
	if err := s.db.Read().QueryRow("PRAGMA quick_check").Scan(&ok); err != nil || ok != "ok" {
		t.Error(ok, err)
	}
}

// TestTornEnd cuts the end off the file, and off the log that a killed process leaves.
func TestTornEnd(t *testing.T) {
	for range rounds() {
		cfg := filled(t)
		info, err := os.Stat(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(cfg.Path, 1+rand.Int64N(info.Size()-1)); err != nil {
			t.Fatal(err)
		}
		worksOn(t, cfg, true)
	}
}

// TestTornLog cuts the end off the log that a killed process leaves: transactions of its end
// are missing, and nothing else.
func TestTornLog(t *testing.T) {
	for range rounds() {
		cfg := DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
		s := open(t, cfg)
		for i := range 20 {
			commit(t, s, hit(i, "203.0.113.9", "10.0.0.5", time.Duration(i)*time.Second))
		}
		// Copies of both files are what a power cut leaves.
		cut := DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(cfg.Path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if suffix != "" {
				b = b[:rand.IntN(len(b))]
			}
			if err := os.WriteFile(cut.Path+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		worksOn(t, cut, false)
		if _, err := os.Stat(cut.Path + ".bad"); err == nil {
			t.Error("a log with a torn end is no damage")
		}
	}
}

// TestFlippedBytes changes bytes all over the file.
func TestFlippedBytes(t *testing.T) {
	for range rounds() {
		cfg := filled(t)
		b, err := os.ReadFile(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rand.IntN(50) {
			b[rand.IntN(len(b))] ^= byte(1 + rand.IntN(255))
		}
		if err := os.WriteFile(cfg.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		worksOn(t, cfg, false)
	}
}

// TestDamagedAtWork: pages of a large file that turn out to be damaged only when they are
// used. The batch goes into a new file.
func TestDamagedAtWork(t *testing.T) {
	cfg := filled(t)
	s := open(t, cfg)
	file, err := os.OpenFile(cfg.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := []byte(strings.Repeat("garbage ", 512))
	for at := int64(4096); at < info.Size(); at += 4096 {
		if _, err := file.WriteAt(garbage, at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		commit(t, s, hit(i, netip.AddrFrom4([4]byte{203, 0, 1, byte(i)}).String(), "10.0.0.5", 0))
	}
	if st := s.Stats(); st.Aside != 1 || st.AsideAs != cfg.Path+".bad" {
		t.Errorf("got %+v", st)
	}
}

// TestNoDatabase: what is no database at all is moved aside as well.
func TestNoDatabase(t *testing.T) {
	cfg := DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
	if err := os.WriteFile(cfg.Path, []byte(strings.Repeat("this is a letter\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	read := cfg
	read.ReadOnly = true
	if _, err := Open(t.Context(), read); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	worksOn(t, cfg, true)
}

// TestDailyCheck: damage in pages that nothing uses is found when the store is pruned.
func TestDailyCheck(t *testing.T) {
	cfg := filled(t)
	now := t0
	cfg.Now = func() time.Time { return now }
	cfg.Keep, cfg.KeepJudged = 0, 0
	s := open(t, cfg)
	b, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b)/2+64<<10; i++ {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(cfg.Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(25 * time.Hour)
	if _, err := s.Prune(t.Context()); err != nil || s.Stats().Aside != 1 {
		t.Errorf("got %v, %+v", err, s.Stats())
	}
	commit(t, s, hit(99_999, "198.51.100.1", "10.0.0.5", 0))
}

// TestAsideStays: a file that was moved aside in an earlier run is shown until somebody removes it.
func TestAsideStays(t *testing.T) {
	cfg := filled(t)
	if err := os.Truncate(cfg.Path, 5000); err != nil {
		t.Fatal(err)
	}
	for _, moved := range []uint64{1, 0} {
		s, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Aside != moved || st.AsideAs != cfg.Path+".bad" {
			t.Errorf("moved %d times: %+v", moved, st)
		}
		if moved == 0 {
			if err := os.Remove(cfg.Path + ".bad"); err != nil {
				t.Fatal(err)
			}
			if bad := s.Stats().AsideAs; bad != "" {
				t.Errorf("%s was removed", bad)
			}
		}
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}
