package store

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// TestMergeDuringSearch: whenever all files are merged while a search is under way, hours first
// or at once to the day, it gives each row once.
func TestMergeDuringSearch(t *testing.T) {
	from := waiting(t, false, 8)
	from.now = from.now.Add(-4 * time.Hour) // hours are due, the day is not
	// One search shows its calls: of those that read, some are moments to be tried.
	var moments []int
	var mu sync.Mutex
	scan := func(w *world, parallel int, hook func(disktest.Call)) {
		d := &disktest.Faults{Hook: func(c disktest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			hook(c)
			return nil
		}}
		got := &world{want: make(map[row.Row]row.Row)}
		done, err := folder.Open(d, w.root).Search(context.Background(), folder.Query{
			Ranges:   span.All(),
			Parallel: parallel,
			Emit: func(_ folder.Entry, rows []row.Row) error {
				got.expect(rows)
				return nil
			},
		})
		if err != nil || len(done.Bad) > 0 {
			t.Fatalf("%v, %+v", err, done)
		}
		same(t, got.want, w.want)
	}
	scan(from, 1, func(c disktest.Call) {
		if c.What != "read" || c.Index%60 == 0 {
			moments = append(moments, c.Index)
		}
	})
	for i, n := range moments {
		if raceDetector && i%5 != 0 {
			continue
		}
		w := copyOf(t, from, new(disktest.Faults))
		w.open()
		scan(w, 1+i%3/2, func(c disktest.Call) {
			switch {
			case c.Index == n && i%2 == 0, c.Index == n+5:
				w.now = w.now.Add(8 * time.Hour)
				w.tidy()
			case c.Index == n:
				w.tidy()
			}
		})
	}
	t.Logf("merged at %d moments", len(moments))
}

func same(t testing.TB, got, want map[row.Row]row.Row) {
	t.Helper()
	for key, r := range want {
		if got[key] != r {
			t.Fatalf("%d rows, want %d; of one\n got %+v\nwant %+v", len(got), len(want), got[key], r)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
}

// TestAllAtOnce: while one goroutine writes, one merges and one erases, each search gives what
// was written before it began, exactly, and nothing twice.
func TestAllAtOnce(t *testing.T) {
	w := newWorld(t, 5, false)
	rounds, flows := 120, 7
	if raceDetector {
		rounds = 40 // 13 hours, of which 12 are merged meanwhile
	}
	marked := func(n int) *table.Table { // interval n has flows on port n
		one := table.New(table.Caps{V4: 1000, V6: 1000})
		var b table.Batch
		for i := range flows {
			b.Outside = append(b.Outside, flow.Addr6Of(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})))
			b.Inside = append(b.Inside, flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})))
			b.Protocol, b.Port = append(b.Protocol, 6), append(b.Port, uint16(n))
			b.Exporter, b.Site, b.Direction, b.Flags = append(b.Exporter, 0), append(b.Site, 0), append(b.Direction, 0), append(b.Flags, 0)
			b.Sampling = append(b.Sampling, 1)
			b.PacketsOut, b.PacketsIn = append(b.PacketsOut, 9), append(b.PacketsIn, 9)
			b.BytesOut, b.BytesIn = append(b.BytesOut, 9), append(b.BytesIn, 9)
			b.First, b.Last = append(b.First, 9), append(b.Last, 9)
		}
		one.Update(&b, 0, false)
		return one
	}
	var mu sync.Mutex // of the clock and of written
	written := 0
	now := w.now
	_ = w.store.Close()
	w.cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	w.cfg.Report = func(warn bool, text string) {
		if warn {
			t.Error(text)
		}
	}
	w.open()
	stop := make(chan struct{})
	var group sync.WaitGroup
	again := func(do func() error) {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	again(func() error { return w.store.Tidy(context.Background()) })
	again(func() error {
		_, _, err := w.store.Erase(context.Background(), []netip.Prefix{netip.MustParsePrefix("198.51.100.6/32")})
		return err
	})
	search := func() error {
		mu.Lock()
		least := written
		mu.Unlock()
		flows := make([]uint32, rounds)
		done, err := w.store.Folder().Search(context.Background(), folder.Query{Ranges: span.All(), Emit: func(_ folder.Entry, rows []row.Row) error {
			for _, r := range rows {
				if r.Outside != flow.Addr6Of(netip.MustParseAddr("198.51.100.6")) {
					flows[r.Port] += r.Flows
				}
			}
			return nil
		}})
		if len(done.Bad) > 0 {
			t.Errorf("bad: %v", done.Bad)
		}
		for n, got := range flows {
			if got != 6 && (n < least || got != 0) {
				t.Errorf("interval %d of %d: %d flows", n, least, got)
			}
		}
		return err
	}
	again(search)
	again(search)
	for n := range rounds {
		mu.Lock()
		now = now.Add(20 * time.Minute)
		at := now
		mu.Unlock()
		if err := w.store.Write(context.Background(), at.Add(-20*time.Minute), at, []*table.Table{marked(n)}, table.Names{}, 0, 0); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		written = n + 1
		mu.Unlock()
	}
	close(stop)
	group.Wait()
	if err := search(); err != nil {
		t.Error(err)
	}
	if s := w.store.Stats(); s.Merges == 0 || s.ErasedRows == 0 {
		t.Errorf("%+v", s)
	}
}
