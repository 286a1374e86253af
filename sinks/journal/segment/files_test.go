package segment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// records gives the bytes of the records of n events from number first on.
func records(first, n int) (b []byte) {
	for i, e := range sinktest.Numbered(first, n) {
		b, _ = record.Append(b, uint64(first+i), &e)
	}
	return b
}

// perFile is how many records the tests have in a file.
const perFile = 10

func open(t *testing.T, dir string, files disk.FS, at folder.Moment) (*Files, Report) {
	t.Helper()
	d, err := folder.Open(disk.NewWatch(files), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	f, r, err := Open(d, int64(len(records(1000, perFile))), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f, r
}

// fill appends n events from number first on, some at a time.
func fill(t *testing.T, f *Files, first, n int) {
	t.Helper()
	for ; n > 0; first, n = first+perFile/2, n-perFile/2 {
		if err := f.Append(records(first, perFile/2), uint64(first), uint64(first+perFile/2)); err != nil {
			t.Fatal(err)
		}
	}
}

// content gives the numbers of the events in the files of a directory, in order.
func content(t *testing.T, dir string) (all []uint64) {
	t.Helper()
	files, err := record.List(disk.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		for r, _, end, ok := record.Find(b, true); ok; r, _, end, ok = record.Find(b, true) {
			all = append(all, r.Number)
			b = b[end:]
		}
	}
	return all
}

// TestCut cuts off by age, bytes and number: what is cut off is not there any more, what is
// written to stays where it is asked for, and the files go with Remove, not before.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir, disk.OS{}, folder.Now(nil))
	fill(t, f, 1000, 6*perFile)
	if err := f.Sync(); err != nil || f.Safe() < 1<<60 {
		t.Fatalf("%v, safe to %d", err, f.Safe())
	}
	check := func(name string, c Cut, first, end, left int) {
		t.Helper()
		before := content(t, dir)
		f.Remove(c)
		after := content(t, dir)
		if c.First != uint64(first) || c.End != uint64(end) || len(before)-len(after) != end-first || len(after) != left {
			t.Errorf("%s: cut off %d to %d of %d events, %d are left", name, c.First, c.End, len(before), len(after))
		}
		if number, ok := f.First(); left > 0 && (!ok || number != after[0]) {
			t.Errorf("%s: first is %d, %v", name, number, ok)
		}
	}
	check("nothing is old", f.CutOld(time.Now(), time.Hour), 0, 0, 60)
	check("one", first(f.CutOne()), 1000, 1010, 50)
	size := f.Counts().Bytes / 5
	check("over some bytes", f.CutOver(3*size), 1010, 1030, 30)
	if f.AnyBefore(1039, false) || !f.AnyBefore(1040, false) {
		t.Error("cuts off within a file")
	}
	check("before a number", f.CutBefore(1045, false), 1030, 1040, 20)
	check("not the active one", f.CutBefore(2000, true), 1040, 1050, 10)
	if _, ok := f.CutOne(); ok || f.CutOver(0).End != 0 {
		t.Error("the last file is cut off")
	}
	check("old", f.CutOld(time.Now().Add(2*time.Hour), time.Hour), 1050, 1060, 0)
	fill(t, f, 1060, perFile)
	if got := content(t, dir); len(got) != perFile || got[0] != 1060 {
		t.Errorf("after all was cut off: %v", got)
	}
}

func first(c Cut, _ bool) Cut { return c }

// TestRewrite: what a failed sync has covered is doubtful, and safe when it was written
// again from memory, together with what is behind it. The file system forgets what it could
// not sync.
func TestRewrite(t *testing.T) {
	for name, inMemory := range map[string]uint64{"all": 1000, "a part": 1015, "none": 1030} {
		dir := t.TempDir()
		var ill bool
		f, _ := open(t, dir, &disktest.Faults{Hook: func(c disktest.Call) error {
			if ill && c.What == "sync" && strings.HasSuffix(c.Path, record.Suffix) {
				return syscall.EIO
			}
			return nil
		}}, folder.Now(nil))
		fill(t, f, 1000, perFile)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		ill = true
		fill(t, f, 1010, 2*perFile)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) || !errors.Is(f.Again(), syscall.EIO) || f.Safe() != 1010 {
			t.Errorf("%s: %v, again %v, safe to %d", name, err, f.Again(), f.Safe())
		}
		ill = false
		if err := f.Sync(); err != nil || f.Again() == nil || f.Safe() != 1010 {
			t.Errorf("%s: a later sync that succeeds is believed: %v, safe to %d", name, f.Again(), f.Safe())
		}
		from, to := f.Doubtful()
		if from != 1010 || to != 1030 || f.CutBefore(1010, false).End != 0 {
			t.Errorf("%s: doubtful are %d to %d", name, from, to)
		}
		var copies [][]byte
		if from = max(from, inMemory); from < to {
			copies = [][]byte{records(int(from), int(to-from))}
		}
		if err := f.Rewrite(copies, from, to); err != nil || f.Again() != nil {
			t.Errorf("%s: %v, %v", name, err, f.Again())
		}
		if err := f.Sync(); err != nil || f.Safe() < 1<<60 || f.Counts().Rewritten != to-from {
			t.Errorf("%s: %v, safe to %d, %+v", name, err, f.Safe(), f.Counts())
		}
		fill(t, f, 1030, perFile)
		want := append(sinktest.Numbers(1000, 10), sinktest.Numbers(int(from), 1040-int(from))...)
		if got := content(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestFailureWhileRewriting: a sync that fails after the doubtful events have been taken from
// memory makes others doubtful, which are written again in their turn.
func TestFailureWhileRewriting(t *testing.T) {
	dir := t.TempDir()
	ill := "" // what of the path fails to sync
	f, _ := open(t, dir, &disktest.Faults{Hook: func(c disktest.Call) error {
		if ill != "" && c.What == "sync" && (c.Path == dir || strings.HasSuffix(c.Path, ill)) {
			return syscall.EIO
		}
		return nil
	}}, folder.Now(nil))
	again := func(wantFrom int) {
		t.Helper()
		from, to := f.Doubtful()
		if from != uint64(wantFrom) || to != 1020 {
			t.Errorf("doubtful are %d to %d", from, to)
		}
		if ill != "" {
			ill = filepath.Base(record.Path(dir, 1000))
			if err := f.Sync(); err == nil {
				t.Error("the sync succeeds")
			}
		}
		if err := f.Rewrite([][]byte{records(int(from), int(to-from))}, from, to); err != nil {
			t.Error(err)
		}
	}
	fill(t, f, 1000, 2*perFile)
	ill = filepath.Base(record.Path(dir, 1010))
	for range 2 { // the directory fails, so that both files are synced again
		_ = f.Sync()
	}
	again(1010)
	if f.Again() == nil || f.Safe() != 1000 {
		t.Errorf("again %v, safe to %d", f.Again(), f.Safe())
	}
	ill = ""
	again(1000)
	if err := f.Sync(); err != nil || f.Again() != nil || f.Safe() < 1<<60 {
		t.Errorf("%v, again %v, safe to %d", err, f.Again(), f.Safe())
	}
	if got := content(t, dir); !slices.Equal(got, sinktest.Numbers(1000, 20)) {
		t.Errorf("got %v", got)
	}
}

// TestOpen: the last file is repaired, one that cannot be read is bounded so that no number
// in it is used again, and what goes on does so behind it.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	f, r := open(t, dir, disk.OS{}, folder.Now(nil))
	if _, ok := f.First(); ok || r != (Report{}) {
		t.Fatalf("empty: %+v", r)
	}
	whole := records(1000, 8)
	path := record.Path(dir, 1000)
	if err := os.WriteFile(path, append(whole, whole[:5]...), 0o600); err != nil {
		t.Fatal(err)
	}
	f.dir.Close()
	f, r = open(t, dir, disk.OS{}, folder.Now(nil))
	if r.End != 1008 || r.Torn != 5 || r.Damaged != 0 || r.Unreadable != nil {
		t.Errorf("torn: %+v", r)
	}
	fill(t, f, 1010, perFile)
	if got := content(t, dir); len(got) != 18 || f.Counts().Segments != 2 {
		t.Errorf("got %v in %+v", got, f.Counts())
	}
	f.Close()
	f.dir.Close()
	f, r = open(t, dir, &disktest.Faults{Hook: func(c disktest.Call) error {
		if c.What == "read" && filepath.Base(c.Path) == fmt.Sprintf("%020d.events", 1010) {
			return syscall.EIO
		}
		return nil
	}}, folder.Now(nil))
	if !errors.Is(r.Unreadable, syscall.EIO) || r.End != 0 {
		t.Fatalf("unreadable: %+v", r)
	}
	if end := f.Bound(1020, true); end != 1020 {
		t.Errorf("ends at %d, not where that is known", end)
	}
	if end := f.Bound(1012, false); end < 1020 || end > 1010+uint64(f.Counts().Bytes/record.Least)+1 {
		t.Errorf("ends at %d", end)
	}
	fill(t, f, 2000, perFile/2)
	if p, ok := f.At(1011); !ok || p.Path != record.Path(dir, 1010) || p.End > 2000 {
		t.Errorf("got %+v, %v", p, ok)
	}
}

// TestWhatIsInTheWay: a link, a pipe or the rest of a file at the name of one that is made is
// removed, neither followed nor waited for.
func TestWhatIsInTheWay(t *testing.T) {
	for name, put := range map[string]func(path, other string) error{
		"link":    func(path, other string) error { return os.Symlink(other, path) },
		"pipe":    func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"remains": func(path, _ string) error { return os.WriteFile(path, []byte("half of it"), 0o600) },
	} {
		dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
		f, _ := open(t, dir, disk.OS{}, folder.Now(nil))
		aside := record.Path(dir, 1000) + folder.NewSuffix
		if err := errors.Join(os.WriteFile(other, nil, 0o600), put(record.Path(dir, 1000), other), put(aside, other), put(filepath.Join(dir, "trial"), other)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			err := f.Append(records(1000, perFile), 1000, 1000+perFile)
			done <- errors.Join(err, f.Trial(), f.Rewrite([][]byte{records(1000, perFile)}, 1000, 1000+perFile))
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the writer hangs", name)
		}
		names, _ := disk.OS{}.Names(dir)
		if info, _ := os.Stat(other); len(content(t, dir)) != perFile || info.Size() != 0 || len(names) != 2 {
			t.Errorf("%s: %d events, the other %d bytes, files %q", name, len(content(t, dir)), info.Size(), names)
		}
	}
}

// TestOpenCloses: a file whose end cannot be cut off does not stay open after the error.
func TestOpenCloses(t *testing.T) {
	dir := t.TempDir()
	whole := records(1000, 3)
	if err := os.WriteFile(record.Path(dir, 1000), append(whole, whole[:5]...), 0o600); err != nil {
		t.Fatal(err)
	}
	var opened, closed int
	d, err := folder.Open(disk.NewWatch(&disktest.Faults{Hook: func(c disktest.Call) error {
		switch {
		case !strings.HasSuffix(c.Path, record.Suffix):
		case c.What == "open":
			opened++
		case c.What == "close":
			closed++
		case c.What == "truncate":
			return syscall.EROFS
		}
		return nil
	}}), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, _, err := Open(d, 1<<20, folder.Now(nil)); !errors.Is(err, syscall.EROFS) || opened == 0 || opened != closed {
		t.Errorf("%v: opened %d times, closed %d times", err, opened, closed)
	}
}

// TestRedate: a file that was written by a clock that is years slow gets the date of its
// last event once the date is known, and only then.
func TestRedate(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir, disk.OS{}, folder.Now(nil))
	fill(t, f, 1000, perFile)
	f.Close()
	f.dir.Close()
	now := time.Now()
	const year = 365 * 24 * time.Hour
	slow := now.Round(0).Add(-20 * year)
	path := record.Path(dir, 1000)
	if err := os.Chtimes(path, now, slow.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f, _ = open(t, dir, disk.OS{}, folder.Moment{Now: now, Date: slow})
	for _, at := range []folder.Moment{{Now: now, Date: slow}, {Now: now.Add(time.Minute), Date: now.Round(0).Add(time.Minute)}} {
		f.Redate(at)
		info, err := os.Stat(path)
		if want := at.Date.Add(-at.Now.Sub(now) - time.Hour); err != nil || info.ModTime().Sub(want).Abs() > time.Second {
			t.Errorf("dated %v, want %v, %v", info.ModTime(), want, err)
		}
	}
	if old := f.CutOld(now, 2*time.Hour); old.End != 0 {
		t.Error("its age is that of its wrong date")
	}
}
