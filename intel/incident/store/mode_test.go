package store

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMode: nobody but our user and group may read who was in contact with whom, whatever the
// umask is, in a new file and in one that was there.
func TestMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "incidents.db")
	for range 2 {
		s, err := Open(t.Context(), Config{Path: path, Keep: 1 << 50, KeepJudged: 1 << 50, Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) < 2 {
			t.Errorf("%v, %v", files, err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
