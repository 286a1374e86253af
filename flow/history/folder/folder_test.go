package folder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

var everywhere = span.All()

// address is that of a number.
func address(n int) flow.Addr6 {
	return flow.Addr6Of(netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)}))
}

// rows gives n rows from one address outside on, with contacts at a time.
func rows(from, n int, at time.Time) (list []row.Row) {
	for i := range n {
		first := uint32(at.Unix())
		list = append(list, row.Row{Outside: address(from + i), Inside: address(0), Protocol: 6, Port: 443, First: first, Last: first + 10, Flows: 1, Sampling: 1})
	}
	return list
}

// put writes a file and gives its path.
func put(t testing.TB, root string, from, to time.Time, level file.Level, list []row.Row, inputs ...string) string {
	t.Helper()
	info := file.Info{}
	for _, path := range inputs {
		info.Inputs = append(info.Inputs, filepath.Base(path))
	}
	return filetest.Put(t, root, file.Name{From: from, To: to, Level: level}, file.Form{}, info, list)
}

// touch makes a file that is not ours.
func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func paths(list []Entry) (all []string) {
	for _, e := range list {
		all = append(all, e.Path)
	}
	return all
}

// flip damages a file.
func flip(t testing.TB, path string, at int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(content)
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	f := Open(disk.OS{}, filepath.Join(root, "not", "there"))
	if list, err := f.Files(time.Time{}, time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("no folder: %v, %v", list, err)
	}
	some := rows(1, 3, noon)
	old := put(t, root, noon.AddDate(0, -2, 0), noon.AddDate(0, -2, 0).Add(time.Hour), file.Day, some)
	long := put(t, root, noon.AddDate(-3, 0, 0), noon.Add(-5*time.Hour), file.Flush, some) // the clock was set
	first := put(t, root, noon, noon.Add(10*time.Minute), file.Flush, some)
	second := put(t, root, noon.Add(10*time.Minute), noon.Add(20*time.Minute), file.Flush, some)
	// A merge, and a file of the same time that is not part of it.
	hour := put(t, root, noon, noon.Add(20*time.Minute), file.Hour, some, first, second)
	late := put(t, root, noon, noon.Add(10*time.Minute), file.Flush, some)
	future := put(t, root, noon.AddDate(0, 0, 1), noon.AddDate(0, 0, 1), file.Flush, some)
	day := filepath.Dir(first)
	for _, path := range []string{
		"README", "2026/notes.parquet", "2026/11/29/x.parquet", "2026/11/29/" + filepath.Base(first) + "x", "2026/11/29/.hidden", "20261/11/29/a", "lock", "import/old/2026/11/29/y",
	} {
		touch(t, filepath.Join(root, path))
	}
	touch(t, filepath.Join(day, strings.TrimSuffix(filepath.Base(first), ".parquet")+".tmp"))
	bad := put(t, root, noon.Add(time.Hour), noon.Add(2*time.Hour), file.Flush, some)
	if err := os.Rename(bad, bad+Damaged); err != nil {
		t.Fatal(err)
	}
	f = Open(disk.OS{}, root)
	for _, c := range []struct {
		from, to time.Time
		want     []string
	}{
		{time.Time{}, time.Time{}, []string{future, hour, late, old, long}},
		{noon, time.Time{}, []string{future, hour, late, long}},
		{noon.AddDate(0, 0, 1).Add(25 * time.Hour), time.Time{}, nil},
		{time.Time{}, noon.Add(-25 * time.Hour), []string{old, long}},
		{noon.AddDate(0, -3, 0), noon.AddDate(0, -1, 0), []string{old, long}},
		{noon.AddDate(-9, 0, 0), noon.AddDate(-8, 0, 0), nil},
	} {
		list, err := f.Files(c.from, c.to)
		if err != nil || !slices.Equal(paths(list), c.want) {
			t.Errorf("%v to %v: %v\n got %q\nwant %q", c.from, c.to, err, paths(list), c.want)
		}
	}
	list, _ := f.Files(noon, noon)
	if info, err := os.Stat(hour); err != nil || list[1].Size != info.Size() || !list[1].Written.Equal(info.ModTime()) || list[1].Name.Level != file.Hour {
		t.Errorf("%+v, %v", list[1], err)
	}
	// The inputs of a file that cannot be opened count again.
	flip(t, hour, -30)
	if list, err := Open(disk.OS{}, root).Files(noon.Add(-time.Hour), noon.Add(-time.Hour)); err != nil || !slices.Contains(paths(list), first) {
		t.Errorf("%q, %v", paths(list), err)
	}
}

