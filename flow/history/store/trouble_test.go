package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// failing makes all calls of a world fail that change something, with the error that is set.
func (w *world) failing() *atomic.Value {
	fails := new(atomic.Value)
	w.cfg.Disk = &disktest.Faults{Hook: func(c disktest.Call) error {
		if err, _ := fails.Load().(syscall.Errno); err != 0 && strings.Contains("mkdir write sync rename remove chmod utimes truncate", c.What) {
			return err
		}
		return nil
	}}
	w.open()
	return fails
}

// TestTroubleIsReportedOnce: each kind of trouble is counted each time and reported once, with what to
// do; the rows stay with the caller and are written when it is over, which is reported, too.
func TestTroubleIsReportedOnce(t *testing.T) {
	for err, word := range map[syscall.Errno]string{
		syscall.ENOSPC: "make room", syscall.EDQUOT: "make room", syscall.EROFS: "read-only", syscall.EIO: "kernel log", syscall.EACCES: "belong to the user",
	} {
		w := newWorld(t, 8, false)
		fails := w.failing()
		if err := w.write(time.Minute, 1, 20); err != nil {
			t.Fatal(err)
		}
		tables, rows := w.tables(2, 30, w.now)
		fails.Store(err)
		for range 3 {
			w.now = w.now.Add(10 * time.Minute)
			if got := w.store.Write(context.Background(), w.now.Add(-10*time.Minute), w.now, tables, names, 0, 0); !errors.Is(got, err) {
				t.Errorf("%v: %v", err, got)
			}
			_ = w.store.Tidy(context.Background())
			w.check("meanwhile")
		}
		if len(w.reports) != 1 || !strings.HasPrefix(w.reports[0], "! ") || !strings.Contains(w.reports[0], word) {
			t.Errorf("%v: %q", err, w.reports)
		}
		if s := w.store.Stats(); s.WriteErrors != 3 || !strings.Contains(s.Trouble, word) || s.Rows == 0 {
			t.Errorf("%v: %+v", err, s)
		}
		fails.Store(syscall.Errno(0))
		if err := w.store.Write(context.Background(), w.now.Add(-time.Hour), w.now, tables, names, 0, 0); err != nil {
			t.Error(err)
		}
		w.expect(rows)
		w.check("after")
		w.tidy()
		if s := w.store.Stats(); s.Trouble != "" || len(w.reports) != 2 || strings.HasPrefix(w.reports[1], "!") {
			t.Errorf("%v: %q, %q", err, s.Trouble, w.reports)
		}
	}
}

// TestOtherTroubleIsReported: a second kind of trouble behind the first is reported as well.
func TestOtherTroubleIsReported(t *testing.T) {
	w := newWorld(t, 8, false)
	fails := w.failing()
	for _, err := range []syscall.Errno{syscall.EROFS, syscall.EROFS, syscall.ENOSPC, syscall.ENOSPC} {
		fails.Store(err)
		_ = w.write(time.Minute, 1, 20)
	}
	if len(w.reports) != 2 {
		t.Errorf("%q", w.reports)
	}
}

// TestFolderRemoved: the folder goes away while the store works, and is made again; one that
// cannot be made is trouble that ends.
func TestFolderRemoved(t *testing.T) {
	w := newWorld(t, 9, true)
	if err := w.write(time.Hour, 1, 20); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.root); err != nil {
		t.Fatal(err)
	}
	clear(w.want)
	w.tidy()
	if err := w.write(time.Hour, 1, 20); err != nil {
		t.Fatal(err)
	}
	w.check("made again")
	if _, err := Open(w.cfg); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("the new folder is not locked: %v", err)
	}
	if err := os.RemoveAll(w.root); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.root, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	clear(w.want)
	if err := w.write(time.Hour, 1, 20); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file is in the place of the folder: %v", err)
	}
	if len(w.reports) != 1 || !strings.Contains(w.reports[0], "in the place") {
		t.Errorf("%q", w.reports)
	}
	if err := os.Remove(w.root); err != nil {
		t.Fatal(err)
	}
	if err := w.write(time.Hour, 1, 20); err != nil {
		t.Error(err)
	}
	w.check("at the end")
}

