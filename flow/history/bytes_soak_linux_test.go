//go:build soak

package history

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow/history/monthtest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// bytesPerDay is what the history of a Raspberry Pi may write to its card in a day.
const bytesPerDay = 100_000_000

// TestBytesPerDay writes a day of a Raspberry Pi that receives 300 flows/s, as 24 hours and with
// the merge at night, and compares what the kernel has counted as written by this process with
// the budget. The metadata of the file system is not in that count.
func TestBytesPerDay(t *testing.T) {
	const flows = 300 * 86400
	for _, tt := range []struct {
		name   string
		rows   int  // of a day
		folds  bool // contacts of scanners, as the program does
		budget int64
	}{
		{"25 flows per contact, nothing folded", flows / 25, false, bytesPerDay},
		{"25 flows per contact", flows / 25, true, bytesPerDay},
		{"8 flows per contact", flows / 8, true, 0}, // no budget: how a busier site compares
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "history")
			var where unix.Statfs_t
			if err := unix.Statfs(filepath.Dir(root), &where); err != nil || where.Type == unix.TMPFS_MAGIC {
				t.Skipf("SKIPPED: %s is not on a disk (%v); set TMPDIR", root, err)
			}
			notice(t, root)
			c := card{root: root, hours: hoursOf(tt.rows, tt.folds)}
			c.open(t)
			const begin = 5 // o'clock, when the night is over
			for hour := range begin {
				c.hour(t, hour)
			}
			before, counted := writeBytes(t), c.store.Stats()
			c.files = 0
			for hour := begin; hour < begin+24; hour++ {
				c.hour(t, hour)
			}
			written, s := writeBytes(t)-before, c.store.Stats()
			if s.Files[2] != 1 || s.Trouble != "" {
				t.Fatalf("the day was not merged: %+v", s)
			}
			t.Logf("%.1f MB written in a day (budget at 25 flows per contact: %d MB): %d rows in %d files, and %d merges; the file of the day has %.1f MB",
				float64(written)/1e6, bytesPerDay/1_000_000, s.Rows-counted.Rows, c.files, s.Merges-counted.Merges, float64(c.size(t))/1e6)
			if tt.budget > 0 && written > tt.budget {
				t.Errorf("%d bytes written, more than %d", written, tt.budget)
			}
			if written < c.size(t) {
				t.Errorf("%d bytes written, and the day has %d: the count is wrong", written, c.size(t))
			}
		})
	}
}

// notice makes the folder as the program does, with all that is in it beside contacts.
func notice(t *testing.T, root string) {
	h := New(DefaultConfig(), Deps{Root: root, Edge: true, Homes: homes, Sites: []string{""}, Now: time.Now, Unsynced: func() bool { return false }})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, NoticeName)); err != nil {
		t.Fatal(err)
	}
}

// firstDay is the one that is measured.
var firstDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// hoursOf gives the rows of the hours of a day and of the night after it, each in the order of
// time. A contact of several hours has a row in each of them.
func hoursOf(rows int, folds bool) (hours [29][]row.Row) {
	m := monthtest.Month{Seed: 15, Start: firstDay, Rows: rows}
	for day := range 2 {
		_ = m.Day(day, func(part []row.Row) error { // its error is that of the function
			for i := range part {
				r := &part[i]
				if r.Direction == row.Inbound && !folds {
					// So many packets are not folded.
					r.PacketsIn, r.BytesIn = 4*r.PacketsIn, 4*r.BytesIn
				}
				for _, one := range hourly(r) {
					if at := int(one.First-uint32(firstDay.Unix())) / 3600; at < len(hours) {
						hours[at] = append(hours[at], one)
					}
				}
			}
			return nil
		})
	}
	for _, list := range hours {
		slices.SortFunc(list, func(a, b row.Row) int { return cmp.Compare(a.First, b.First) })
	}
	return hours
}

