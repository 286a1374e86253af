package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// killDir names the directory of the child that TestKill starts.
const killDir = "FLOWSNITCH_TEST_KILL_DIR"

// fileSink writes the number of each event as a line, with one write a batch, and
// fails now and then.
type fileSink struct{ file *os.File }

func (s *fileSink) Name() string { return "file" }

func (s *fileSink) Send(_ context.Context, events []event.Event) error {
	n := len(events)
	if rand.IntN(10) == 0 {
		n = rand.IntN(n + 1)
	}
	var b []byte
	for i := range events[:n] {
		b = append(strconv.AppendUint(b, events[i].Flows, 10), '\n')
	}
	if _, err := s.file.Write(b); err != nil {
		return &sinks.RetryError{Err: err}
	}
	if n < len(events) {
		return &sinks.RetryError{Sent: n, Err: errAway}
	}
	return nil
}

func (s *fileSink) Close(context.Context) error { return s.file.Close() }

// killChild appends and delivers until it is killed. What Append has acknowledged
// goes to a file.
func killChild(t *testing.T, dir string) {
	acked := appendTo(t, filepath.Join(dir, "acked"))
	next := uint64(len(lines(t, filepath.Join(dir, "begun")))) * 1_000_000
	if _, err := fmt.Fprintln(appendTo(t, filepath.Join(dir, "begun")), next); err != nil {
		t.Fatal(err)
	}
	j, r := openKill(t, dir)
	r.Start()
	for {
		events := make([]event.Event, 1+rand.IntN(50))
		var ids []byte
		for i := range events {
			events[i] = eventtest.Hit()
			events[i].Flows = next
			events[i].Severity = event.Severity(next % 4)
			ids = append(strconv.AppendUint(ids, next, 10), '\n')
			next++
		}
		if j.Append(events) != nil {
			continue // a disk that is slow at the moment has not acknowledged them
		}
		if _, err := acked.Write(ids); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(2)) * time.Millisecond)
	}
}

// openKill opens the journal in dir with a sink that writes to a file there.
func openKill(t *testing.T, dir string) (*Journal, *sinks.Runner) {
	t.Helper()
	j, report := openDir(t, filepath.Join(dir, "journal"), Always, func(c *Config) { c.MaxBytes = 1 << 30 })
	if report.MissingEvents > 0 || len(report.BadCursors) > 0 {
		t.Fatal(report)
	}
	r := newRunner(t, j, &fileSink{appendTo(t, filepath.Join(dir, "sink"))}, func(c *sinks.RunnerConfig) {
		c.Batch, c.BackoffMin, c.BackoffMax = 30, time.Millisecond, 5*time.Millisecond
	})
	j.Start()
	return j, r
}

func appendTo(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// lines gives the numbers in a file, one a line. Half a line at the end, of a write
// that was cut off, is none.
func lines(t *testing.T, path string) (all []uint64) {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for r := bufio.NewReader(file); ; {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			return all
		}
		n, err := strconv.ParseUint(line[:max(0, len(line)-1)], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
}

// TestKill kills a process with -9 at random moments, 50 times over one journal:
// what Append acknowledged reaches the sink at least once, and the first time in
// the order of its lane.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		killChild(t, dir)
	}
	dir := t.TempDir()
	for range 50 {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), killDir+"="+dir)
		var said bytes.Buffer
		child.Stdout, child.Stderr = &said, &said
		begun := len(lines(t, filepath.Join(dir, "begun"))) // before it starts
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return len(lines(t, filepath.Join(dir, "begun"))) > begun })
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		_ = child.Process.Kill()
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
			t.Fatalf("the child ended by itself: %v, %s", child.ProcessState, &said)
		}
	}
	j, r := openKill(t, dir)
	r.Start()
	waitFor(t, func() bool { return r.Stats().Pending == 0 })
	stopAll(t, j, r)

	order, seen, twice := [lanes]uint64{}, map[uint64]bool{}, 0
	for _, n := range lines(t, filepath.Join(dir, "sink")) {
		if seen[n] {
			twice++
			continue
		}
		last := &order[n%4/2]
		if n < *last {
			t.Fatalf("%d comes for the first time after %d", n, *last)
		}
		seen[n], *last = true, n
	}
	acked := lines(t, filepath.Join(dir, "acked"))
	for _, n := range acked {
		if !seen[n] {
			t.Fatalf("%d was acknowledged and is missing", n)
		}
	}
	s := r.Stats()
	if s.Dropped != 0 || s.Delivered < uint64(len(seen)) || len(acked) == 0 {
		t.Errorf("got %+v, the sink has %d", s, len(seen))
	}
	t.Logf("%d acknowledged, %d delivered, %d of them twice", len(acked), len(seen), twice)
}
