package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A steady source gives one datagram every two seconds, each with flows of new contacts, in
// the time of the bubble. There time passes only while all goroutines wait, so that the time
// between two calls of Read is exactly what the worker has waited for others.
type steady struct {
	t       *testing.T
	encoder *synth.Encoder
	end     chan struct{}
	given   time.Time     // when Read returned last
	waited  time.Duration // by the worker, in all
	flows   atomic.Int64
	first   bool
}

const perDatagram = 10

func newSteady(t *testing.T) *steady {
	e, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	return &steady{t: t, encoder: e, end: make(chan struct{}), first: true}
}

func (s *steady) Read(batch []flow.Datagram) (int, error) {
	now := time.Now()
	if !s.first {
		s.waited += now.Sub(s.given)
	}
	s.first = false
	defer func() { s.given = time.Now() }()
	select {
	case <-s.end:
		return 0, net.ErrClosed
	case <-time.After(time.Second):
	}
	if time.Now().Unix()%2 == 0 {
		return 0, nil
	}
	at, n := time.Now(), int(s.flows.Load())
	flows := make([]synth.Flow, perDatagram)
	for i := range flows {
		flows[i] = synth.Flow{
			Src: netip.MustParseAddr("10.0.0.5"), Dst: steadyOutside(n + i), SrcPort: 50000, DstPort: 443, Protocol: 6, TCPFlags: 0x12,
			Packets: 3, Bytes: 300, Start: at, End: at,
		}
	}
	payload, done, err := s.encoder.Encode(nil, flows, at)
	if err != nil || done != perDatagram {
		s.t.Errorf("%d flows, %v", done, err)
	}
	batch[0] = flow.Datagram{Payload: payload, Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: at}
	s.flows.Add(perDatagram)
	return 1, nil
}

// steadyOutside gives addresses from 20.0.0.0 on.
func steadyOutside(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{20 + byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// A slowCard is a disk that takes its time for each call, or hangs for good.
type slowCard struct {
	mu    sync.Mutex
	r     *rand.Rand
	began time.Time // when a merge has first read
	day   int       // writes to a file of a day
	stuck int       // hang from so many of them on; 0 = never
	hung  bool      // a call hangs
	hang  chan struct{}
	calls int
}

func (c *slowCard) call(call disktest.Call) error {
	c.mu.Lock()
	c.calls++
	wait := time.Duration(5+c.r.IntN(16)) * time.Millisecond
	if call.What == "sync" {
		wait *= 10
	}
	if call.What == "read" && c.began.IsZero() {
		c.began = time.Now()
	}
	if call.What == "write" && strings.Contains(filepath.Base(call.Path), "-d-") {
		c.day++
	}
	c.hung = c.hung || c.stuck > 0 && c.day >= c.stuck
	hangs := c.hung
	c.mu.Unlock()
	if hangs {
		<-c.hang
		return errors.New("it has hung")
	}
	time.Sleep(wait)
	return nil
}

func (c *slowCard) hangs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hung
}

// merging reports whether files are being merged, or have been.
func (c *slowCard) merging() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.began.IsZero()
}

// A night is an edge with a worker on a slow card.
type night struct {
	*History
	card   *slowCard
	source *steady
	worker *collect.Worker
	root   string
}

