package jsonlog

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// unzip replaces compressed files by what is in them, so that read can read them.
func unzip(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		plain, ok := strings.CutSuffix(name, gzipSuffix)
		if !ok {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil || z.Name != filepath.Base(plain) {
			t.Fatalf("%s: %v", z.Name, err)
		}
		_ = f.Close()
		if err := errors.Join(os.WriteFile(plain, b, 0o600), os.Remove(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompressAfterTheQuietTime lets time pass: nothing may happen to an old file for
// three minutes, and everything must be compressed soon after. The files' own times
// come from the real clock, which the log's clock follows here.
func TestCompressAfterTheQuietTime(t *testing.T) {
	dir := t.TempDir()
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		cfg := configAt(filepath.Join(dir, "hits.json"))
		cfg.Compress, cfg.Keep = true, 100
		l := newLogWith(t, cfg)
		l.cfg.MaxSize = 800
		start := time.Now()
		l.now = func() time.Time { return real.Add(time.Since(start)) }
		send(t, l, 0, 20)
		before := old(t, l)
		time.Sleep(quiet - 2*time.Second)
		synctest.Wait()
		if names := old(t, l); !slices.Equal(names, before) || len(names) < 5 {
			t.Errorf("after less than the quiet time: %q, were %q", names, before)
		}
		time.Sleep(2 * compressEvery)
		synctest.Wait()
		names := old(t, l)
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil || !strings.HasSuffix(name, gzipSuffix) || info.Mode().Perm() != 0o640 || info.ModTime().After(real.Add(time.Minute)) {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		if s := l.Stats(); len(names) != len(before) || s.Compressed != uint64(len(names)) || s.Errors != 0 {
			t.Errorf("%d files of %d, %+v", len(names), len(before), s)
		}
		send(t, l, 20, 20) // new names go on behind the compressed ones
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		unzip(t, old(t, l))
		checkOrder(t, readAll(t, l), 40)
	})
}

// quietLog makes a log with old files that may be compressed.
func quietLog(t *testing.T) *Log {
	l, c := smallLog(t)
	l.cfg.Compress, l.compressing = true, true // by the test alone
	send(t, l, 0, 20)
	c.t = time.Now().Add(365 * 24 * time.Hour)
	return l
}

func TestCompressPrunes(t *testing.T) {
	l := quietLog(t)
	l.compressOld()
	l.cfg.Keep = 2
	send(t, l, 20, 10)
	if names := old(t, l); len(names) != 2 {
		t.Errorf("got %q", names)
	}
}

// TestCompressStops holds that closing leaves whole files only, each once.
func TestCompressStops(t *testing.T) {
	l := quietLog(t)
	before := old(t, l)
	close(l.stop)
	l.compressOld()
	l.stop = make(chan struct{})
	if names := old(t, l); !slices.Equal(names, before) || l.Stats().Errors != 0 {
		t.Errorf("got %q, %+v", names, l.Stats())
	}
	if left, _ := filepath.Glob(l.cfg.Path + "*.tmp"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

// TestCompressFails has a directory with a file in the way of the first file, and then an
// empty one.
func TestCompressFails(t *testing.T) {
	l := quietLog(t)
	before := old(t, l)
	inside := filepath.Join(before[0]+".gz.tmp", "file")
	if err := errors.Join(os.Mkdir(filepath.Dir(inside), 0o700), os.WriteFile(inside, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l.compressOld()
	names := old(t, l)
	if s := l.Stats(); s.Errors != 1 || !strings.HasPrefix(s.LastError, "compress: ") || names[0] != before[0] || len(names) != len(before) {
		t.Errorf("%+v, %q", s, names)
	}
	if err := os.Remove(inside); err != nil {
		t.Fatal(err)
	}
	l.compressOld()
	if names := old(t, l); !strings.HasSuffix(names[0], gzipSuffix) {
		t.Errorf("got %q", names)
	}
}

// TestCompressAfterCrash finds a file beside its compressed form, and half a
// temporary one.
func TestCompressAfterCrash(t *testing.T) {
	l := quietLog(t)
	first := old(t, l)[0]
	for _, name := range []string{first + ".gz", first + ".gz.tmp"} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.compressOld()
	names := old(t, l)
	unzip(t, names)
	checkOrder(t, readAll(t, l), 20)
	if left, _ := filepath.Glob(l.cfg.Path + "*.tmp"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestCloseTwice(t *testing.T) {
	l := newLog(t)
	l.cfg.Compress = true
	send(t, l, 0, 1)
	for range 2 {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestFormats(t *testing.T) {
	for format, want := range map[string]string{
		"":       `{"integration":"flowsnitch",`,
		"native": `{"integration":"flowsnitch",`,
		"ecs":    `{"ecs":{"version":`,
		"ocsf":   `{"category_uid":2,`,
		"text":   "0001-01-01T00:00:00.000+00:00 - flowsnitch: hit src=- ",
	} {
		cfg := configAt(filepath.Join(t.TempDir(), "hits.json"))
		cfg.Format = format
		l := newLogWith(t, cfg)
		send(t, l, 0, 1)
		b, err := os.ReadFile(cfg.Path)
		if err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s: got %s, %v", format, b, err)
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`format: "cef" is not valid; use native, ecs, ocsf or text`: func(c *Config) { c.Format = "cef" },
		`alert_ip: "src" is not valid`:                              func(c *Config) { c.AlertIP = "src" },
		"alert_ip: indicator is not allowed with format ecs":        func(c *Config) { c.Format, c.AlertIP = "ecs", form.AlertIndicator },
		"compress: is not allowed with rotate none":                 func(c *Config) { c.Compress, c.Rotate = true, RotateNone },
	} {
		cfg := configAt("/tmp/hits.json")
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestLogFollowsNoLinks: what somebody has put beside the log leads to no other file. The
// log itself may be a link that the operator has made.
func TestLogFollowsNoLinks(t *testing.T) {
	l := quietLog(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := old(t, l)[0]
	for _, path := range []string{first + gzipSuffix + ".tmp", l.cfg.Path + probeSuffix + ".new"} {
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
	}
	l.compressOld() // both take the link away
	if err := l.writeBeside([]byte("x\n")); err != nil || l.Stats().Errors != 0 {
		t.Errorf("%v, %+v", err, l.Stats())
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("the file behind the links is %q, %v", b, err)
	}
	l.compressOld()
	if err := l.writeBeside([]byte("x\n")); err != nil {
		t.Error(err)
	}
	unzip(t, old(t, l))

	cfg := configAt(filepath.Join(t.TempDir(), "hits.json"))
	if err := os.Symlink(victim, cfg.Path); err != nil {
		t.Fatal(err)
	}
	send(t, newLogWith(t, cfg), 0, 1)
	if b, _ := os.ReadFile(victim); len(b) < 100 {
		t.Errorf("the log behind a link of the operator's is %q", b)
	}
}
