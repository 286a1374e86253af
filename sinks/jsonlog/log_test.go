package jsonlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// newLog makes a log in a directory that does not exist yet.
func newLog(t *testing.T) *Log {
	t.Helper()
	return newLogWith(t, configAt(filepath.Join(t.TempDir(), "log", "hits.json")))
}

func configAt(path string) Config {
	cfg := DefaultConfig()
	cfg.Path = path
	return cfg
}

func newLogWith(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// events gives events that carry the numbers from first on.
func events(first, n int) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = event.Event{Kind: event.KindHit, Flows: uint64(first + i), Reason: "because"}
	}
	return list
}

func send(t *testing.T, l *Log, first, n int) {
	t.Helper()
	if err := l.Send(t.Context(), events(first, n)); err != nil {
		t.Fatal(err)
	}
}

// read gives the numbers of the events in a file and fails for anything that is
// not a whole line.
func read(t *testing.T, path string) []int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	body, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok {
		t.Errorf("%s ends in half a line: %q", path, b[max(0, len(b)-100):])
	}
	var got []int
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		var event struct {
			Integration string
			Flowsnitch  struct{ Flows int }
		}
		if err := json.Unmarshal(line, &event); err != nil || event.Integration != "flowsnitch" {
			t.Errorf("%s: %v in %q", path, err, line)
		}
		got = append(got, event.Flowsnitch.Flows)
	}
	return got
}

// checkOrder holds that got counts from 0 to n without a gap or a repetition.
func checkOrder(t *testing.T, got []int, n int) {
	t.Helper()
	if len(got) != n {
		t.Errorf("%d events, want %d", len(got), n)
	}
	for i, v := range got {
		if v != i {
			t.Fatalf("event %d stands where %d should", v, i)
		}
	}
}

func TestSendWritesEachEventAtOnce(t *testing.T) {
	l := newLog(t)
	var writes [][]byte
	stub(l).write = func(f disk.File, b []byte) (int, error) {
		writes = append(writes, bytes.Clone(b))
		return f.Write(b)
	}
	list := events(0, 3)
	list[1].Reason = strings.Repeat("long\n\"", 5000)
	if err := l.Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if want := event.AppendJSON(nil, &list[i]); !bytes.Equal(writes[i], want) || len(want) > 4096 {
			t.Errorf("write %d: %q", i, writes[i])
		}
	}
	if len(writes) != 3 {
		t.Errorf("%d writes", len(writes))
	}
	checkOrder(t, read(t, l.cfg.Path), 3)
	size := uint64(len(bytes.Join(writes, nil)))
	if got := l.Stats(); got != (Stats{Lines: 3, Bytes: size}) {
		t.Errorf("got %+v", got)
	}
}

func TestMadeFilesHaveModeAndGroup(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	cfg := configAt(filepath.Join(t.TempDir(), "a", "b", "hits.json"))
	cfg.Mode, cfg.Group = 0o664, strconv.Itoa(os.Getegid())
	l := newLogWith(t, cfg)
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{cfg.Path: 0o664, filepath.Dir(cfg.Path): 0o750 | os.ModeDir} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		if gid := info.Sys().(*syscall.Stat_t).Gid; int(gid) != os.Getegid() {
			t.Errorf("%s: group %d", path, gid)
		}
	}
}

// TestGroupThatCannotBeSet holds that no file of the wrong group is left for the
// next attempt to take for the right one.
func TestGroupThatCannotBeSet(t *testing.T) {
	cfg := configAt(filepath.Join(t.TempDir(), "hits.json"))
	cfg.Group = strconv.Itoa(os.Getegid())
	l := newLogWith(t, cfg)
	stub(l).chown = func(string, int, int) error { return os.ErrPermission }
	for range 2 {
		if err := l.Open(); !errors.Is(err, os.ErrPermission) || !strings.HasPrefix(err.Error(), "group ") {
			t.Errorf("got %v", err)
		}
	}
	stub(l).chown = os.Chown
	send(t, l, 0, 1)
}

