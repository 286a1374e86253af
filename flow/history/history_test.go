package history

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// homes has 10.0.0.0/8 as ours.
var homes = []home.Home{home.New(home.NewNetworks([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}), nil)}

// files are a store that keeps rows in memory. Each contact of the tests is written once.
type files struct {
	mu     sync.Mutex
	seen   map[flow.Addr6]bool
	flows  int
	spans  [][2]time.Time
	twice  int
	tidied int
	lost   uint64 // flows, as the files have it
	fails  error
	hangs  chan struct{} // until it is closed; nil = it does not
}

func (f *files) Write(ctx context.Context, from, to time.Time, tables []*table.Table, names table.Names, lost, _ uint64) error {
	f.mu.Lock()
	hangs := f.hangs
	f.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return f.fails
	}
	f.spans = append(f.spans, [2]time.Time{from, to})
	f.lost += lost
	for _, t := range tables {
		var rows table.Rows
		rows.Open(t, names)
		for x := (row.Row{}); rows.Next(&x); {
			if f.seen[x.Outside] {
				f.twice++
			}
			f.seen[x.Outside] = true
			f.flows += int(x.Flows)
		}
	}
	return nil
}

func (f *files) set(fails error, hangs chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails, f.hangs = fails, hangs
}

// count is the number of flows that were written.
func (f *files) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flows - 1000*f.twice
}

func (f *files) Reconfigure(time.Duration, int64)                            {}
func (f *files) Folder() *folder.Folder                                      { return folder.Open(nil, "") }
func (f *files) Stats() store.Stats                                          { return store.Stats{} }
func (f *files) Close() error                                                { return nil }
func (f *files) Count(context.Context, []netip.Prefix) (int64, int64, error) { return 0, 0, nil }

func (f *files) Tidy(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tidied++
	return nil
}

func (f *files) Erase(_ context.Context, prefixes []netip.Prefix) (int64, int64, error) {
	return int64(len(prefixes)), int64(f.count()), nil
}

// A rig is a history with workers that the test drives.
type rig struct {
	*History
	t       *testing.T
	root    string
	files   *files
	clock   atomic.Int64 // what the wall clock is off
	mu      sync.Mutex
	news    []string
	workers []*worker
	sent    int // flows
}

// A worker flushes its tap once a second.
type worker struct {
	tap  collect.Tap
	mu   disk.Gate // held while the worker turns, or hangs
	end  chan struct{}
	done chan struct{}
}

func (w *worker) run() {
	defer close(w.done)
	for {
		select {
		case <-w.end:
			return
		case <-time.After(time.Second):
		}
		w.mu.Lock()
		w.tap.(collect.Flusher).Flush()
		w.mu.Unlock()
	}
}

// newRig starts a history with so many workers in a folder. Stopping is for the test.
func newRig(t *testing.T, root string, workers int, change func(*Config, *Deps)) *rig {
	t.Helper()
	r := &rig{t: t, root: root, files: &files{seen: make(map[flow.Addr6]bool)}}
	cfg := DefaultConfig()
	cfg.MaxBytes = 1e9
	d := Deps{
		Root: root, Homes: homes, Sites: []string{""}, Program: "test", Home: "10.0.0.0/8",
		Now: r.now, Unsynced: func() bool { return false },
		Note: func(warn bool, text string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.news = append(r.news, text)
		},
		Space: func(string) (uint64, uint64, error) { return 50e9, 100e9, nil },
	}
	if change != nil {
		change(&cfg, &d)
	}
	r.History = New(cfg, d)
	r.keep = func(store.Config) (keeper, error) { return r.files, nil }
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	for range workers {
		w := &worker{tap: r.Tap(), mu: disk.NewGate(), end: make(chan struct{}), done: make(chan struct{})}
		r.workers = append(r.workers, w)
		go w.run()
	}
	return r
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }

