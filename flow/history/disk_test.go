package history

import (
	"context"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// A real is a history with the real store and one worker, on a disk that fails on demand.
type real struct {
	*History
	t     *testing.T
	root  string
	tap   collect.Tap
	end   chan struct{}
	ended chan struct{}
	turn  disk.Gate
	clock atomic.Int64 // what the wall clock is off
	fails atomic.Pointer[func(disktest.Call) error]
	sent  int
}

func newReal(t *testing.T, root string) *real {
	t.Helper()
	r := &real{t: t, root: root, end: make(chan struct{}), ended: make(chan struct{}), turn: disk.NewGate()}
	faults := &disktest.Faults{Hook: func(c disktest.Call) error {
		if f := r.fails.Load(); f != nil {
			return (*f)(c)
		}
		return nil
	}}
	cfg := DefaultConfig()
	cfg.MaxBytes = 1e9
	r.History = New(cfg, Deps{
		Root: root, Homes: homes, Sites: []string{""}, Program: "test", Home: "10.0.0.0/8",
		Now: r.now, Unsynced: func() bool { return r.clock.Load() != 0 }, Disk: faults,
		Space: func(string) (uint64, uint64, error) { return 50e9, 100e9, nil },
	})
	r.patience = 200 * time.Millisecond // the worker turns far more often
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.tap = r.Tap()
	go func() {
		defer close(r.ended)
		for {
			select {
			case <-r.end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			r.turn.Lock()
			r.tap.(collect.Flusher).Flush()
			r.turn.Unlock()
		}
	}()
	return r
}

func (r *real) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }

// send has the worker see n flows of new contacts.
func (r *real) send(n int) {
	r.turn.Lock()
	defer r.turn.Unlock()
	var s decode.Set
	for range n {
		at := r.now()
		s.Fill([]flow.Record{{
			Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1")}, Received: at, Start: at, End: at,
			Src: netip.MustParseAddr("10.0.0.5"), Dst: outside(r.sent), SrcPort: 50000, DstPort: 443, Protocol: 6, TCPFlags: 0x12,
			Packets: 3, Bytes: 300, Has: flow.HasProtocol | flow.HasPackets | flow.HasBytes | flow.HasSrcPort | flow.HasDstPort,
		}})
		r.tap.Records(&s)
		r.sent++
	}
	r.tap.(collect.Flusher).Flush()
}

// flush has everything written, now.
func (r *real) flush() error {
	_, err := r.ask(context.Background(), true)
	return err
}

func (r *real) stop() error {
	close(r.end)
	<-r.ended
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.Stop(ctx)
}

// expect compares the files with what was sent up to a number, each contact once.
func (r *real) expect(what string, sent int) {
	r.t.Helper()
	seen := make(map[flow.Addr6]int)
	done, err := folder.Open(disk.OS{}, r.root).Search(context.Background(), folder.Query{
		Ranges: span.OfAll([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}),
		Emit: func(_ folder.Entry, rows []row.Row) error {
			for i := range rows {
				seen[rows[i].Outside] += int(rows[i].Flows)
			}
			return nil
		},
	})
	if err != nil || len(done.Bad) > 0 {
		r.t.Errorf("%s: %v, %+v", what, err, done)
	}
	for i := range sent {
		if n := seen[flow.Addr6Of(outside(i))]; n != 1 {
			r.t.Errorf("%s: contact %d of %d is there %d times", what, i, sent, n)
			return
		}
	}
	if len(seen) != sent {
		r.t.Errorf("%s: %d contacts, want %d", what, len(seen), sent)
	}
}

// TestRealDisk: whatever the disk refuses, and for however many attempts, each contact is in
// the files once when it is well again.
func TestRealDisk(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	r := newReal(t, root)
	for _, what := range []string{"mkdir", "open", "write", "sync", "rename", "close"} {
		r.send(50)
		f := func(c disktest.Call) error {
			if c.What == what && strings.HasPrefix(c.Path, root) {
				return &fs.PathError{Op: what, Path: c.Path, Err: syscall.ENOSPC}
			}
			return nil
		}
		r.fails.Store(&f)
		for range 2 {
			if err := r.flush(); err == nil && what != "close" && what != "mkdir" {
				t.Errorf("%s fails, and no error", what)
			}
			r.send(5)
		}
		r.fails.Store(nil)
		if err := r.flush(); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
		if err := r.flush(); err != nil { // what the worker kept while its table was away
			t.Errorf("after %s: %v", what, err)
		}
		r.expect("after "+what, r.sent)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	r.expect("after the stop", r.sent)
}

// TestRealClock: contacts from before and after jumps of a year both ways are all there, also
// after a restart, and none is removed for its age.
func TestRealClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	root := filepath.Join(t.TempDir(), "history")
	sent := 0
	for range 2 {
		r := newReal(t, root)
		r.sent = sent
		for _, jump := range []time.Duration{0, year, -2 * year, year, time.Hour, -time.Hour} {
			r.clock.Add(int64(jump))
			r.send(20)
			if err := r.flush(); err != nil {
				t.Error(err)
			}
			r.expect(jump.String(), r.sent)
		}
		r.send(3)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		sent = r.sent
		r.expect("after the stop", sent)
	}
}