func TestHalfALineOfACrashIsEnded(t *testing.T) {
	l := newLog(t)
	send(t, l, 0, 1)
	_ = l.Close(t.Context())
	appendTo(t, l.cfg.Path, `{"integration":"flow`)
	l = newLogWith(t, l.cfg)
	send(t, l, 1, 1)
	b, _ := os.ReadFile(l.cfg.Path)
	lines := strings.Split(string(b), "\n")
	if len(lines) != 4 || lines[1] != `{"integration":"flow` || !json.Valid([]byte(lines[2])) || l.Stats().Torn != 1 {
		t.Errorf("got %q, %+v", b, l.Stats())
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestShortWriteIsTakenBack lets every third write end halfway, as on a full disk.
func TestShortWriteIsTakenBack(t *testing.T) {
	l := newLog(t)
	calls := 0
	stub(l).write = func(f disk.File, b []byte) (int, error) {
		if calls++; calls%3 == 0 {
			n, _ := f.Write(b[:calls%len(b)])
			return n, syscall.ENOSPC
		}
		return f.Write(b)
	}
	list := events(0, 50)
	for len(list) > 0 {
		err := l.Send(t.Context(), list)
		if err == nil {
			break
		}
		var retry *sinks.RetryError
		if !errors.As(err, &retry) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}
		list = list[retry.Sent:]
	}
	checkOrder(t, read(t, l.cfg.Path), 50)
	if s := l.Stats(); s.Lines != 50 || s.Errors == 0 || s.Repaired != s.Errors || s.Torn != 0 || s.LastError == "" {
		t.Errorf("got %+v", s)
	}
}

// TestShortWriteIsAllThereIs: the first line of a file is taken back as any other.
func TestShortWriteIsAllThereIs(t *testing.T) {
	l := newLog(t)
	short := true
	stub(l).write = func(f disk.File, b []byte) (int, error) {
		if short {
			short = false
			n, _ := f.Write(b[:10])
			return n, syscall.EIO
		}
		return f.Write(b)
	}
	if err := l.Send(t.Context(), events(0, 1)); err == nil {
		t.Fatal("no error")
	}
	if b, _ := os.ReadFile(l.cfg.Path); len(b) != 0 {
		t.Errorf("left in the file: %q", b)
	}
	send(t, l, 0, 1)
	checkOrder(t, read(t, l.cfg.Path), 1)
	if s := l.Stats(); s.Repaired != 1 || s.Torn != 0 || s.Lines != 1 {
		t.Errorf("got %+v", s)
	}
}

// TestShortWriteThatCannotBeTakenBack has somebody else append behind the half
// line, so that cutting it off would cut off something else.
func TestShortWriteThatCannotBeTakenBack(t *testing.T) {
	l := newLog(t)
	short := true
	stub(l).write = func(f disk.File, b []byte) (int, error) {
		if short {
			short = false
			n, _ := f.Write(b[:10])
			appendTo(t, l.cfg.Path, "foreign")
			return n, syscall.EIO
		}
		return f.Write(b)
	}
	if err := l.Send(t.Context(), events(0, 1)); err == nil {
		t.Fatal("no error")
	}
	send(t, l, 0, 1)
	b, _ := os.ReadFile(l.cfg.Path)
	lines := strings.Split(string(b), "\n")
	if len(lines) != 3 || lines[0] != `{"integratforeign` || !json.Valid([]byte(lines[1])) {
		t.Errorf("got %q", b)
	}
	if s := l.Stats(); s.Repaired != 0 || s.Torn != 1 || s.Lines != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestFileRenamedRemovedTruncatedUnderFoot(t *testing.T) {
	l := newLog(t)
	path := l.cfg.Path
	send(t, l, 0, 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	send(t, l, 0, 3)
	checkOrder(t, read(t, path+".1"), 2)
	checkOrder(t, read(t, path), 3)
	// Renamed and made anew, as logrotate's create does.
	if err := errors.Join(os.Rename(path, path+".2"), os.WriteFile(path, nil, 0o640)); err != nil {
		t.Fatal(err)
	}
	send(t, l, 0, 7)
	checkOrder(t, read(t, path+".2"), 3)
	checkOrder(t, read(t, path), 7)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	send(t, l, 0, 4)
	checkOrder(t, read(t, path), 4)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	send(t, l, 0, 5)
	checkOrder(t, read(t, path), 5)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	send(t, l, 0, 6)
	checkOrder(t, read(t, path), 6)
	if s := l.Stats(); s.Lines != 27 || s.Reopens != 4 || s.Errors != 0 {
		t.Errorf("got %+v", s)
	}
	if info, _ := os.Stat(path); info.Size() != l.size {
		t.Errorf("size %d, thinks %d", info.Size(), l.size)
	}
}

// TestReopenUnderLoad reopens 1,000 times while events are written and the file
// is moved away again and again.
func TestReopenUnderLoad(t *testing.T) {
	l := newLog(t)
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 1000 {
			if i%100 == 0 {
				// As logrotate does: move, then signal. Nothing may go to the old file after.
				_ = os.Rename(l.cfg.Path, fmt.Sprintf("%s.%04d", l.cfg.Path, i))
			}
			if err := l.Reopen(); err != nil {
				t.Error(err)
			}
		}
	})
	sent := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			send(t, l, sent, 7)
			sent += 7
		}
	}
	wg.Wait()
	files, err := filepath.Glob(l.cfg.Path + ".0*")
	if err != nil || len(files) != 10 {
		t.Errorf("%d files, %v", len(files), err)
	}
	var got []int
	for _, f := range append(files, l.cfg.Path) {
		got = append(got, read(t, f)...)
	}
	checkOrder(t, got, sent)
	if s := l.Stats(); s.Lines != uint64(sent) || s.Reopens < 1000 || s.Torn != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestSecondProcessIsKeptAway(t *testing.T) {
	first := newLog(t)
	if err := first.Open(); err != nil {
		t.Fatal(err)
	}
	second := newLogWith(t, first.cfg)
	err := second.Send(t.Context(), events(0, 1))
	var retry *sinks.RetryError
	if err == nil || !strings.Contains(err.Error(), "another process") || !errors.As(err, &retry) || retry.Sent != 0 {
		t.Errorf("got %v", err)
	}
	if err := first.Reopen(); err != nil { // keeps the lock
		t.Error(err)
	}
	if err := second.Open(); err == nil {
		t.Error("the lock was lost")
	}
	_ = first.Close(t.Context())
	send(t, second, 0, 1)
}

