package store

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// plenty is a file system with room.
func plenty(string) (free, total uint64, err error) { return 100e9, 200e9, nil }

// A world is a history with its own clock, and what must be in it.
type world struct {
	t       testing.TB
	r       *rand.Rand
	root    string
	now     time.Time
	synced  bool
	cfg     Config
	store   *Store
	want    map[row.Row]row.Row // by key
	reports []string
	seen    int // outside addresses
}

func newWorld(t testing.TB, seed uint64, edge bool) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 15)), root: filepath.Join(t.TempDir(), "history"), now: start, synced: true,
		want: make(map[row.Row]row.Row), seen: 300,
	}
	w.cfg = Config{
		Root: w.root, Edge: edge, Disk: new(disktest.Faults), Program: "test", Home: "10.0.0.0/8", Zone: time.UTC, Space: plenty,
		Now: func() time.Time { return w.now }, Synced: func() bool { return w.synced },
		Report: func(warn bool, text string) {
			if warn {
				text = "! " + text
			}
			w.reports = append(w.reports, text)
		},
	}
	w.open()
	return w
}

// open opens the store anew, as after a crash.
func (w *world) open() {
	w.t.Helper()
	if w.store != nil {
		_ = w.store.Close()
	}
	var err error
	if w.store, err = Open(w.cfg); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.store.Close() })
}

var names = table.Names{Exporters: []netip.Addr{{}, netip.MustParseAddr("192.0.2.9")}, Sites: []string{"", "north"}}

// tables makes tables with n flows at a time, and the rows they stand for.
func (w *world) tables(count, n int, at time.Time) (all []*table.Table, rows []row.Row) {
	for range count {
		t := table.New(table.Caps{V4: 1 << 16, V6: 1 << 14})
		var b table.Batch
		for range n {
			outside := flow.Addr6Of(netip.AddrFrom4([4]byte{198, 51, byte(w.r.IntN(w.seen) >> 8), byte(w.r.IntN(w.seen))}))
			if w.r.IntN(6) == 0 {
				outside = flow.Addr6{Hi: 0x20010db8 << 32, Lo: uint64(w.r.IntN(w.seen))}
			}
			b.Outside = append(b.Outside, outside)
			b.Inside = append(b.Inside, flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, 0, byte(w.r.IntN(3))})))
			b.Protocol = append(b.Protocol, 6)
			b.Port = append(b.Port, [...]uint16{53, 443}[w.r.IntN(2)])
			b.Exporter, b.Site = append(b.Exporter, uint16(w.r.IntN(2))), append(b.Site, uint16(w.r.IntN(2)))
			b.Direction, b.Flags = append(b.Direction, row.Outbound), append(b.Flags, row.Answered)
			b.Sampling = append(b.Sampling, 1)
			b.PacketsOut, b.PacketsIn = append(b.PacketsOut, 1+w.r.Uint64N(9)), append(b.PacketsIn, w.r.Uint64N(9))
			b.BytesOut, b.BytesIn = append(b.BytesOut, w.r.Uint64N(1e6)), append(b.BytesIn, w.r.Uint64N(1e6))
			first := uint32(at.Unix()) - uint32(w.r.IntN(600))
			b.First, b.Last = append(b.First, first), append(b.Last, first+uint32(w.r.IntN(600)))
		}
		if done := t.Update(&b, 0, false); done != n {
			w.t.Fatalf("the table took %d of %d flows", done, n)
		}
		all = append(all, t)
		var r table.Rows
		r.Open(t, names)
		for one := (row.Row{}); r.Next(&one); {
			rows = append(rows, one)
		}
	}
	return all, rows
}

// expect adds rows to those that must be there.
func (w *world) expect(rows []row.Row) {
	for _, r := range rows {
		key := keyOf(&r)
		if old, ok := w.want[key]; ok {
			old.Add(&r)
			r = old
		}
		w.want[key] = r
	}
}

func keyOf(r *row.Row) row.Row {
	return row.Row{Outside: r.Outside, Inside: r.Inside, Protocol: r.Protocol, Port: r.Port, Exporter: r.Exporter, Site: r.Site, Direction: r.Direction}
}

// write writes an interval that ends now; what was written is expected.
func (w *world) write(interval time.Duration, count, n int) error {
	tables, rows := w.tables(count, n, w.now)
	err := w.store.Write(context.Background(), w.now.Add(-interval), w.now, tables, names, 1, 2)
	if err == nil {
		w.expect(rows)
	}
	return err
}

func (w *world) tidy() {
	w.t.Helper()
	if err := w.store.Tidy(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// found gives all rows of the history, added up.
func (w *world) found() map[row.Row]row.Row {
	w.t.Helper()
	got := &world{want: make(map[row.Row]row.Row)}
	done, err := folder.Open(disk.OS{}, w.root).Search(context.Background(), folder.Query{
		Ranges: span.All(),
		Emit: func(_ folder.Entry, rows []row.Row) error {
			got.expect(rows)
			return nil
		},
	})
	if err != nil || len(done.Bad) > 0 {
		w.t.Fatalf("search: %v, %v", err, done.Bad)
	}
	return got.want
}

// check compares what is in the history with what must be.
func (w *world) check(when string) {
	w.t.Helper()
	got := w.found()
	for key, want := range w.want {
		if got[key] != want {
			w.t.Fatalf("%s: %d rows, want %d; of one\n got %+v\nwant %+v", when, len(got), len(w.want), got[key], want)
		}
	}
	if len(got) != len(w.want) {
		w.t.Fatalf("%s: %d rows, want %d", when, len(got), len(w.want))
	}
}

// levels lists the files by level, as in "ffh".
func (w *world) levels() string {
	var b []byte
	for _, name := range w.files() {
		n, err := file.ParseName(filepath.Base(name))
		if err == nil {
			b = append(b, byte(n.Level))
		}
	}
	slices.Sort(b)
	return string(b)
}

// files gives all files below the root but the lock.
func (w *world) files() (all []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.root, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			all = append(all, strings.TrimPrefix(path, w.root+"/"))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}
