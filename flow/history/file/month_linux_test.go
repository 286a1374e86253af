package file_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/monthtest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// The figures of a month of files, against their budgets: bytes per row, the merge of 24 hours,
// hunts with a cold and a warm cache. 30 days take 3.5 GB and some minutes (make bench-month):
//
//	FLOWSNITCH_MONTH=30 go test -v -count=1 -timeout 30m -run Month ./flow/history/file
//
// With FLOWSNITCH_MONTH_FOLDER the files stay there, and are used again. The cache is dropped
// by /proc/sys/vm/drop_caches, without permission by posix_fadvise on each file.
const (
	daysVariable   = "FLOWSNITCH_MONTH"
	folderVariable = "FLOWSNITCH_MONTH_FOLDER"
)

var month = monthtest.Month{Seed: 15, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Rows: 7_000_000}

func days(t *testing.T) int {
	t.Helper()
	s := os.Getenv(daysVariable)
	n, err := strconv.Atoi(s)
	if s == "" {
		t.Skipf("SKIPPED: the figures of a month need %s=30 (days)", daysVariable)
	}
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is not a number of days", daysVariable, s)
	}
	return n
}

// written writes the files of the days below a folder and gives their paths.
func written(t *testing.T, days int) (root string, paths []string) {
	t.Helper()
	root = os.Getenv(folderVariable)
	if root == "" {
		root = t.TempDir()
	}
	paths = make([]string, days)
	var group sync.WaitGroup
	next := atomic.Int64{}
	for range 2 {
		group.Go(func() {
			for {
				day := int(next.Add(1)) - 1
				if day >= days {
					return
				}
				folder := filepath.Join(root, month.Start.AddDate(0, 0, day).Format("2006/01/02"))
				if there, _ := filepath.Glob(folder + "/*.parquet"); len(there) == 1 {
					paths[day] = there[0]
					continue
				}
				name, err := month.Write(disk.OS{}, root, day, file.Form{})
				if err != nil {
					t.Error(err)
					return
				}
				paths[day] = filepath.Join(root, name.Folder(), name.String())
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return root, paths
}

// cold drops what the system holds of files, and gives how.
func cold(t *testing.T, paths []string) string {
	t.Helper()
	unix.Sync()
	if os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) == nil {
		return "drop_caches"
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return "posix_fadvise"
}

// A cost is what something took.
type cost struct {
	time     time.Duration
	cpu      time.Duration // of all goroutines, garbage collection included
	resident int64         // greatest resident memory of the process meanwhile, bytes
	heap     int64         // greatest heap, bytes, sampled
}

func measure(t *testing.T, f func()) cost {
	t.Helper()
	runtime.GC() // twice, for the pools to be empty
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // begin anew with the peak
	done := make(chan struct{})
	var group sync.WaitGroup
	var heap int64
	group.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap = max(heap, int64(m.HeapAlloc))
			}
		}
	})
	before, begin := cpu(), time.Now()
	f()
	c := cost{time: time.Since(begin), cpu: cpu() - before}
	close(done)
	group.Wait()
	c.heap = heap
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &c.resident)
			c.resident <<= 10
		}
	}
	return c
}

func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// within reports a figure, and fails when it is above 1.5 times its budget: that much noise a
// machine may have that does other things too.
func within(t *testing.T, what string, got, budget float64, unit string) {
	t.Helper()
	t.Logf("%-12s %8.2f %s (budget %g)", what, got, unit, budget)
	if got > 1.5*budget {
		t.Errorf("%s: %.2f %s, more than 1.5 times the budget of %g", what, got, unit, budget)
	}
}

const mega = 1e6