func TestClosed(t *testing.T) {
	l := newLog(t)
	send(t, l, 0, 1)
	if err := errors.Join(l.Close(t.Context()), l.Close(t.Context())); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Send": l.Send(t.Context(), events(1, 1)), "Open": l.Open(), "Reopen": l.Reopen(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	l := newLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	stub(l).write = func(f disk.File, b []byte) (int, error) {
		cancel()
		return f.Write(b)
	}
	err := l.Send(ctx, events(0, 3))
	var retry *sinks.RetryError
	if !errors.As(err, &retry) || retry.Sent != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	checkOrder(t, read(t, l.cfg.Path), 1)
}

func TestNotARegularFile(t *testing.T) {
	for name, make := range map[string]func(string) error{
		"directory": func(p string) error { return os.MkdirAll(p, 0o750) },
		"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o640) },
	} {
		l := newLog(t)
		if err := errors.Join(os.MkdirAll(filepath.Dir(l.cfg.Path), 0o750), make(l.cfg.Path)); err != nil {
			t.Fatal(err)
		}
		if err := l.Open(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// follow lets a log follow a journal in memory.
func follow(t *testing.T, l *Log, cfg sinks.RunnerConfig) (*journal.Journal, *sinks.Runner) {
	t.Helper()
	jc := journal.DefaultConfig()
	jc.Durability = journal.InMemory
	j, _, err := journal.Open(jc)
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	r, err := sinks.NewRunner(j, l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	return j, r
}

func TestBehindAJournal(t *testing.T) {
	l := newLog(t)
	j, r := follow(t, l, sinks.DefaultRunnerConfig())
	for i := range 50 {
		if err := j.Append(events(10*i, 10)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Stop(ctx); err != nil || r.Name() != "jsonlog:"+l.cfg.Path {
		t.Error(err)
	}
	if err := j.Stop(ctx); err != nil {
		t.Error(err)
	}
	checkOrder(t, read(t, l.cfg.Path), 500)
}
