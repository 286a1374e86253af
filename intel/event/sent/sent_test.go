package sent

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
)

var now = time.Date(2026, 11, 30, 13, 0, 0, 0, time.UTC)

func ids(n int, of byte) []uuid.UUID {
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = uuid.UUID{of, byte(i >> 8), byte(i), 15: 1}
	}
	return list
}

func open(t *testing.T, f disk.FS, path string, at time.Time) *Log {
	t.Helper()
	l, err := Open(f, path, 1000, 30*24*time.Hour, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func note(t *testing.T, l *Log, list []uuid.UUID, at time.Time) {
	t.Helper()
	if err := l.Note(list, at); err != nil {
		t.Fatal(err)
	}
}

// TestAge: ids are kept as long as the history, and the file does not grow for ever.
func TestAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sent")
	l := open(t, disk.OS{}, path, now)
	old, new := ids(900, 1), ids(50, 2)
	note(t, l, old, now)
	note(t, l, new, now.Add(29*24*time.Hour))
	for at, want := range map[time.Duration]int{0: 950, 30: 950, 31: 50, 60: 0} {
		l := open(t, disk.OS{}, path, now.Add(at*24*time.Hour))
		if l.Len() != want {
			t.Errorf("after %d days %d ids, want %d", at, l.Len(), want)
		}
		if at == 31 && (l.Has(old[3]) || !l.Has(new[3])) {
			t.Error("the wrong ones are left")
		}
		if want < 950 { // else the order of the map would decide
			_ = os.Remove(path)
			l := open(t, disk.OS{}, path, now)
			note(t, l, old, now)
			note(t, l, new, now.Add(29*24*time.Hour))
		}
	}
	l = open(t, disk.OS{}, path, now)
	for i := range 10 {
		note(t, l, ids(900, byte(10+i)), now.Add(time.Duration(i)*time.Second))
	}
	l = open(t, disk.OS{}, path, now)
	info, _ := os.Stat(path)
	if l.Len() > 1000+900 || l.Len() < 900 || l.Forgotten == 0 || info.Size() > 2*2000*record {
		t.Errorf("%d ids, %d forgotten, file of %d bytes", l.Len(), l.Forgotten, info.Size())
	}
}

// TestDamage: any flipped byte costs one record at most, a cut none but the last.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sent")
	list := ids(20, 1)
	note(t, open(t, disk.OS{}, path, now), list, now)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 0x10
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, disk.OS{}, path, now)
		if l.Len() != 19 || l.Damaged != 1 || l.Has(list[i/record]) {
			t.Fatalf("byte %d: %d ids, %d damaged", i, l.Len(), l.Damaged)
		}
		if again := open(t, disk.OS{}, path, now); again.Damaged != 0 || again.Len() != 19 {
			t.Fatalf("byte %d is still there", i)
		}
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, disk.OS{}, path, now)
		if l.Len() != n/record {
			t.Fatalf("cut at %d: %d ids", n, l.Len())
		}
		note(t, l, ids(1, 9), now)
		if again := open(t, disk.OS{}, path, now); again.Len() != n/record+1 || again.Damaged != 0 {
			t.Fatalf("cut at %d: %d ids after one more", n, again.Len())
		}
	}
}

// TestFaults: whichever call to the disk fails, and however much of a write was made, all ids
// that were noted without an error are there afterwards, and what is noted then is, too.
func TestFaults(t *testing.T) {
	for part := range 60 {
		for at := range 40 {
			path := filepath.Join(t.TempDir(), "sent")
			var on bool
			calls := 0
			f := &disktest.Faults{Part: part, Hook: func(disktest.Call) error {
				if !on {
					return nil
				}
				calls++
				if calls-1 == at {
					return syscall.EIO
				}
				return nil
			}}
			on = true
			noted := map[uuid.UUID]bool{}
			for round := range 4 {
				l, err := Open(f, path, 1000, 30*24*time.Hour, now)
				if err != nil {
					if !errors.Is(err, syscall.EIO) {
						t.Fatal(err)
					}
					continue
				}
				list := ids(2, byte(1+round))
				if l.Note(list, now) == nil {
					noted[list[0]], noted[list[1]] = true, true
				}
				if list = ids(1, byte(100+round)); l.Note(list, now) == nil {
					noted[list[0]] = true
				}
				_ = l.Close()
			}
			on = false
			l := open(t, f, path, now)
			for id := range noted {
				if !l.Has(id) {
					t.Fatalf("call %d, %d bytes: %s is gone", at, part, id)
				}
			}
			if calls <= at {
				break
			}
		}
		if part > 24 {
			break
		}
	}
}