// TestNoRoom: with little free space nothing is written or merged, which is counted and reported
// once; retention goes on.
func TestNoRoom(t *testing.T) {
	w := newWorld(t, 10, false)
	free, total := uint64(100e9), uint64(200e9)
	_ = w.store.Close()
	w.cfg.Space = func(string) (uint64, uint64, error) { return free, total, nil }
	w.open()
	for range 4 {
		if err := w.write(time.Minute, 1, 20); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		free, total uint64
		refused     bool
	}{
		{11e9, 200e9, false}, {9e9, 200e9, true}, {499e6, 3e9, true}, {501e6, 3e9, false}, {0, 1e12, true},
		{61e6, 300e6, false}, {59e6, 300e6, true}, // a small one leaves a fifth to others
	} {
		free, total = c.free, c.total
		if err := w.write(time.Minute, 1, 20); errors.Is(err, ErrSpace) != c.refused {
			t.Errorf("%d of %d bytes are free: %v", c.free, c.total, err)
		}
	}
	w.now = w.now.AddDate(0, 0, 1)
	if err := w.store.Tidy(context.Background()); !errors.Is(err, ErrSpace) || w.store.Stats().Merges > 0 {
		t.Errorf("a merge: %v", err)
	}
	w.store.Reconfigure(time.Minute, 0)
	_ = w.store.Tidy(context.Background())
	if s := w.store.Stats(); s.Refused != 4 || s.WriteErrors != 0 || s.AgedFiles != 7 || !strings.Contains(s.Trouble, "make room") {
		t.Errorf("%+v", s)
	}
	if got := strings.Join(w.reports, "\n"); strings.Count(got, "cannot be written") != 3 || strings.Count(got, "written again") != 2 {
		t.Error(got)
	}
}

// TestDamagedInput: a damaged file is set aside and reported, the others are merged.
func TestDamagedInput(t *testing.T) {
	for _, at := range []int64{-20, 30} { // the footer, the body
		w := waiting(t, false, 3)
		kept := w.files()[1:]
		broken := filepath.Join(w.root, w.files()[0])
		lost := make(map[row.Row]row.Row)
		w.want, lost = lost, w.want
		if err := os.Rename(broken, broken+".away"); err != nil {
			t.Fatal(err)
		}
		w.want = w.found()
		if len(w.want) == len(lost) || len(kept) == 0 {
			t.Fatal("the file has no rows of its own")
		}
		content, err := os.ReadFile(broken + ".away")
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(broken + ".away")
		if at < 0 {
			at += int64(len(content))
		}
		content[at] ^= 1
		if err := os.WriteFile(broken, content, 0o640); err != nil {
			t.Fatal(err)
		}
		w.tidy()
		w.check("merged")
		if got := w.levels(); got != "d" {
			t.Errorf("files are %s", got)
		}
		if _, err := os.Stat(broken + folder.Damaged); err != nil {
			t.Error(err)
		}
		if s := w.store.Stats(); len(w.reports) != 1 || s.Bad != 1 || s.BadTotal != 1 {
			t.Errorf("%q, %+v", w.reports, s)
		}
		w.open()
		w.tidy()
		if len(w.reports) != 1 {
			t.Errorf("reported again: %q", w.reports)
		}
		w.store.Reconfigure(24*time.Hour, 0) // it takes space: it goes as the others do
		w.now = w.now.AddDate(0, 0, 2)
		w.tidy()
		if got := w.files(); len(got) != 0 {
			t.Errorf("left: %q", got)
		}
	}
}

// TestDamageFoundBySearch: a search of the instance sets a damaged file aside.
func TestDamageFoundBySearch(t *testing.T) {
	w := newWorld(t, 11, false)
	if err := w.write(time.Minute, 1, 20); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.root, w.files()[0])
	if err := os.Truncate(path, 900); err != nil {
		t.Fatal(err)
	}
	q := folder.Query{Ranges: span.All(), Emit: func(folder.Entry, []row.Row) error { return nil }}
	for n := range 2 {
		done, err := w.store.Folder().Search(context.Background(), q)
		if err != nil || len(done.Bad) != 1-n {
			t.Errorf("search %d: %+v, %v", n, done, err)
		}
	}
	if len(w.reports) != 1 || w.store.Stats().BadTotal != 1 {
		t.Errorf("%q, %+v", w.reports, w.store.Stats())
	}
}

func TestLock(t *testing.T) {
	w := newWorld(t, 12, false)
	if _, err := Open(w.cfg); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if err := errors.Join(w.store.Close(), w.store.Close()); err != nil {
		t.Error(err)
	}
	w.open()
}