// outside gives addresses that are not ours, one after the other.
func outside(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, byte(18 + n>>16), byte(n >> 8), byte(n)})
}

// send has a worker see n flows of contacts that there have not been yet, all answered.
func (r *rig) send(worker, n int) {
	w := r.workers[worker]
	w.mu.Lock()
	defer w.mu.Unlock()
	var records []flow.Record
	for range n {
		at := r.now()
		records = append(records, flow.Record{
			Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1")}, Received: at, Start: at, End: at,
			Src: netip.MustParseAddr("10.0.0.5"), Dst: outside(r.sent), SrcPort: 50000, DstPort: 443, Protocol: 6, TCPFlags: 0x12,
			Packets: 3, Bytes: 300, Has: flow.HasProtocol | flow.HasPackets | flow.HasBytes | flow.HasSrcPort | flow.HasDstPort,
		})
		r.sent++
	}
	var s decode.Set
	for part := range slices.Chunk(records, 30) {
		s.Fill(part)
		w.tap.Records(&s)
	}
	w.tap.(collect.Flusher).Flush()
}

// stopWorkers ends the workers, as the listeners do before the history.
func (r *rig) stopWorkers() {
	for _, w := range r.workers {
		close(w.end)
		<-w.done
	}
	r.workers = nil
}

// stop stops all.
func (r *rig) stop(limit time.Duration) error {
	r.stopWorkers()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return r.Stop(ctx)
}

// said reports how often there was news with a text.
func (r *rig) said(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.news {
		if strings.Contains(s, text) {
			n++
		}
	}
	return n
}

func (r *rig) expect(what string, flows int) {
	r.t.Helper()
	if n := r.files.count(); n != flows {
		r.t.Errorf("%s: %d flows in files, want %d", what, n, flows)
	}
}

// wait lets time pass and everything come to rest.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestIntervals: each interval becomes a file, idle workers keep none waiting, and the stop
// writes what there is.
func TestIntervals(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, root, 4, nil)
		begin := time.Now()
		for i := range 3 {
			r.send(i, 100)
			wait(10*time.Minute + 2*time.Second)
			r.expect(fmt.Sprint("interval ", i), 100*(i+1))
			if until := r.Written(); time.Since(until) > 10*time.Second {
				t.Errorf("complete until %v, it is %v", until, time.Now())
			}
		}
		r.send(3, 77)
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		r.expect("after the stop", 377)
		if took := time.Since(begin); took > 31*time.Minute {
			t.Errorf("it took %v: something waits in vain", took)
		}
		if s := r.Stats(); s.Unwritten != 0 || s.Trouble != "" || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestNoIntervalCrossesTheHour: what is counted by the hour must not depend on when the
// program was started, or on how long intervals are.
func TestNoIntervalCrossesTheHour(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(7 * time.Minute)
		r := newRig(t, root, 1, nil)
		for range 12 * 130 {
			r.send(0, 1)
			wait(5 * time.Second)
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		r.files.mu.Lock()
		defer r.files.mu.Unlock()
		for _, s := range r.files.spans {
			if over := s[1].Sub(s[1].Truncate(time.Hour)); otherHour(s[0], s[1]) && over > 2*time.Second {
				t.Errorf("an interval from %v to %v", s[0], s[1])
			}
		}
		if n := len(r.files.spans); n < 13 || n > 15 {
			t.Errorf("%d intervals in 130 minutes", n)
		}
	})
}

