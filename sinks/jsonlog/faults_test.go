package jsonlog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// stubs is the file system with some calls replaced.
type stubs struct {
	disk.OS
	write  func(disk.File, []byte) (int, error)
	rename func(from, to string) error
	chown  func(path string, uid, gid int) error
}

// stub puts stubs under a log.
func stub(l *Log) *stubs {
	s := new(stubs)
	l.disk = disk.NewWatch(s)
	return s
}

func (s *stubs) OpenFile(path string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := s.OS.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return stubFile{f, s}, nil
}

func (s *stubs) Rename(from, to string) error {
	if s.rename != nil {
		return s.rename(from, to)
	}
	return s.OS.Rename(from, to)
}

func (s *stubs) Chown(path string, uid, gid int) error {
	if s.chown != nil {
		return s.chown(path, uid, gid)
	}
	return s.OS.Chown(path, uid, gid)
}

type stubFile struct {
	disk.File
	s *stubs
}

func (f stubFile) Write(b []byte) (int, error) {
	if f.s.write != nil {
		return f.s.write(f.File, b)
	}
	return f.File.Write(b)
}

// TestFaults lets every call to the disk fail and hang in turn, over rotations: whole
// lines, none missing, and each fault is named.
func TestFaults(t *testing.T) {
	calls := 0
	synctest.Test(t, func(t *testing.T) { calls = runWithFault(t, -1, syscall.EIO) })
	if calls < 40 {
		t.Fatalf("only %d calls", calls)
	}
	for _, err := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE, nil} {
		for at := range calls {
			synctest.Test(t, func(t *testing.T) { runWithFault(t, at, err) })
		}
	}
}

// runWithFault writes 30 events with rotations while one call fails, or hangs for a minute.
func runWithFault(t *testing.T, at int, fault error) (calls int) {
	cfg := configAt(filepath.Join(t.TempDir(), "log", "hits.json"))
	cfg.Rotate, cfg.Keep = RotateSize, 100
	l := newLogWith(t, cfg)
	l.cfg.MaxSize = 2000
	hit := ""
	files := &disktest.Faults{Part: 20}
	files.Hook = func(c disktest.Call) error {
		if c.Index != at {
			return nil
		}
		hit = c.What + " " + filepath.Base(c.Path)
		if fault == nil {
			time.Sleep(time.Minute)
		}
		return fault
	}
	l.disk = disk.NewWatch(files)
	named := false
	for n := 0; n < 30; {
		began := time.Now()
		err := l.Send(t.Context(), events(n, 1))
		named = named || err != nil || time.Since(began) >= time.Minute || l.Stats().LastError != ""
		if err == nil {
			n++
			continue
		}
		if _, ok := errors.AsType[*sinks.RetryError](err); !ok {
			t.Fatalf("%v at %d (%s): got %v", fault, at, hit, err)
		}
		time.Sleep(time.Second)
	}
	calls = files.Calls()
	what, _, _ := strings.Cut(hit, " ")
	if hit != "" && !named && what != "close" && what != "lstat" && what != "stat" {
		t.Errorf("%v at %d (%s): not named", fault, at, hit)
	}
	l.disk = disk.NewWatch(disk.OS{})
	old, err := l.rotated()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, f := range old {
		got = append(got, read(t, f.path)...)
	}
	got = append(got, read(t, cfg.Path)...)
	if got = slices.Compact(got); len(got) != 30 || !slices.IsSorted(got) {
		t.Errorf("%v at %d (%s): got %v", fault, at, hit, got)
	}
	return calls
}

// TestDiskHangs: a signal, a stop and status do not wait for a disk that does not answer,
// and it is named.
func TestDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(configAt(filepath.Join(t.TempDir(), "hits.json")))
		if err != nil {
			t.Fatal(err)
		}
		var ill atomic.Bool
		release := make(chan struct{})
		l.disk = disk.NewWatch(&disktest.Faults{Hook: func(disktest.Call) error {
			if ill.Load() {
				<-release
			}
			return nil
		}})
		send(t, l, 0, 1)
		if err := os.Rename(l.cfg.Path, l.cfg.Path+".1"); err != nil {
			t.Fatal(err)
		}
		ill.Store(true)
		sent := make(chan error, 1)
		go func() { sent <- l.Send(context.Background(), events(1, 1)) }()
		synctest.Wait()
		began := time.Now()
		for range 3 {
			if err := l.Reopen(); err == nil || !strings.Contains(err.Error(), "does not answer") {
				t.Errorf("got %v", err)
			}
		}
		if err := l.Open(); err == nil {
			t.Error("no error")
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
		time.Sleep(10 * time.Second)
		if s := l.Stats(); !strings.Contains(s.LastError, "no answer for") {
			t.Errorf("got %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := l.Close(ctx); err == nil || time.Since(began) > time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		ill.Store(false)
		close(release)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := len(read(t, l.cfg.Path+".1")) + len(read(t, l.cfg.Path)); got != 2 {
			t.Errorf("%d events in the files", got)
		}
	})
}
