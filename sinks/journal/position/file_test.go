package position

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// TestCursorFile saves again and again, and damages what was written last: then
// what was written before holds.
func TestCursorFile(t *testing.T) {
	dir := t.TempDir()
	c := newPlace(dir, `jsonlog:/var/log/"ü"`, 5)
	save := func(delivered uint64, clean bool) Mark {
		t.Helper()
		m := Mark{Position: 5 + delivered + 2, Delivered: delivered, Dropped: 2}
		if err := c.write(disk.OS{}, m, m.Position+1, false, clean); err != nil {
			t.Fatal(err)
		}
		return m
	}
	defer func() { _ = c.file.Close() }()
	read := func() (*Place, error) {
		got, _, err := load(disk.OS{}, c.path, folder.Moment{Now: time.Now(), Date: time.Now()})
		if err == nil {
			_ = got.file.Close()
		}
		return got, err
	}
	for i := range uint64(10) {
		before, m := save(2*i, true), save(2*i+1, false)
		got, err := read()
		if err != nil || got.done != m || got.start != 5 || got.name != c.name || !got.mayRepeat || got.next != m.Position {
			t.Fatalf("got %+v, %v, want %+v", got, err, m)
		}
		b, err := os.ReadFile(c.path)
		if err != nil || len(b) != 2*lineBytes {
			t.Fatal(len(b), err)
		}
		whole := bytes.Clone(b)
		b[int(c.serial%2)*lineBytes+rand.IntN(lineBytes)] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(c.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(); err != nil || got.done != before || got.mayRepeat {
			t.Fatalf("damaged: got %+v, %v, want %+v", got, err, before)
		}
		if err := os.WriteFile(c.path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCursorNames(t *testing.T) {
	for a, b := range map[string]string{"kafka/a": "kafka:a", "a": "A", strings.Repeat("x", 500): strings.Repeat("x", 501), "..": "."} {
		p, q := filepath.Base(Path("/d", a)), filepath.Base(Path("/d", b))
		if p == q || len(p) > 100 || strings.ContainsAny(p, "/:") {
			t.Errorf("%q and %q give %s and %s", a, b, p, q)
		}
	}
	if _, err := newSet(t, "").Attach(strings.Repeat("x", maxName+1), nil, 0, 0, time.Now()); err == nil {
		t.Error("a name that has no room is taken")
	}
	longest, err := appendLine(nil, state{Name: strings.Repeat("\x01", maxName), Serial: 1<<64 - 1, Start: 1<<64 - 1, Next: 1<<64 - 1,
		Journal: strings.Repeat("x", 36), Since: math.MinInt64,
		Mark: Mark{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, sinks.Bucket{Spent: -math.Pi * 1e-100, Last: -1 << 63}}}, lineBytes)
	if err != nil || len(longest) != lineBytes || !bytes.HasSuffix(longest, []byte("} \n")) && !bytes.HasSuffix(longest, []byte("  \n")) {
		t.Errorf("the longest line has %d bytes, %v", len(longest), err)
	}
}

// FuzzCursorFile reads any bytes as a cursor's file: what is taken adds up and is
// written again as it was.
func FuzzCursorFile(f *testing.F) {
	good, err := appendLine(nil, state{Name: "kafka", Serial: 3, Start: 1, Mark: Mark{Position: 7, Delivered: 6}}, lineBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:lineBytes-1])
	f.Add(append(bytes.Repeat([]byte{'x'}, lineBytes), good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := newest(b)
		if !ok {
			return
		}
		m := s.Mark
		if m.Position != s.Start+m.Delivered+m.Failed+m.Filtered+m.Limited+m.Dropped {
			t.Errorf("got %+v", s)
		}
		line, err := appendLine(nil, s, lineBytes)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := newest(line); !ok || again != s {
			t.Errorf("got %+v, %v, want %+v", again, ok, s)
		}
	})
}

// TestCursorFileIsMadeWhole: a process that is killed while the file of a sink is made for
// the first time leaves none that is of no use.
func TestCursorFileIsMadeWhole(t *testing.T) {
	dir := t.TempDir()
	c := newPlace(dir, "a", 0)
	if err := syscall.Mkfifo(c.path+folder.NewSuffix, 0o600); err != nil { // it is in the way, no more
		t.Fatal(err)
	}
	files := &disktest.Faults{Hook: func(call disktest.Call) error {
		if _, err := os.Stat(c.path); err == nil && c.serial == 0 && call.What == "write" {
			t.Error("it is there before a line of it is")
		}
		return nil
	}}
	if err := c.write(files, Mark{}, 0, false, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(disk.OS{}, c.path, folder.Moment{Now: time.Now(), Date: time.Now()}); err != nil {
		t.Error(err)
	}
}
