package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// ways are RenameNew as it is here, and as it is where the kernel has no call for it.
var ways = map[string]func(from, to string) error{
	"this system":  OS{}.RenameNew,
	"without call": func(from, to string) error { return renameByLink(OS{}, from, to) },
}

func TestRenameNew(t *testing.T) {
	for name, rename := range ways {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		if err := os.WriteFile(from, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, put := range map[string]func() error{
			"file":            func() error { return os.WriteFile(to, []byte("old"), 0o600) },
			"link to nowhere": func() error { return os.Symlink(filepath.Join(dir, "gone"), to) },
			"link to itself":  func() error { return os.Symlink(from, to) },
			"folder":          func() error { return os.Mkdir(to, 0o700) },
		} {
			if err := put(); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(to)
			if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: over a %s: %v", name, what, err)
			}
			after, err := os.Lstat(to)
			if b, _ := os.ReadFile(from); err != nil || !os.SameFile(before, after) || string(b) != "new" {
				t.Errorf("%s: the %s was replaced: %v", name, what, err)
			}
			if err := os.Remove(to); err != nil {
				t.Fatal(err)
			}
		}
		if err := rename(from, to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if names, _ := (OS{}).Names(dir); len(names) != 1 || names[0] != "to" {
			t.Errorf("%s: %v", name, names)
		}
		if err := rename(from, to+"2"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: of nothing: %v", name, err)
		}
	}
}

// Of many that take the same name at once, one has it.
func TestRenameNewAtOnce(t *testing.T) {
	for name, rename := range ways {
		dir := t.TempDir()
		var group sync.WaitGroup
		errs := make([]error, 32)
		for i := range errs {
			from := filepath.Join(dir, "from"+string(rune('A'+i)))
			if err := os.WriteFile(from, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			group.Go(func() { errs[i] = rename(from, filepath.Join(dir, "to")) })
		}
		group.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if names, _ := (OS{}).Names(dir); done != 1 || len(names) != len(errs) {
			t.Errorf("%s: %d of %d have the name, %d files", name, done, len(errs), len(names))
		}
	}
}