func TestMonthHunt(t *testing.T) {
	n := days(t)
	root, paths := written(t, n)
	var size, rows int64
	for _, path := range paths {
		f, err := file.Open(disk.OS{}, path)
		if err != nil {
			t.Fatal(err)
		}
		rows += f.Rows
		_ = f.Close()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	t.Logf("%d days, %d rows, %.2f GB", n, rows, float64(size)/1e9)
	within(t, "row on disk", float64(size)/float64(rows), 19, "B")
	share := max(float64(n)/30, 0.1)
	for _, tt := range []struct {
		name            string
		busy, strange   int // addresses with the most contacts, and such as are hardly ever met
		seconds, memory float64
	}{
		{"1, the busiest", 1, 0, 0.5, 80},
		{"1, never seen", 0, 1, 0.5, 80},
		{"10,000, none seen", 0, 10_000, 10, 80},
		{"10,000, one in ten seen", 1000, 9000, 10, 80},
		{"1,000,000, none seen", 0, 1_000_000, 25, 200},
		{"1,000,000, one in 20 seen", 50_000, 950_000, 25, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ranges := wanted(tt.busy, tt.strange)
			how := cold(t, paths)
			for _, cache := range []string{how, "warm"} {
				var found int64
				c := measure(t, func() { found = hunt(t, root, ranges) })
				within(t, cache, c.time.Seconds(), tt.seconds*share, "s")
				within(t, "resident", float64(c.resident)/mega, tt.memory, "MB")
				t.Logf("%d rows, %.2f s of CPU, heap %.0f MB", found, c.cpu.Seconds(), float64(c.heap)/mega)
			}
		})
	}
}

// wanted gives the ranges for some addresses, and keeps nothing else.
func wanted(busy, strange int) []span.Range {
	var prefixes []netip.Prefix
	for _, a := range slices.Concat(month.Busiest(busy), month.Strangers(strange)) {
		prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
	}
	return slices.Clone(span.OfAll(prefixes))
}

// hunt searches all files and gives the number of rows found.
func hunt(t *testing.T, root string, ranges []span.Range) int64 {
	done, err := folder.Open(disk.OS{}, root).Search(context.Background(), folder.Query{Ranges: ranges, Emit: func(folder.Entry, []row.Row) error { return nil }})
	if err != nil || len(done.Bad) > 0 {
		t.Errorf("%v, %v", done.Bad, err)
	}
	return done.Rows
}

func TestMonthMerge(t *testing.T) {
	days(t)
	for _, tt := range []struct {
		name           string
		files, rows    int
		edge           bool
		limit          int64   // on memory, bytes, that of a process which does nothing else
		speed          float64 // million rows/s
		heap, resident float64 // MB
	}{
		{"24 hours of 500,000 rows", 24, 500_000, false, 100 << 20, 0.6, 110, 130},
		{"edge: 6 hours of 60,000 rows", 6, 60_000, true, 24 << 20, 0.6, 20, 45},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			m := month
			m.Rows = tt.rows
			plan := file.Plan{Root: filepath.Join(root, "day"), Name: file.Name{From: m.Start, To: m.Start.AddDate(0, 0, 1), Level: file.Day}, Edge: tt.edge}
			rows := 0
			for hour := range tt.files {
				from := m.Start.Add(time.Duration(hour) * time.Hour)
				w, err := file.Create(disk.OS{}, root, file.Name{From: from, To: from.Add(time.Hour), Level: file.Hour}, file.Form{Edge: tt.edge}, file.Info{})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Day(hour, func(part []row.Row) error { rows += len(part); return w.Write(part) }); err != nil {
					t.Fatal(err)
				}
				name, err := w.Commit()
				if err != nil {
					t.Fatal(err)
				}
				plan.Inputs = append(plan.Inputs, filepath.Join(root, name.Folder(), name.String()))
			}
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(tt.limit))
			var err error
			c := measure(t, func() { _, err = file.Merge(context.Background(), disk.OS{}, plan) })
			if err != nil {
				t.Fatal(err)
			}
			speed := float64(rows) / mega / c.cpu.Seconds()
			t.Logf("%d rows, %.2f million rows/s of CPU (budget %g), %.2f by the clock", rows, speed, tt.speed, float64(rows)/mega/c.time.Seconds())
			if speed*1.5 < tt.speed {
				t.Errorf("%.2f million rows/s", speed)
			}
			within(t, "heap", float64(c.heap)/mega, tt.heap, "MB")
			within(t, "resident", float64(c.resident)/mega, tt.resident, "MB")
		})
	}
}