// hourly gives the rows of a contact in the hours in which it had flows.
func hourly(r *row.Row) (list []row.Row) {
	first, last := r.First/3600, r.Last/3600
	n := min(last-first+1, r.Flows)
	for i := range n {
		one, hour := *r, first+i*(last-first)/max(1, n-1)
		one.First, one.Last = max(r.First, hour*3600), min(r.Last, hour*3600+3599)
		one.Flows, one.PacketsOut, one.PacketsIn = r.Flows/n, r.PacketsOut/uint64(n), r.PacketsIn/uint64(n)
		one.BytesOut, one.BytesIn = r.BytesOut/uint64(n), r.BytesIn/uint64(n)
		list = append(list, one)
	}
	return list
}

// A card has the files of an edge, and a clock of its own.
type card struct {
	root  string
	hours [29][]row.Row
	store *store.Store
	table *table.Table
	names table.Names
	now   time.Time
	files int // written by hours
}

func (c *card) open(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxContacts, cfg.MaxContacts6 = 49152, 12288 // as configs/edge.yml
	c.now, c.table = firstDay, table.New(cfg.caps())
	c.names = table.Names{Exporters: []netip.Addr{{}}, Sites: []string{""}}
	for n := range byte(4) {
		c.names.Exporters = append(c.names.Exporters, netip.AddrFrom4([4]byte{192, 0, 2, n + 1}))
	}
	var err error
	c.store, err = store.Open(store.Config{
		Root: c.root, Edge: true, Keep: cfg.Keep, MaxBytes: edgeBytes, Program: "test", Home: "10.0.0.0/8", Zone: time.UTC,
		Now: func() time.Time { return c.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.store.Close() })
}

// hour keeps the contacts of an hour and writes them at its end, and each time when the table is
// full.
func (c *card) hour(t *testing.T, hour int) {
	t.Helper()
	begin := firstDay.Add(time.Duration(hour) * time.Hour)
	var b table.Batch
	for part := range slices.Chunk(c.hours[hour], 512) {
		b.Clear()
		for i := range part {
			c.add(&b, &part[i])
		}
		for done := 0; ; {
			if done = c.table.Update(&b, done, false); done == b.Len() {
				break
			}
			c.write(t, begin, time.Unix(int64(part[0].First), 0))
		}
	}
	c.write(t, begin, begin.Add(time.Hour))
}

func (c *card) add(b *table.Batch, r *row.Row) {
	b.Outside, b.Inside = append(b.Outside, r.Outside), append(b.Inside, r.Inside)
	b.Protocol, b.Port = append(b.Protocol, r.Protocol), append(b.Port, r.Port)
	b.Exporter, b.Site = append(b.Exporter, uint16(slices.Index(c.names.Exporters, r.Exporter))), append(b.Site, 0)
	b.Direction, b.Flags, b.Sampling = append(b.Direction, r.Direction), append(b.Flags, r.Flags), append(b.Sampling, r.Sampling)
	b.PacketsOut, b.PacketsIn = append(b.PacketsOut, r.PacketsOut), append(b.PacketsIn, r.PacketsIn)
	b.BytesOut, b.BytesIn = append(b.BytesOut, r.BytesOut), append(b.BytesIn, r.BytesIn)
	b.First, b.Last = append(b.First, r.First), append(b.Last, r.Last)
}

func (c *card) write(t *testing.T, from, to time.Time) {
	t.Helper()
	c.now = to
	if err := c.store.Write(context.Background(), from, to, []*table.Table{c.table}, c.names, 0, c.table.Counts().Folded); err != nil {
		t.Fatal(err)
	}
	c.table.Reset()
	c.files++
	if err := c.store.Tidy(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// size is that of the file of the day.
func (c *card) size(t *testing.T) (n int64) {
	t.Helper()
	days, err := filepath.Glob(filepath.Join(c.root, firstDay.Format("2006/01/02"), "*-d-*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range days {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// writeBytes is what this process has had written to disks.
func writeBytes(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	if n == 0 {
		t.Fatalf("the kernel has counted nothing: %s", b)
	}
	return n
}