// newNight starts at 16:00 UTC, so that the night has more files than one merge takes.
func newNight(t *testing.T, root string, stuck int) *night {
	t.Helper()
	time.Sleep(16 * time.Hour) // bubbles begin at midnight
	n := &night{card: &slowCard{r: rand.New(rand.NewPCG(1, 15)), stuck: stuck, hang: make(chan struct{})}, source: newSteady(t), root: root}
	cfg := DefaultConfig()
	cfg.MaxBytes, cfg.Flush, cfg.MaxContacts, cfg.MaxContacts6 = 1e9, time.Hour, 49152, 12288 // as configs/edge.yml
	n.History = New(cfg, Deps{
		Root: root, Edge: true, Homes: homes, Sites: []string{""}, Program: "test", Home: "10.0.0.0/8",
		Now: time.Now, Unsynced: func() bool { return false }, Disk: &disktest.Faults{Hook: n.card.call},
		Space: func(string) (uint64, uint64, error) { return 50e9, 100e9, nil },
	})
	n.keep = func(c store.Config) (keeper, error) {
		c.Zone = time.UTC
		return store.Open(c)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	n.worker = collect.NewWorker(n.source, decode.NewExporters(decode.DefaultLimits()), 16, n.Tap())
	n.worker.Start()
	return n
}

// end ends the worker, and compares what it has seen with what was sent.
func (n *night) end(t *testing.T) {
	t.Helper()
	close(n.source.end)
	n.worker.Wait()
	if n.source.waited != 0 {
		t.Errorf("the worker waited for %v", n.source.waited)
	}
	if s := n.Stats().Recorded; int64(s.Kept) != n.source.flows.Load() || s.Lost+s.Folded+s.Internal+s.Excluded+s.NoAddress != 0 {
		t.Errorf("of %d flows: %+v", n.source.flows.Load(), s)
	}
}

// TestMergeOnASlowCard: while the hours of a day are merged on a card that takes 5 to 20 ms for
// each call, no flow is lost and the worker waits for nothing.
func TestMergeOnASlowCard(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	inBubble(t, func(t *testing.T) {
		n := newNight(t, root, 0)
		for !n.card.merging() && n.source.flows.Load() < 10_000_000 {
			time.Sleep(time.Second)
		}
		begin, flows := time.Now(), n.source.flows.Load()
		for n.Stats().Files.Files[2] == 0 && time.Since(begin) < time.Hour {
			time.Sleep(time.Second)
		}
		took, meanwhile := time.Since(begin), n.source.flows.Load()-flows
		if s := n.Stats(); s.Files.Files[2] != 1 || s.Files.Trouble != "" || took < 2*time.Second || meanwhile == 0 {
			t.Errorf("the merge took %v, with %d flows: %+v", took, meanwhile, s)
		}
		time.Sleep(10 * time.Minute)
		n.end(t)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
		kept := n.found(t)
		if kept != n.source.flows.Load() {
			t.Errorf("%d flows in the files, want %d", kept, n.source.flows.Load())
		}
		t.Logf("the merge took %v, with %d flows meanwhile; of %d flows in all each is in the files; %d calls to the disk",
			took, meanwhile, kept, n.card.calls)
	})
}

// inBubble runs f in a bubble of synctest. The compressor keeps what was made there for use
// again, and nobody outside may use it: two collections empty the pools.
func inBubble(t *testing.T, f func(*testing.T)) {
	defer func() {
		runtime.GC()
		runtime.GC()
	}()
	synctest.Test(t, f)
}

// everything asks for all rows.
func everything(emit func(folder.Entry, []row.Row) error) folder.Query {
	return folder.Query{Ranges: span.OfAll([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}), Emit: emit}
}

// found gives the flows in the files, each of a contact of its own.
func (n *night) found(t *testing.T) (flows int64) {
	t.Helper()
	seen := make(map[flow.Addr6]bool)
	done, err := folder.Open(disk.OS{}, n.root).Search(context.Background(), everything(func(_ folder.Entry, rows []row.Row) error {
		for i := range rows {
			if seen[rows[i].Outside] {
				t.Errorf("%v is there twice", rows[i].Outside)
			}
			seen[rows[i].Outside] = true
			flows += int64(rows[i].Flows)
		}
		return nil
	}))
	if err != nil || len(done.Bad) > 0 {
		t.Errorf("%v, %+v", err, done)
	}
	return flows
}

// TestCardHangsInAMerge: a disk that never answers again, from the middle of a merge on, keeps
// no worker waiting: contacts are kept in memory. Questions end with the reason, as does the stop.
func TestCardHangsInAMerge(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	inBubble(t, func(t *testing.T) {
		n := newNight(t, root, 5)
		for !n.card.hangs() && n.source.flows.Load() < 10_000_000 {
			time.Sleep(time.Second)
		}
		flows := n.source.flows.Load()
		time.Sleep(2 * time.Hour) // the next hour ends, which cannot be written
		s := n.Stats()
		// Those of the latest datagram may not be counted yet, before and after.
		if int64(s.Recorded.Kept) < flows+(2*3600/2-2)*perDatagram || s.Recorded.Lost != 0 {
			t.Errorf("%d flows when it hung, now %+v", flows, s.Recorded)
		}
		if !strings.Contains(s.Disk, "no answer for") {
			t.Errorf("nothing names the disk: %q", s.Disk)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := n.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a hunt gets %v", err)
		}
		if _, err := n.Folder().Search(ctx, everything(func(folder.Entry, []row.Row) error { return nil })); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a search that ends gets %v", err)
		}
		begin := time.Now()
		_, err := n.Folder().Search(context.Background(), everything(func(folder.Entry, []row.Row) error { return nil }))
		if err == nil || !strings.Contains(err.Error(), "the disk does not answer: ") || time.Since(begin) > time.Minute {
			t.Errorf("a search gets %v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if _, err := n.Folder().Search(context.Background(), everything(nil)); err == nil || time.Since(begin) != 0 {
			t.Errorf("a further search gets %v after %v", err, time.Since(begin))
		}
		n.end(t)
		begin = time.Now()
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := n.Stop(stop); err == nil || !strings.Contains(err.Error(), "in time") || time.Since(begin) > 6*time.Second {
			t.Errorf("the stop: %v after %v", err, time.Since(begin))
		}
		t.Logf("%d flows when the disk hung, %d kept after it; a search: %v", flows, int64(s.Recorded.Kept)-flows, err)
		close(n.card.hang)
		synctest.Wait()
	})
}
