//go:build soak

package day

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A sample is what a process holds.
type sample struct{ memory, files, goroutines int }

func (s *site) sample(t *testing.T) sample {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var st status
	if !s.Status(t, &st) {
		t.Fatal("no status")
	}
	return sample{s.counter(t, "status", "RssAnon") << 10, len(files), st.Memory.Goroutines}
}

// written is what the process has caused to be written to the disk, bytes; the kernel
// counts whole pages.
func (s *site) written(t *testing.T) int {
	t.Helper()
	return s.counter(t, "io", "write_bytes")
}

// state is the size of the files that are written again and again, whole pages each: all
// beside the hit log in the state directory itself.
func (s *site) state(t *testing.T) (bytes int) {
	t.Helper()
	return s.size(t, s.Dir, func(name string) bool {
		return !strings.HasPrefix(name, "hits.json") && name != filepath.Base(s.Config)
	})
}

// copied is the size of the copies of feeds.
func (s *site) copied(t *testing.T) (bytes int) {
	t.Helper()
	return s.size(t, filepath.Join(s.Dir, "feeds"), func(string) bool { return true })
}

func (s *site) size(t *testing.T, dir string, counts func(name string) bool) (bytes int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() && counts(f.Name()) {
			t.Logf("%s: %d bytes", f.Name(), info.Size())
			page := int64(os.Getpagesize())
			bytes += int((info.Size() + page - 1) / page * page)
		}
	}
	return bytes
}

// counter reads one line of a file in /proc.
func (s *site) counter(t *testing.T, file, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.PID(), file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key+":" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/%d/%s", key, s.PID(), file)
	return 0
}

// flat holds the median of the last third against that of the middle third. The bounds
// are generous: what leaks grows by more in hundreds of thousands of flows.
func flat(t *testing.T, all []sample) {
	t.Helper()
	third := len(all) / 3
	for _, f := range []struct {
		name  string
		of    func(sample) int
		slack int
	}{
		{"bytes of memory", func(s sample) int { return s.memory }, 8 << 20},
		{"file descriptors", func(s sample) int { return s.files }, 2},
		{"goroutines", func(s sample) int { return s.goroutines }, 3},
	} {
		middle, last := median(all[third:2*third], f.of), median(all[2*third:], f.of)
		t.Logf("%s: %d in the middle third, %d in the last", f.name, middle, last)
		if last > middle+middle/20+f.slack {
			t.Errorf("%s grow from %d to %d", f.name, middle, last)
		}
	}
}

func median(all []sample, of func(sample) int) int {
	var values []int
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// needDisk: what goes to a file system in memory is not counted.
func needDisk(t *testing.T) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		t.Fatalf("%s is in memory: name a folder on a disk in TMPDIR", os.TempDir())
	}
}