// TestFlushBesideFullTables: files of full tables, of one worker each, do not stand for a
// flush of everything.
func TestFlushBesideFullTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, func(c *Config, _ *Deps) { c.MaxContacts = 1024 })
		r.send(1, 5)
		for n := 0; n < 20_000 && r.files.count() == 0; n += 100 {
			r.send(0, 100)
			synctest.Wait()
		}
		if r.files.count() == 0 {
			t.Fatal("no table was full")
		}
		asked := time.Now()
		if rest := r.Rests(); rest != 0 {
			t.Errorf("the next flush is in %v", rest)
		}
		until, err := r.Flush(t.Context())
		if err != nil || until.Before(asked) {
			t.Errorf("complete until %v, %v; asked at %v", until, err, asked)
		}
		r.expect("after the flush", r.sent)
		if rest := r.Rests(); rest <= 50*time.Second || rest > time.Minute {
			t.Errorf("the next flush is in %v", rest)
		}
		wait(time.Minute)
		if rest := r.Rests(); rest != 0 {
			t.Errorf("a minute later the next flush is in %v", rest)
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestFlush: a hunt gets what is in memory, but not more often than once a minute.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, nil)
		if _, err := r.Flush(t.Context()); err != nil { // there is nothing to write, so this does not count
			t.Error(err)
		}
		r.send(0, 10)
		asked := time.Now()
		until, err := r.Flush(t.Context())
		if err != nil || until.Before(asked) {
			t.Errorf("complete until %v, %v; asked at %v", until, err, asked)
		}
		r.expect("the first", 10)
		r.send(1, 10)
		again, err := r.Flush(t.Context())
		if err != nil || !again.Equal(until) {
			t.Errorf("complete until %v, %v; want %v", again, err, until)
		}
		r.expect("at once again", 10)
		wait(time.Minute)
		if until, err = r.Flush(t.Context()); err != nil || !until.After(again) {
			t.Errorf("complete until %v, %v", until, err)
		}
		r.expect("a minute later", 20)
		r.send(1, 10)
		if _, n, err := r.Erase(t.Context(), []netip.Prefix{netip.PrefixFrom(outside(0), 32)}); err != nil || n != 30 {
			t.Errorf("%d flows were on the disk before the erasure, want 30; %v", n, err)
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		if _, err := r.Flush(t.Context()); err != ErrStopped {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// TestDiskFails: while the disk takes nothing all contacts stay in memory; they are written
// once when it does again, it is made known once, and the check names it.
func TestDiskFails(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EROFS} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, nil)
			r.send(0, 50)
			wait(11 * time.Minute)
			r.files.set(cause, nil)
			for range 3 {
				r.send(0, 50)
				r.send(1, 50)
				wait(10 * time.Minute)
			}
			r.expect("while it fails", 50)
			if s := r.Stats(); s.Trouble != cause.Error() || s.Waiting == 0 {
				t.Errorf("%v: %+v", cause, s)
			}
			r.files.set(nil, nil)
			wait(12 * time.Minute)
			r.expect("when it works again", r.sent)
			if s := r.Stats(); s.Trouble != "" || s.Waiting != 0 {
				t.Errorf("%v: %+v", cause, s)
			}
			if err := r.stop(5 * time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStopFails: what cannot be written at the stop is counted and in the error.
func TestStopFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, nil)
		r.send(0, 30)
		r.send(1, 30)
		r.files.set(syscall.ENOSPC, nil)
		if err := r.stop(5 * time.Second); err == nil || !strings.Contains(err.Error(), "60 flows could not be written") {
			t.Errorf("%v", err)
		}
		if s := r.Stats(); s.Unwritten != 60 {
			t.Errorf("%+v", s)
		}
	})
}

// TestDiskHangs: a call that never returns keeps neither the workers nor the stop waiting,
// and is named.
func TestDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, nil)
		hang := make(chan struct{})
		r.files.set(nil, hang)
		r.send(0, 10)
		wait(11 * time.Minute)
		begin := time.Now()
		r.send(0, 10)
		if time.Since(begin) > 0 {
			t.Error("a worker waits")
		}
		begin = time.Now()
		if err := r.stop(5 * time.Second); err == nil || !strings.Contains(err.Error(), "in time") {
			t.Errorf("the stop: %v", err)
		}
		if took := time.Since(begin); took > 7*time.Second {
			t.Errorf("the stop took %v", took)
		}
		close(hang)
		synctest.Wait()
	})
}

