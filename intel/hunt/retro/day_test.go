package retro

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	contactlog "github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/monthtest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// files is a history in files.
type files struct{ *contactlog.Folder }

func (files) On() bool                                 { return true }
func (files) Keep() time.Duration                      { return 30 * 24 * time.Hour }
func (files) Flush(context.Context) (time.Time, error) { return time.Now().Add(time.Hour), nil }

func (f files) Search(ctx context.Context, ranges []span.Range, to time.Time, emit func(Span, []row.Row) error, next func() error) (Done, error) {
	done, err := f.Folder.Search(ctx, contactlog.Query{
		Ranges: ranges, To: to, Parallel: 1, Background: true,
		Emit:     func(e contactlog.Entry, rows []row.Row) error { return emit(Span{e.Name.From, e.Name.To}, rows) },
		Progress: func(int, int, int64) { err := next(); _ = err },
	})
	return Done{Files: int(done.Files)}, err
}

// BenchmarkDay is what 24 sets with 1,000 new entries each cost, one an hour, beside 100,000
// that stay: in CPU time of the process, as a share of one core over the day. The history has
// as many days as FLOWSNITCH_MONTH says, 2 without, of 7 million rows each, or
// FLOWSNITCH_MONTH_ROWS.
//
//	FLOWSNITCH_MONTH=30 go test ./intel/hunt/retro -run xxx -bench Day -benchtime 1x -timeout 30m
func BenchmarkDay(b *testing.B) {
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return otherwise
		}
		return n
	}
	days, root := number("FLOWSNITCH_MONTH", 2), b.TempDir()
	month := monthtest.Month{Seed: 15, Start: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days), Rows: number("FLOWSNITCH_MONTH_ROWS", 7_000_000)}
	for day := range days {
		if _, err := month.Write(disk.OS{}, root, day, file.Form{}); err != nil {
			b.Fatal(err)
		}
	}
	const stay, each, hours = 100_000, 1_000, 24
	strangers := month.Strangers(stay + each*hours)
	store := lookup.NewStore()
	events := 0
	h := New(Config{
		Dir: filepath.Join(b.TempDir(), "hunt"), Disk: disk.OS{}, History: files{contactlog.Open(disk.OS{}, root)}, Table: store.Load,
		Quiet: func() []netip.Prefix { return nil }, Publish: func(list []event.Event) error { events += len(list); return nil }, Alert: func(string, string, *intel.Indicator) {},
		Factors: score.DefaultFactors(), Now: time.Now, Log: zap.NewNop(),
	})
	if err := h.Start(); err != nil {
		b.Fatal(err)
	}
	defer h.Stop(context.Background())
	feed := func(n int) {
		d := lookup.NewBuilder(lookup.Policy{})
		for _, a := range strangers[:n] {
			d.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, a.BitLen()), Feed: "f", Score: 80}, lookup.OriginFeed)
		}
		t, _ := d.Build("v")
		runtime.GC()
		store.Swap(t)
	}
	hunt := func() {
		done := h.Stats().Done
		h.Feed(store.Load(), time.Now())
		for h.Stats().Done == done {
			time.Sleep(10 * time.Millisecond)
		}
	}
	feed(stay)
	hunt()
	for b.Loop() {
		cpu := time.Duration(0)
		for hour := range hours {
			feed(stay + each*(hour+1))
			from := spent(b)
			hunt()
			cpu += spent(b) - from
		}
		b.ReportMetric(cpu.Seconds()/hours, "cpu-s/set")
		b.ReportMetric(100*cpu.Seconds()/(24*3600), "%core")
		b.ReportMetric(float64(events), "events")
		feed(stay)
		hunt0(h, store)
	}
}

// hunt0 takes the entries off the list again.
func hunt0(h *Hunter, store *lookup.Store) {
	h.Feed(store.Load(), time.Now())
	time.Sleep(time.Second)
}

// spent is the CPU time of the process.
func spent(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkCompare is what it costs to find that nothing is new in a set of a million entries.
func BenchmarkCompare(b *testing.B) {
	d := lookup.NewBuilder(lookup.Policy{})
	for i := range 1_000_000 {
		a := netip.AddrFrom4([4]byte{byte(11 + i>>20), byte(i >> 12), byte(i >> 4), byte(i << 4)})
		d.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Feed: "f", Score: 80}, lookup.OriginFeed)
	}
	t, _ := d.Build("v")
	h := New(Config{
		Dir: b.TempDir(), Disk: disk.OS{}, History: &past{now: time.Now}, Quiet: func() []netip.Prefix { return nil }, Now: time.Now, Log: zap.NewNop(),
	})
	if err := h.folder.Open(); err != nil {
		b.Fatal(err)
	}
	if err := h.compareOne(swap{t, time.Now()}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := h.compareOne(swap{t, time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
	changes, err := filepath.Glob(filepath.Join(h.cfg.Dir, "*"))
	if err != nil || len(changes) != 1 {
		b.Fatal(err, changes)
	}
	info, err := os.Stat(changes[0])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size()), "file-B")
}