func TestErase(t *testing.T) {
	w := waiting(t, false, 3)
	w.tidy()
	if err := w.write(time.Minute, 2, 50); err != nil {
		t.Fatal(err)
	}
	cfg := w.cfg
	cfg.Root = filepath.Join(w.root, "import", "old")
	other, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tables, _ := w.tables(1, 300, w.now)
	if err := other.Write(context.Background(), w.now, w.now, tables, names, 0, 0); err != nil {
		t.Fatal(err)
	}
	prefixes := []netip.Prefix{netip.MustParsePrefix("198.51.0.0/25"), netip.MustParsePrefix("2001:db8::7/128"), netip.MustParsePrefix("10.0.0.1/32")}
	if _, _, err := w.store.Erase(context.Background(), prefixes); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), "import old") {
		t.Errorf("while an import is running: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	files, rows, err := w.store.Erase(context.Background(), prefixes)
	if err != nil || files != 1 || rows == 0 { // those of the history itself are erased already
		t.Errorf("%d files, %d rows, %v", files, rows, err)
	}
	erased := 0
	for key := range w.want {
		for _, p := range prefixes {
			if p.Contains(key.Outside.Addr().Unmap()) || p.Contains(key.Inside.Addr().Unmap()) {
				delete(w.want, key)
				erased++
				break
			}
		}
	}
	w.check("erased")
	if erased == 0 || len(w.want) == 0 || w.store.Stats().ErasedRows < uint64(erased) {
		t.Errorf("%d rows erased, %d left, %+v", erased, len(w.want), w.store.Stats())
	}
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	if _, _, err := w.store.Erase(context.Background(), all); err != nil || len(w.files()) != 0 {
		t.Errorf("all erased: %q, %v", w.files(), err)
	}
	if files, rows, err := w.store.Erase(context.Background(), all); err != nil || files+rows != 0 {
		t.Errorf("%d files, %d rows, %v", files, rows, err)
	}
}

// TestUnreadableInput: a file that the disk does not give is left out after some attempts, and
// the others are merged.
func TestUnreadableInput(t *testing.T) {
	w := waiting(t, true, 4)
	path := filepath.Join(w.root, w.files()[1])
	broken := true
	w.cfg.Disk = &disktest.Faults{Hook: func(c disktest.Call) error {
		if broken && c.What == "read" && c.Path == path {
			return syscall.EIO
		}
		return nil
	}}
	w.open()
	for range mostStrikes {
		if err := w.store.Tidy(context.Background()); !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
	}
	w.tidy()
	if got := w.levels(); got != "dh" || len(w.reports) != 2 || w.store.Stats().MergeErrors != mostStrikes {
		t.Errorf("files are %s, %q, %+v", got, w.reports, w.store.Stats())
	}
	broken = false
	w.check("without it")
	w.open()
	w.tidy()
	w.check("with it")
	if got := w.levels(); got != "d" {
		t.Errorf("files are %s", got)
	}
}

// newer makes a file one of a later version of the program, and gives its path.
func newer(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) int { return bytes.LastIndex(content, []byte(key)) + len(key) + 2 }
	content[value("flowsnitch.schema")] = '2'
	at := value("flowsnitch.body")
	body, err := strconv.ParseInt(string(content[at:at+16]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	name, err := file.ParseName(filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	name.CRC = crc32.Checksum(content[body:], crc32.MakeTable(crc32.Castagnoli))
	to := filepath.Join(filepath.Dir(path), name.String())
	if err := errors.Join(os.WriteFile(path, content, 0o640), os.Rename(path, to)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestNewerInput: a file of a newer program stays, and the others are merged.
func TestNewerInput(t *testing.T) {
	w := waiting(t, true, 4)
	path := newer(t, filepath.Join(w.root, w.files()[1]))
	for range 3 {
		w.tidy()
		if got := w.levels(); got != "dh" || len(w.reports) != 1 || strings.HasPrefix(w.reports[0], "!") {
			t.Errorf("files are %s, %q", got, w.reports)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if s := w.store.Stats(); s.Bad != 0 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// TestMergeDuringAWriteThatFails: a file whose write may yet fail is not merged, as its rows
// would be there twice once they are written again.
func TestMergeDuringAWriteThatFails(t *testing.T) {
	for _, stays := range []bool{false, true} { // whether the file of the failed write can be removed
		w := newWorld(t, 21, false)
		if err := w.write(10*time.Minute, 1, 200); err != nil {
			t.Fatal(err)
		}
		tables, rows := w.tables(1, 200, w.now)
		from, to := w.now.Add(-10*time.Minute), w.now.Add(time.Minute)
		w.now = w.now.Add(3 * time.Hour) // both files are of an hour that is over
		day, failed := "", false
		faults := w.cfg.Disk.(*disktest.Faults)
		faults.Hook = func(c disktest.Call) error {
			switch {
			case c.What == "rename" && day == "":
				day = filepath.Dir(c.Path)
			case c.What == "sync" && c.Path == day && !failed:
				failed = true
				if err := w.store.Tidy(context.Background()); err != nil {
					t.Error(err)
				}
				return syscall.EIO
			case c.What == "remove" && stays && strings.HasSuffix(c.Path, ".parquet"):
				return syscall.EIO
			}
			return nil
		}
		if err := w.store.Write(context.Background(), from, to, tables, names, 0, 0); !errors.Is(err, syscall.EIO) || !failed {
			t.Fatalf("%v, failed %v", err, failed)
		}
		w.tidy()
		faults.Hook = nil
		if err := w.store.Write(context.Background(), from, to, tables, names, 0, 0); err != nil {
			t.Fatal(err)
		}
		w.expect(rows)
		w.tidy()
		w.check(fmt.Sprintf("stays %v", stays))
		if got := w.levels(); got != "h" {
			t.Errorf("stays %v: files %q", stays, got)
		}
	}
}