func TestClean(t *testing.T) {
	root := t.TempDir()
	some := rows(1, 3000, noon)
	var inputs []string
	for n := range 3 {
		inputs = append(inputs, put(t, root, noon.Add(time.Duration(n)*time.Minute), noon.Add(time.Duration(n+1)*time.Minute), file.Flush, some))
	}
	whole := put(t, root, noon, noon.Add(2*time.Minute), file.Hour, some, inputs[:2]...)
	broken := put(t, root, noon.Add(2*time.Minute), noon.Add(3*time.Minute), file.Hour, some, inputs[2])
	flip(t, broken, 200) // in the body: it opens
	day := filepath.Dir(whole)
	touch(t, filepath.Join(day, "c-20261129T120000Z-20261129T121000Z-f-0123456789abcdef.tmp"))
	touch(t, filepath.Join(day, "other.tmp"))
	if err := os.MkdirAll(filepath.Join(root, "2025/01/02"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := Open(disk.OS{}, root)
	var bad []string
	f.OnBad = func(path string, _ error) { bad = append(bad, path) }
	r, err := f.Clean(context.Background())
	if err == nil || r != (Report{Unfinished: 1, Superseded: 2, Days: 1, Foreign: 1}) || !slices.Equal(bad, []string{broken}) {
		t.Errorf("%+v, %v, bad %q", r, err, bad)
	}
	left, _ := filepath.Glob(day + "/*")
	want := []string{whole, broken, inputs[2], filepath.Join(day, "other.tmp")}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if _, err := os.Stat(filepath.Join(root, "2025")); err == nil {
		t.Error("an empty year is left")
	}
	if r, err := Open(disk.OS{}, filepath.Join(root, "none")).Clean(context.Background()); err != nil || r != (Report{}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestSearchEqualsAScan: with any ranges and times, any number of goroutines.
func TestSearchEqualsAScan(t *testing.T) {
	root := t.TempDir()
	r := rand.New(rand.NewPCG(3, 15))
	all := make(map[string][]row.Row)
	for n := range 12 {
		at := noon.Add(time.Duration(n) * 5 * time.Hour)
		list := rows(r.IntN(3000), 1+r.IntN(9000), at)
		all[put(t, root, at, at.Add(time.Hour), file.Hour, list)] = list
	}
	f := Open(disk.OS{}, root)
	rounds := 60
	if testing.Short() { // under emulation
		rounds = 6
	}
	for range rounds {
		var prefixes []netip.Prefix
		for range 1 + r.IntN(20) {
			prefixes = append(prefixes, netip.PrefixFrom(address(r.IntN(12_000)).Addr().Unmap(), 20+r.IntN(13)).Masked())
		}
		q := Query{Ranges: span.OfAll(prefixes), Parallel: r.IntN(5), Background: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			q.From = noon.Add(time.Duration(r.IntN(60)) * time.Hour)
		}
		if r.IntN(2) == 0 {
			q.To = noon.Add(time.Duration(r.IntN(60)) * time.Hour)
		}
		got := make(map[string][]row.Row)
		var order []string
		var total int64
		q.Emit = func(e Entry, list []row.Row) error {
			if len(order) == 0 || order[len(order)-1] != e.Path {
				order = append(order, e.Path)
			}
			got[e.Path] = append(got[e.Path], list...)
			total += int64(len(list))
			return nil
		}
		files := 0
		q.Progress = func(done, of int, _ int64) {
			if files++; done != files || of < done {
				t.Errorf("progress is %d of %d after %d files", done, of, files)
			}
		}
		done, err := f.Search(context.Background(), q)
		if err != nil || done.Rows != total || int(done.Files) != files || len(done.Bad) > 0 {
			t.Fatalf("%+v, %v; %d rows, %d files", done, err, total, files)
		}
		for path, list := range all {
			want := slices.DeleteFunc(slices.Clone(list), func(one row.Row) bool {
				return !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(one.Outside.Addr().Unmap()) }) ||
					!q.From.IsZero() && int64(one.Last) < q.From.Unix() || !q.To.IsZero() && int64(one.First) > q.To.Unix()
			})
			if !slices.Equal(got[path], want) {
				t.Fatalf("%s: %d rows, want %d", path, len(got[path]), len(want))
			}
		}
		if !slices.IsSortedFunc(order, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("not newest first: %q", order)
		}
	}
}

func TestSearchWithDamage(t *testing.T) {
	root := t.TempDir()
	var files []string
	for n := range 6 {
		at := noon.AddDate(0, 0, n)
		files = append(files, put(t, root, at, at.Add(time.Hour), file.Hour, rows(0, 3000, at)))
	}
	flip(t, files[1], -30) // the footer
	flip(t, files[3], 200) // the body
	if err := os.Remove(files[4]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(files[4], 0o600); err != nil {
		t.Fatal(err)
	}
	d := &disktest.Faults{Hook: func(c disktest.Call) error {
		if c.What == "read" && c.Path == files[0] || c.What == "readdir" && c.Path == filepath.Dir(files[2]) {
			return syscall.EIO
		}
		return nil
	}}
	f := Open(d, root)
	var set []string
	f.OnBad = func(path string, _ error) { set = append(set, path) }
	got := make(map[string]int)
	done, err := f.Search(context.Background(), Query{Ranges: everywhere, Emit: func(e Entry, list []row.Row) error {
		got[e.Path] += len(list)
		return nil
	}})
	var bad []string
	for _, b := range done.Bad {
		bad = append(bad, b.Path)
	}
	want := []string{files[4], files[3], filepath.Dir(files[2]), files[1], files[0]}
	if err != nil || !slices.Equal(bad, want) || got[files[5]] != 3000 || done.Files != 5 {
		t.Errorf("%+v, %v, %v", done, got, err)
	}
	// What the disk does not give is not damaged.
	if !slices.Equal(set, []string{files[3], files[1]}) {
		t.Errorf("set aside: %q", set)
	}
}

func TestSearchEnds(t *testing.T) {
	root := t.TempDir()
	for n := range 20 {
		at := noon.AddDate(0, 0, n)
		put(t, root, at, at.Add(time.Hour), file.Hour, rows(0, 20_000, at))
	}
	open := new(opened)
	f := Open(open, root)
	stop := errors.New("enough")
	calls := 0
	done, err := f.Search(context.Background(), Query{Ranges: everywhere, Emit: func(Entry, []row.Row) error {
		if calls++; calls == 7 {
			return stop
		}
		return nil
	}})
	if err != stop || calls != 7 || done.Files != 1 {
		t.Errorf("%+v, %v after %d calls", done, err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls = 0
	done, err = f.Search(ctx, Query{Ranges: everywhere, Emit: func(Entry, []row.Row) error {
		calls++
		cancel()
		return nil
	}})
	if !errors.Is(err, context.Canceled) || calls != 1 || len(done.Bad) > 0 {
		t.Errorf("%+v, %v after %d calls", done, err, calls)
	}
	if _, err = f.Search(ctx, Query{Ranges: everywhere}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended before: %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("a panic of the caller became %v", p)
			}
		}()
		_, _ = f.Search(context.Background(), Query{Ranges: everywhere, Emit: func(Entry, []row.Row) error { panic("mine") }})
	}()
	if n := open.n.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
	// A slow caller lets the search wait: what is open and in memory is bounded.
	most := int64(0)
	if _, err := f.Search(context.Background(), Query{Ranges: everywhere, Emit: func(Entry, []row.Row) error {
		most = max(most, open.n.Load())
		return nil
	}}); err != nil || most > 8 {
		t.Errorf("%d files were open at once, %v", most, err)
	}
}

// opened counts the files that are open.
type opened struct {
	disk.OS
	n atomic.Int64
}

func (o *opened) Open(path string) (disk.File, error) {
	f, err := o.OS.Open(path)
	if err != nil {
		return nil, err
	}
	o.n.Add(1)
	return &countedFile{File: f, n: &o.n}, nil
}

type countedFile struct {
	disk.File
	n    *atomic.Int64
	once sync.Once
}

func (f *countedFile) Close() error {
	f.once.Do(func() { f.n.Add(-1) })
	return f.File.Close()
}

// TestSearchBehindItself: what a search in the background has read is given back.
func TestSearchBehindItself(t *testing.T) {
	root := t.TempDir()
	put(t, root, noon, noon, file.Hour, rows(0, 3000, noon))
	for _, background := range []bool{false, true} {
		d := &forgetful{}
		_, err := Open(d, root).Search(context.Background(), Query{Ranges: everywhere, Background: background, Emit: func(Entry, []row.Row) error { return nil }})
		if want := fmt.Sprint(background); err != nil || fmt.Sprint(d.forgot.Load()) != want {
			t.Errorf("in the background %s: forgot %t, %v", want, d.forgot.Load(), err)
		}
	}
}

type forgetful struct {
	disk.OS
	forgot atomic.Bool
}

func (d *forgetful) Open(path string) (disk.File, error) {
	f, err := d.OS.Open(path)
	return &forgetfulFile{f, d}, err
}

type forgetfulFile struct {
	disk.File
	d *forgetful
}

func (f *forgetfulFile) Forget() {
	f.File.Forget()
	f.d.forgot.Store(true)
}

// TestFarEnd: a time that no date has four digits for bounds nothing.
func TestFarEnd(t *testing.T) {
	root := t.TempDir()
	put(t, root, noon, noon.Add(time.Hour), file.Hour, rows(0, 3, noon))
	for _, to := range []time.Time{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if list, err := Open(disk.OS{}, root).Files(time.Time{}, to); err != nil || len(list) != 1 {
			t.Errorf("until %v: %d files, %v", to, len(list), err)
		}
	}
}

// TestSearchCountsLosses: what was lost while the files were filled is in the result, of files
// of the time in question only.
func TestSearchCountsLosses(t *testing.T) {
	root := t.TempDir()
	for n := range uint64(3) {
		at := noon.Add(time.Duration(n) * time.Hour)
		filetest.Put(t, root, file.Name{From: at, To: at.Add(time.Hour), Level: file.Hour}, file.Form{}, file.Info{Lost: 1 << (8 * n), Folded: 2 << (8 * n)}, rows(0, 3, at))
	}
	for _, tt := range []struct {
		from, to     time.Time
		lost, folded uint64
	}{
		{lost: 0x10101, folded: 0x20202},
		{from: noon.Add(90 * time.Minute), lost: 0x10100, folded: 0x20200},
		{from: noon.Add(70 * time.Minute), to: noon.Add(80 * time.Minute), lost: 0x100, folded: 0x200},
		{to: noon.Add(-time.Minute)},
	} {
		done, err := Open(disk.OS{}, root).Search(t.Context(), Query{Ranges: everywhere, From: tt.from, To: tt.to, Emit: func(Entry, []row.Row) error { return nil }})
		if err != nil || done.Lost != tt.lost || done.Folded != tt.folded {
			t.Errorf("%v to %v: %+v, %v; want %x lost and %x folded", tt.from, tt.to, done, err, tt.lost, tt.folded)
		}
	}
}
