package fetch

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A faultyDisk fails or delays file operations from the one with the number first on, for
// a while.
type faultyDisk struct {
	mu     sync.Mutex
	n      int // operations so far
	first  int
	length time.Duration
	err    error // nil = the operation takes until the fault is over
	ends   time.Time
	hit    string // the first operation that failed
}

func (d *faultyDisk) before(op, path string) error {
	d.mu.Lock()
	d.n++
	if d.n == d.first && d.hit == "" {
		d.ends = time.Now().Add(d.length)
		d.hit = op + " " + filepath.Base(path)
	}
	ends := d.ends
	d.mu.Unlock()
	if !time.Now().Before(ends) {
		return nil
	}
	if d.err == nil {
		time.Sleep(time.Until(ends))
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: d.err}
}

// faultWorld has a source of every kind of file; each lists addresses of its own.
func faultWorld(t *testing.T, d *faultyDisk) (w *world, listed []netip.Addr) {
	t.Helper()
	start := time.Now()
	w = newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		hour := int(time.Since(start).Hours())
		if strings.HasPrefix(r.Host, "warn") {
			fmt.Fprintf(rw, "61.0.0.0/24\n61.0.%d.0/24\n", hour+1)
			return
		}
		fmt.Fprintf(rw, "62.0.0.1\n63.0.%d.1\n", hour)
	}, spec.Feed{Name: "web", URL: plainURL, Interval: time.Hour})
	dir := t.TempDir()
	drop := filepath.Join(dir, "drop")
	for name, text := range map[string]string{"own.txt": "62.0.1.1\n", "drop/a.txt": "62.0.2.1\n", "drop/b.txt": "62.0.2.2\n", "scan.txt": "61.1.0.0/24\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.cfg.Feeds = append(w.cfg.Feeds, spec.Feed{Name: "own", File: filepath.Join(dir, "own.txt"), Operator: true, Interval: time.Hour}, spec.Feed{Name: "drop", Dir: drop, Interval: time.Hour})
	w.cfg.Warninglists = []spec.Feed{{Name: "warn", URL: "http://warn.example.org/", Class: "infrastructure", Interval: time.Hour},
		{Name: "scan", File: filepath.Join(dir, "scan.txt"), Class: "scanner", Interval: time.Hour}}
	w.disk = &store.Disk{Before: d.before}
	for _, a := range []string{"62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.2.2"} {
		listed = append(listed, netip.MustParseAddr(a))
	}
	return w, listed
}

// life runs two processes on the same state for some hours, with everything that is read
// or written in that time: copies, their replacement, rules that change, a restart.
func life(w *world) {
	w.start()
	w.pass(10 * time.Second)
	_, _ = w.m.Quarantine(netip.MustParsePrefix("63.0.0.1/32"), "too much")
	w.pass(65 * time.Minute)
	w.m.DateChanged()
	w.pass(time.Minute)
	w.start()
	w.pass(70 * time.Minute)
}

// TestEveryFileOperation: whichever file operation fails or hangs, and those after it for
// some seconds or for a minute, what was in force stays in force, and all is OK again by
// itself.
func TestEveryFileOperation(t *testing.T) {
	total := 0
	synctest.Test(t, func(t *testing.T) {
		d := new(faultyDisk)
		w, _ := faultWorld(t, d)
		life(w)
		total = d.n
	})
	if total < 60 {
		t.Fatalf("only %d file operations go through the disk", total)
	}
	faults := map[string]*faultyDisk{
		"EMFILE": {err: syscall.EMFILE, length: 3 * time.Second}, "ENOSPC": {err: syscall.ENOSPC, length: time.Minute},
		"EIO": {err: syscall.EIO, length: time.Millisecond}, "ESTALE": {err: syscall.ESTALE, length: 2 * time.Minute},
		"EACCES": {err: syscall.EACCES, length: 30 * time.Minute}, "hang": {length: time.Minute},
	}
	step := 9
	if raceDetector {
		step = 26 // no multiple: other operations than without
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for first := 1; first <= total; first += step {
				synctest.Test(t, func(t *testing.T) {
					d := &faultyDisk{first: first, err: fault.err, length: fault.length}
					w, listed := faultWorld(t, d)
					w.inForce = listed
					life(w)
					w.pass(3 * time.Hour)
					w.mu.Lock()
					for _, lost := range w.lost {
						t.Errorf("operation %d (%s): %s", first, d.hit, lost)
					}
					w.mu.Unlock()
					for _, a := range listed {
						if !w.lists(a.String()) {
							t.Errorf("operation %d (%s): %s is not listed in the end", first, d.hit, a)
						}
					}
					if !w.table().Outside(netip.MustParseAddr("62.0.0.1")) || w.table().Outside(netip.MustParseAddr("61.0.0.1")) {
						t.Errorf("operation %d (%s): the warninglist is not in force in the end", first, d.hit)
					}
					for _, s := range w.m.Status() {
						if s.Error != "" || s.Unreadable != "" || s.Failures != 0 {
							t.Errorf("operation %d (%s): %s does not recover: %q, %q", first, d.hit, s.Name, s.Error, s.Unreadable)
						}
					}
					w.stop()
					if left, _ := filepath.Glob(filepath.Join(w.dir, ".tmp-*")); len(left) > 1 {
						t.Errorf("operation %d (%s): left over: %v", first, d.hit, left)
					}
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestNoDescriptors: intact copies that cannot be opened for a moment, while a new table is
// made from all of them, stay in force; so does one that the machine cannot read for hours.
func TestNoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "a", URL: "http://a.example.org/", Interval: 24 * time.Hour},
			spec.Feed{Name: "b", URL: "http://b.example.org/b", Interval: 24 * time.Hour})
		d := new(faultyDisk)
		w.disk = &store.Disk{Before: d.before}
		w.start()
		w.pass(time.Minute)
		w.setDown(true)
		ahead := time.Now().Add(time.Hour)
		w.m.mu.Lock()
		w.m.built.at = ahead // as after a date that goes back: all rules are applied anew
		w.m.mu.Unlock()
		d.mu.Lock()
		d.err, d.length, d.first = syscall.EMFILE, 10*time.Second, d.n+1
		d.mu.Unlock()
		w.m.rebuild()
		if s := w.status(); w.live() != 200 || !strings.Contains(s.Unreadable, "too many open files") || s.ReadErrors == 0 {
			t.Errorf("%d entries, want 200; %+v", w.live(), s)
		}
		tables := len(w.tables)
		w.pass(time.Minute)
		if s := w.status(); w.live() != 200 || s.Unreadable != "" || len(w.tables) == tables {
			t.Errorf("not tried again: %d entries, %d tables; %+v", w.live(), len(w.tables), s)
		}
		w.start()
		if w.live() != 200 {
			t.Errorf("%d entries after a restart", w.live())
		}
	})
}