// TestWorkerHangs: the tables of the others are written, and the history is not called
// complete until the one that hangs has handed its own over.
func TestWorkerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, nil)
		r.send(0, 10)
		r.send(1, 10)
		r.workers[1].mu.Lock()
		wait(10*time.Minute + 10*time.Second)
		r.expect("while one hangs", 10)
		if until := r.Written(); !until.IsZero() {
			t.Errorf("complete until %v", until)
		}
		if _, _, err := r.Erase(t.Context(), []netip.Prefix{netip.PrefixFrom(outside(0), 32)}); err != errLate {
			t.Errorf("an erasure that misses what one has in memory: %v", err)
		}
		r.workers[1].mu.Unlock()
		wait(5 * time.Second)
		r.expect("as it goes on", 20)
		wait(11 * time.Minute)
		if until := r.Written(); time.Since(until) > 11*time.Minute {
			t.Errorf("complete until %v", until)
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestReload: the history can be switched on and off, and other keys hold at once.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, func(c *Config, _ *Deps) { c.Enabled = false })
		set := func(change func(*Config)) {
			cfg := r.config()
			change(&cfg)
			if err := r.Reconfigure(cfg); err != nil {
				t.Fatal(err)
			}
			wait(2 * time.Second)
		}
		r.send(0, 10)
		if _, err := r.Flush(t.Context()); err != ErrOff {
			t.Errorf("flush while off: %v", err)
		}
		if r.Folder() != nil || r.Stats().Enabled {
			t.Error("on, want off")
		}
		set(func(c *Config) { c.Enabled = true })
		if r.Folder() == nil || !r.Stats().Enabled {
			t.Error("off, want on")
		}
		r.send(0, 10)
		set(func(c *Config) { c.Enabled = false })
		r.expect("switched off", 10)
		r.send(1, 10)
		set(func(c *Config) { c.Enabled, c.Flush = true, time.Minute })
		r.send(1, 10)
		wait(63 * time.Second)
		r.expect("a shorter interval", 20)
		set(func(c *Config) { c.Exclude = []netip.Prefix{netip.PrefixFrom(outside(r.sent), 32)} })
		r.send(0, 3)
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		r.expect("at the end, one excluded", 22)
	})
}

// TestClockJumps: contacts from before and after a jump of a year are all there, in files of
// their own.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 2, nil)
		for i, jump := range []time.Duration{0, year, -year, -year, year, 40 * time.Minute, -time.Hour} {
			r.clock.Add(int64(jump))
			wait(5 * time.Second)
			r.send(i%2, 10)
			wait(3 * time.Minute)
		}
		wait(11 * time.Minute)
		r.expect("after the jumps", r.sent)
		for i, f := range r.files.spans {
			if length := f[1].Sub(f[0]); length > 11*time.Minute && length < 39*time.Minute || length <= 0 {
				t.Errorf("file %d is from %v to %v", i, f[0], f[1])
			}
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		r.expect("after the stop", r.sent)
	})
}

// TestNotice: what is kept is made known once, and beside the files.
func TestNotice(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	for i := range 2 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, root, 0, nil)
			if n := r.said("personal data"); n != 1-i {
				t.Errorf("start %d: made known %d times", i, n)
			}
			if err := r.stop(time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	b, err := os.ReadFile(filepath.Join(root, NoticeName))
	if err != nil || !strings.Contains(string(b), "history.exclude") || !strings.Contains(string(b), "30 days") || !strings.Contains(string(b), "1GB") {
		t.Errorf("%q, %v", b, err)
	}
}

