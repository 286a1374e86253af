package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
)

// TestReplaceWhateverFails: with any one call failing, or a write that ends half way, the
// file is the old or the new one as a whole, an error says which call it was, and the next
// attempt succeeds.
func TestReplaceWhateverFails(t *testing.T) {
	before, after := []byte("old content"), bytes.Repeat([]byte("new"), 50_000)
	for _, part := range []int{0, 7, 70_000} {
		for broken := 0; ; broken++ {
			path := filepath.Join(t.TempDir(), "file")
			if err := disk.Replace(disk.OS{}, path, before, 0o640); err != nil {
				t.Fatal(err)
			}
			var what string
			f := &disktest.Faults{Part: part, Hook: func(c disktest.Call) error {
				if c.Index == broken {
					what = c.What
					return syscall.EIO
				}
				return nil
			}}
			err := disk.ReplaceBy(f, path, 0o640, func(w io.Writer) error {
				for piece := range slices.Chunk(after, 999) {
					if _, err := w.Write(piece); err != nil {
						return err
					}
				}
				return nil
			})
			if what == "" { // there are no more calls
				if err != nil || broken < 6 {
					t.Fatalf("%d calls, %v", broken, err)
				}
				break
			}
			got, _ := os.ReadFile(path)
			if !bytes.Equal(got, before) && !bytes.Equal(got, after) {
				t.Errorf("call %d, %s: %.20q of %d bytes", broken, what, got, len(got))
			}
			if !errors.Is(err, syscall.EIO) && what != "close" { // of the folder
				t.Errorf("call %d, %s: %v", broken, what, err)
			}
			if err == nil && !bytes.Equal(got, after) {
				t.Errorf("call %d, %s: no error, and the old content", broken, what)
			}
			if err := disk.Replace(disk.OS{}, path, after, 0o640); err != nil {
				t.Errorf("after call %d, %s: %v", broken, what, err)
			}
		}
	}
}

// TestReplaceStops: an error of the writer leaves the old file, and nothing beside it.
func TestReplaceStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := disk.Replace(disk.OS{}, path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := disk.ReplaceBy(disk.OS{}, path, 0o600, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return stop
	}); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	names, _ := disk.OS{}.Names(filepath.Dir(path))
	if b, _ := os.ReadFile(path); string(b) != "old" || !slices.Equal(names, []string{"file"}) {
		t.Errorf("%q, beside %q", b, names)
	}
}

// TestReplaceWhatIsInTheWay: what stands where the content is written first is neither
// followed nor waited for, and the mode is that of the call.
func TestReplaceWhatIsInTheWay(t *testing.T) {
	for name, put := range map[string]func(aside, other string) error{
		"link":      func(aside, other string) error { return os.Symlink(other, aside) },
		"hard link": func(aside, other string) error { return os.Link(other, aside) },
		"pipe":      func(aside, _ string) error { return syscall.Mkfifo(aside, 0o600) },
		"remains":   func(aside, _ string) error { return os.WriteFile(aside, []byte("half of it"), 0o444) },
		"folder":    func(aside, _ string) error { return os.Mkdir(aside, 0o700) },
	} {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
		if err := os.WriteFile(other, []byte("of another"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := put(path+".new", other); err != nil {
			t.Fatal(err)
		}
		if err := disk.Replace(disk.OS{}, path, []byte("new"), 0o600); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, _ := os.ReadFile(path)
		o, _ := os.ReadFile(other)
		info, err := os.Lstat(path)
		if string(b) != "new" || string(o) != "of another" || err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %q, the other %q, %v %v", name, b, o, info.Mode(), err)
		}
	}
}

// TestLock: the second gets an error of its own, and the lock ends with the file.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := disk.Lock(disk.OS{}, path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Lock(disk.OS{}, path, 0o600); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("the second: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := disk.Lock(disk.OS{}, path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	broken := &disktest.Faults{Hook: func(c disktest.Call) error {
		if c.What == "lock" {
			return syscall.ENOLCK
		}
		return nil
	}}
	if _, err := disk.Lock(broken, path, 0o600); !errors.Is(err, syscall.ENOLCK) || errors.Is(err, disk.ErrLocked) {
		t.Errorf("a file system without locks: %v", err)
	}
	if _, err := disk.Lock(disk.OS{}, filepath.Join(path, "x"), 0o600); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