// TestUnreadableAtStart: a start without descriptors forgets neither the copies nor the
// patience that a provider has asked for.
func TestUnreadableAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(goodOf(spec.Feed{Format: "drop-json"})), spec.Feed{Preset: "spamhaus-drop", URL: "http://feeds.example.org/drop.json"})
		w.start()
		w.pass(time.Minute)
		asked := w.asked()
		w.stop()
		d := &faultyDisk{first: 1, err: syscall.EMFILE, length: time.Minute}
		w.disk = &store.Disk{Before: d.before}
		w.start()
		w.pass(30 * time.Minute)
		if w.live() != 100 || w.asked() != asked {
			t.Errorf("%d entries, %d requests; %+v", w.live(), w.asked()-asked, w.status())
		}
	})
}

// TestUnreadableForGood: a copy on a bad sector stays in force and is fetched anew; until
// that has come it stays where it is.
func TestUnreadableForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", `"same"`)
			if r.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			serves(list(100))(rw, r)
		}, spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		path := fileOf(w.m, 0, store.ExtGood)
		w.stop()
		old, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		w.disk = &store.Disk{Before: func(op, at string) error {
			if now, err := os.Stat(at); err == nil && op == "read" && os.SameFile(old, now) {
				return &fs.PathError{Op: op, Path: at, Err: syscall.EIO}
			}
			return nil
		}}
		w.start()
		w.pass(10 * time.Minute)
		if s := w.status(); !strings.Contains(s.Unreadable, "input/output error") {
			t.Errorf("%+v", s)
		}
		if now, err := os.Stat(path); err != nil || !os.SameFile(old, now) {
			t.Error("the copy has been removed, though nobody has read it")
		}
		w.pass(3 * time.Hour)
		if s := w.status(); w.live() != 100 || s.Unreadable != "" || s.Error != "" {
			t.Errorf("%d entries; %+v", w.live(), s)
		}
	})
}

// TestVanishedList: a list that is away for a moment, or that the machine cannot open,
// stays in force, and its error goes when it is back just as it was.
func TestVanishedList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(""))
		dir := t.TempDir()
		path := filepath.Join(dir, "own.txt")
		if err := os.WriteFile(path, []byte("62.0.0.1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
		w.cfg.Feeds = []spec.Feed{{Name: "own", File: path}, {Name: "dir", Dir: filepath.Join(dir, "drop")}}
		if err := os.Mkdir(w.cfg.Feeds[1].Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Minute)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s := w.status(); !w.lists("62.0.0.1") || !strings.Contains(s.Error, "no such file") {
			t.Errorf("%+v", s)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s := w.status(); !w.lists("62.0.0.1") || s.Error != "" || s.Failures != 0 {
			t.Errorf("the error stays: %+v", s)
		}
	})
}

// TestAcceptWithoutRemoval: what is accepted is in use, though the held copy cannot be
// removed, and stays so after a restart.
func TestAcceptWithoutRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.disk = &store.Disk{Before: func(op, path string) error {
			if op == "remove" && filepath.Ext(path) == store.ExtHeld {
				return &fs.PathError{Op: op, Path: path, Err: syscall.EACCES}
			}
			return nil
		}}
		w.start()
		w.pass(time.Minute)
		w.answer(serves(list(20)))
		w.pass(2 * time.Hour)
		if err := w.m.Accept("f"); err != nil || w.live() != 20 {
			t.Errorf("%v, %d entries in force", err, w.live())
		}
		w.start()
		if s := w.status(); w.live() != 20 || s.Held != "" {
			t.Errorf("after a restart: %d entries, %+v", w.live(), s)
		}
	})
}

func (w *world) table() *lookup.Table {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tables[len(w.tables)-1]
}