// TestNoRoom: a small file system gets no history, with a word; a size that is set does.
func TestNoRoom(t *testing.T) {
	small := func(c *Config, d *Deps) {
		c.MaxBytes = 0
		d.Space = func(string) (uint64, uint64, error) { return 40e6, 40e6, nil }
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, small)
		wait(5 * time.Minute)
		if s := r.Stats(); r.Folder() != nil || s.Enabled || !strings.Contains(s.Off, "has only 40 MB") || r.said("has only 40 MB") != 1 {
			t.Errorf("%+v, news %q", s, r.news)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestPressure: when memory is short tables are written early, once a minute at most.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var short atomic.Bool
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, func(_ *Config, d *Deps) { d.Pressure = short.Load })
		r.send(0, 10)
		short.Store(true)
		wait(70 * time.Second)
		r.expect("memory is short", 10)
		r.send(0, 10)
		wait(30 * time.Second)
		r.expect("and still", 10)
		wait(time.Minute)
		r.expect("a minute later", 20)
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestGiveUp: contacts that cannot be written for a day are given up and counted, and newer
// ones are written when that is possible again.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, nil)
		r.send(0, 40)
		r.files.set(syscall.EIO, nil)
		wait(25 * time.Hour)
		if s := r.Stats(); s.Unwritten != 40 {
			t.Errorf("%+v", s)
		}
		r.send(0, 5)
		r.files.set(nil, nil)
		wait(12 * time.Minute)
		r.expect("afterwards", 5)
		if r.files.lost != 40 {
			t.Errorf("files have it that %d flows are missing, want 40", r.files.lost)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestTidyGoesOn: files are removed for their age also while nothing is received, and while
// nothing can be written, for that may be what makes room.
func TestTidyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, nil)
		wait(time.Hour + time.Minute)
		idle := r.files.tidied
		r.files.set(syscall.ENOSPC, nil)
		r.send(0, 10)
		wait(time.Hour)
		if full := r.files.tidied - idle; idle < 6 || full < 6 {
			t.Errorf("tidied up %d times in an hour without flows, %d times in an hour with a full disk", idle, full)
		}
		if err := r.stop(5 * time.Second); err == nil {
			t.Error("no error")
		}
	})
}

// TestGiveUpLongInterval: tables are kept for a day after the first attempt to write them, however
// long they took to fill.
func TestGiveUpLongInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, func(c *Config, _ *Deps) { c.Flush = mostFlush })
		r.send(0, 40)
		r.files.set(syscall.EIO, nil)
		wait(mostFlush + time.Hour)
		r.files.set(nil, nil)
		wait(2 * time.Minute)
		r.expect("after an hour", 40)
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestStartOnHangingDisk: a folder that cannot be opened now does not keep the start waiting;
// contacts are kept once it is.
func TestStartOnHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		begin := time.Now()
		r := newRig(t, filepath.Join(t.TempDir(), "history"), 1, func(c *Config, d *Deps) {
			c.MaxBytes = 0
			d.Space = func(string) (uint64, uint64, error) {
				<-hang
				return 50e9, 100e9, nil
			}
		})
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the start took %v", took)
		}
		if s := r.Stats(); s.Enabled || !strings.Contains(s.Off, "being opened") {
			t.Errorf("%+v", s)
		}
		close(hang)
		wait(time.Second)
		r.send(0, 10)
		if s := r.Stats(); !s.Enabled || s.Off != "" {
			t.Errorf("%+v", s)
		}
		if err := r.stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		r.expect("after the stop", 10)
	})
}

// TestOwnFileSystem: the size by default is by the file system of the folder, which may be one of
// its own; before the folder is there, by that above.
func TestOwnFileSystem(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	for _, want := range []uint64{2e9, 10e9} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, root, 0, func(c *Config, d *Deps) {
				c.MaxBytes = 0
				d.Space = func(path string) (uint64, uint64, error) {
					if path != root {
						return 9e9, 10e9, nil
					}
					if _, err := os.Stat(root); err != nil {
						return 0, 0, err
					}
					return 45e9, 50e9, nil
				}
			})
			if s := r.Stats(); s.MaxBytes != want {
				t.Errorf("%d bytes, want %d", s.MaxBytes, want)
			}
			if err := r.stop(time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}
