package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{1, 511, 512, 513, 90_000} { // the last has two row groups
		rows := anyRows(seeded(uint64(n)), n, 60_000)
		path := put(t, t.TempDir(), Hour, rows)
		got, err := find(path, everything)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, rows)
		f, err := Open(disk.OS{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Info{"flowsnitch test", "10.0.0.0/8", 3, 5, nil}); !reflect.DeepEqual(f.Info, want) || f.Rows != int64(len(rows)) {
			t.Errorf("%+v, %d rows", f.Info, f.Rows)
		}
		if err := f.Verify(context.Background()); err != nil {
			t.Error(err)
		}
		if n == 90_000 && len(f.groups) < 2 {
			t.Errorf("%d row groups", len(f.groups))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

// The columns as others see them, by the readers of parquet-go that this package does not use.
func TestColumnsOfAFile(t *testing.T) {
	rows := anyRows(seeded(7), 3000, 500)
	path := put(t, t.TempDir(), Flush, rows)
	type all struct {
		Outside    string   `parquet:"outside"`
		OutsideKey [16]byte `parquet:"outside_key"`
		Inside     string   `parquet:"inside"`
		Protocol   uint32   `parquet:"protocol"`
		Port       uint32   `parquet:"port"`
		Exporter   string   `parquet:"exporter"`
		Site       string   `parquet:"site"`
		First      int64    `parquet:"first"`
		Duration   uint32   `parquet:"duration"`
		BytesIn    uint64   `parquet:"bytes_in"`
		Folded     uint32   `parquet:"folded"`
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range columns {
		if got := in.Schema().Columns()[i][0]; got != c.name {
			t.Errorf("column %d is %s, want %s", i, got, c.name)
		}
	}
	for name, want := range map[string]string{
		"outside": "STRING", "outside_key": "FIXED_LEN_BYTE_ARRAY(16)", "protocol": "INT(8,false)", "port": "INT(16,false)",
		"first": "TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS)", "duration": "INT(32,false)", "bytes_in": "INT(64,false)",
	} {
		if leaf, ok := in.Schema().Lookup(name); !ok || leaf.Node.Type().String() != want || !leaf.Node.Required() {
			t.Errorf("column %s is %v, want %s", name, leaf.Node.Type(), want)
		}
	}
	reader := parquet.NewGenericReader[all](bytes.NewReader(content))
	defer reader.Close()
	got := make([]all, len(rows)+1)
	n, _ := reader.Read(got)
	if n != len(rows) {
		t.Fatalf("%d rows, want %d", n, len(rows))
	}
	for i, r := range rows {
		inside := r.Inside.Addr().Unmap().String()
		if r.Folded > 0 {
			inside = "*"
		}
		exporter := ""
		if r.Exporter.IsValid() {
			exporter = r.Exporter.String()
		}
		want := all{r.Outside.Addr().Unmap().String(), r.Outside.Addr().As16(), inside, uint32(r.Protocol), uint32(r.Port), exporter, r.Site, int64(r.First) * 1000, r.Last - r.First, r.BytesIn, r.Folded}
		if got[i] != want {
			t.Fatalf("row %d: %+v, want %+v", i, got[i], want)
		}
	}
}

func TestSearchEqualsAScan(t *testing.T) {
	r := seeded(2)
	rows := anyRows(r, 40_000, 20_000)
	path := put(t, t.TempDir(), Day, rows)
	f, err := Open(disk.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rounds := 60
	if testing.Short() || raceDetector { // under emulation, or of one goroutine
		rounds = 6
	}
	for range rounds {
		var prefixes []netip.Prefix
		for range 1 + r.IntN(1<<r.IntN(9)) {
			a := rows[r.IntN(len(rows))].Outside.Addr().Unmap()
			if r.IntN(2) == 0 { // near it, mostly absent
				a = a.Next()
			}
			bits := a.BitLen()
			if r.IntN(4) == 0 {
				bits -= r.IntN(12)
			}
			prefixes = append(prefixes, netip.PrefixFrom(a, bits).Masked())
		}
		ranges := span.OfAll(prefixes)
		var got []row.Row
		err := f.Search(context.Background(), ranges, func(part []row.Row) error {
			got = append(got, part...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []row.Row
		for _, one := range rows {
			if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(one.Outside.Addr().Unmap()) }) {
				want = append(want, one)
			}
		}
		equal(t, got, want)
	}
}

func TestSearchOfNothingAndWrongRanges(t *testing.T) {
	path := put(t, t.TempDir(), Day, anyRows(seeded(4), 2000, 300))
	if rows, err := find(path, nil); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	one, two := flow.Addr6{Lo: 1}, flow.Addr6{Lo: 2}
	for _, wrong := range [][]span.Range{{{From: two, To: one}}, {span.One(two), span.One(one)}, {{From: one, To: two}, span.One(two)}} {
		if _, err := find(path, wrong); err == nil {
			t.Errorf("%v: no error", wrong)
		}
	}
}

func TestSearchEndsWithTheCallersError(t *testing.T) {
	path := put(t, t.TempDir(), Day, anyRows(seeded(5), 30_000, 9000))
	f, err := Open(disk.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop := errors.New("enough")
	calls := 0
	if err := f.Search(context.Background(), everything, func([]row.Row) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := f.Search(ctx, everything, func([]row.Row) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after the context has ended", err)
	}
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("a panic of the caller became %v", p)
		}
	}()
	_ = f.Search(context.Background(), everything, func([]row.Row) error { panic("mine") })
}

func TestRanges(t *testing.T) {
	var prefixes []netip.Prefix
	for _, s := range []string{"192.0.2.0/24", "192.0.2.7/32", "192.0.2.0/25", "198.51.100.1/32", "2001:db8::/64", "2001:db8::1/128", "::/0", "0.0.0.0/0"} {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	r := seeded(3)
	for range 300 {
		some := prefixes[:0:0]
		for range 1 + r.IntN(4) {
			some = append(some, prefixes[r.IntN(len(prefixes))])
		}
		ranges := span.OfAll(some)
		for i, one := range ranges {
			if one.From.Compare(one.To) > 0 || i > 0 && ranges[i-1].To.Compare(one.From) >= 0 {
				t.Fatalf("%v: %v", some, ranges)
			}
		}
		for _, s := range []string{"192.0.2.0", "192.0.2.127", "192.0.2.255", "192.0.3.0", "0.0.0.0", "255.255.255.255", "198.51.100.1", "::", "::fffe:ffff:ffff", "::1:0:0:0", "2001:db8::", "2001:db8:0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			a := netip.MustParseAddr(s)
			want := slices.ContainsFunc(some, func(p netip.Prefix) bool { return p.Contains(a) })
			key := flow.Addr6Of(a)
			got := slices.ContainsFunc(ranges, func(one span.Range) bool { return one.From.Compare(key) <= 0 && key.Compare(one.To) <= 0 })
			if got != want {
				t.Errorf("%v with %s: %t, want %t", some, a, got, want)
			}
		}
	}
}

func TestMergeEqualsTheSum(t *testing.T) {
	for _, inputs := range []int{1, 2, 7, MaxInputs} {
		r := seeded(uint64(inputs))
		from, to := t.TempDir(), t.TempDir()
		sums := make(map[row.Row]row.Row)
		plan := Plan{Root: to, Name: Name{From: noon.Truncate(24 * time.Hour), To: noon.Truncate(24*time.Hour).AddDate(0, 0, 1), Level: Day}, Edge: true, Program: "p", Home: "h"}
		for range inputs {
			rows := anyRows(r, 1+r.IntN(4000), 200)
			add(sums, rows)
			plan.Inputs = append(plan.Inputs, put(t, from, Flush, rows))
		}
		name, err := Merge(context.Background(), disk.OS{}, plan)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name.Folder(), name.String())
		got, err := find(path, everything)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, sorted(sums))
		f, err := Open(disk.OS{}, path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, path := range plan.Inputs {
			names = append(names, filepath.Base(path))
		}
		if want := (Info{"p", "h", 3 * uint64(inputs), 5 * uint64(inputs), names}); !reflect.DeepEqual(f.Info, want) {
			t.Errorf("%+v, want %+v", f.Info, want)
		}
		_ = f.Close()
		if n := len(inFolder(t, from)); n != inputs {
			t.Errorf("%d of %d inputs are left", n, inputs)
		}
	}
}

func TestMergeKeepsWhatItShall(t *testing.T) {
	rows := anyRows(seeded(9), 3000, 200)
	from, to := t.TempDir(), t.TempDir()
	plan := Plan{Inputs: []string{put(t, from, Flush, rows)}, Root: to, Name: Name{From: noon, To: noon, Level: Hour}}
	plan.Keep = func(r *row.Row) bool { return r.Protocol == 6 }
	name, err := Merge(context.Background(), disk.OS{}, plan)
	if err != nil {
		t.Fatal(err)
	}
	got, err := find(filepath.Join(to, name.Folder(), name.String()), everything)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, slices.DeleteFunc(rows, func(r row.Row) bool { return r.Protocol != 6 }))
	plan.Keep = func(*row.Row) bool { return false }
	if _, err := Merge(context.Background(), disk.OS{}, plan); !errors.Is(err, ErrEmpty) {
		t.Errorf("without rows: %v", err)
	}
	if left := inFolder(t, to); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestMergeFails(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	good := put(t, from, Flush, anyRows(seeded(1), 3000, 200))
	bad := put(t, from, Flush, anyRows(seeded(2), 3000, 200))
	content, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	content[1000] ^= 4
	if err := os.WriteFile(bad, content, 0o640); err != nil {
		t.Fatal(err)
	}
	plan := Plan{Inputs: []string{good, bad}, Root: to, Name: Name{From: noon, To: noon, Level: Hour}}
	_, err = Merge(context.Background(), disk.OS{}, plan)
	if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) || damaged.Path != bad {
		t.Errorf("a damaged input: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	plan.Inputs = plan.Inputs[:1]
	if _, err := Merge(ctx, disk.OS{}, plan); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context has ended: %v", err)
	}
	for _, n := range []int{0, MaxInputs + 1} {
		plan.Inputs = slices.Repeat([]string{good}, n)
		if _, err := Merge(context.Background(), disk.OS{}, plan); err == nil {
			t.Errorf("%d inputs were merged", n)
		}
	}
	if left := inFolder(t, to); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRowsOutOfOrder(t *testing.T) {
	rows := anyRows(seeded(1), 20, 20)
	for _, wrong := range [][]row.Row{{rows[1], rows[0]}, {rows[3], rows[3]}} {
		root := t.TempDir()
		w, err := Create(disk.OS{}, root, Name{From: noon, To: noon, Level: Flush}, Form{}, Info{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(wrong[:1]); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(wrong[1:]); err == nil {
			t.Error("rows out of order were written")
		}
		w.Abort()
		if left := inFolder(t, root); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// Files of the same time do not meet, whatever is in the folder.
func TestSequence(t *testing.T) {
	root := t.TempDir()
	rows := anyRows(seeded(1), 10, 20)
	first, second := put(t, root, Flush, rows), put(t, root, Flush, rows)
	if !strings.Contains(first, "-f-1-") || !strings.Contains(second, "-f-2-") {
		t.Errorf("%s, %s", first, second)
	}
	if other := put(t, root, Hour, rows); !strings.Contains(other, "-h-1-") {
		t.Errorf("%s", other)
	}
	for _, path := range []string{first, second} {
		if got, err := find(path, everything); err != nil || len(got) != len(rows) {
			t.Errorf("%s: %d rows, %v", path, len(got), err)
		}
	}
}

// taken is a disk on which another process is faster with the first name.
type taken struct {
	disk.OS
	first string
}

func (d *taken) RenameNew(from, to string) error {
	if d.first == "" {
		d.first = to
		if err := os.WriteFile(to, nil, 0o640); err != nil {
			return err
		}
	}
	return d.OS.RenameNew(from, to)
}

// Another process takes the very name between the look into the folder and the rename.
func TestNameTakenMeanwhile(t *testing.T) {
	root := t.TempDir()
	d := new(taken)
	w, err := Create(d, root, Name{From: noon, To: noon.Add(10 * time.Minute), Level: Flush}, Form{Edge: true}, Info{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(anyRows(seeded(1), 10, 20)); err != nil {
		t.Fatal(err)
	}
	name, err := w.Commit()
	if err != nil || name.Seq != 2 || !strings.HasSuffix(d.first, strings.Replace(name.String(), "-f-2-", "-f-1-", 1)) {
		t.Errorf("%v beside %s: %v", name, d.first, err)
	}
	if left := inFolder(t, root); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

func verify(path string) error {
	f, err := Open(disk.OS{}, path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Verify(context.Background())
}

// damage changes a file and expects an error, with no wrong row before and little memory
// taken. Rows that were handed over must be the first ones of the file.
func damage(t *testing.T, path string, content []byte, rows []row.Row) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	defer func() {
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Fatalf("%d bytes were allocated", n)
		}
	}()
	got, err := find(path, everything)
	if err == nil { // only where nothing is read
		equal(t, got, rows)
		err = verify(path)
	}
	if err == nil {
		t.Fatal("damage was not found")
	}
	if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) || damaged.Path != path {
		t.Fatalf("damage is %v", err)
	}
	if len(got) > len(rows) {
		t.Fatalf("%d rows of %d", len(got), len(rows))
	}
	equal(t, got, rows[:len(got)])
}

func TestDamage(t *testing.T) {
	rows := anyRows(seeded(11), 6000, 2000)
	path := put(t, t.TempDir(), Hour, rows)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(disk.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	body := int(f.blocks.body)
	_ = f.Close()
	r := seeded(12)
	flip := func(at int) []byte {
		flipped := bytes.Clone(content)
		flipped[at] ^= 1 << r.IntN(8)
		return flipped
	}
	flips, cuts := 1000, 200
	if testing.Short() { // under emulation
		flips, cuts = 50, 10
	}
	for range flips {
		at := body + r.IntN(len(content)-body)
		if r.IntN(10) == 0 {
			at = len(content) - 1 - r.IntN(8) // the length of the footer, and the magic bytes
		}
		damage(t, path, flip(at), rows)
	}
	for range flips {
		damage(t, path, flip(r.IntN(body)), rows)
	}
	for range cuts {
		damage(t, path, content[:r.IntN(len(content))], rows)
	}
	for range cuts / 4 { // a tail of zeros, as a power cut leaves it
		zeroed := bytes.Clone(content)
		clear(zeroed[r.IntN(len(content)-1):])
		damage(t, path, zeroed, rows)
	}
	damage(t, path, append(bytes.Clone(content), 0), rows)
	damage(t, path, nil, rows)
	damage(t, path, content[:len(content)/2], rows)
	damage(t, path, content[len(content)/2:], rows)
	damage(t, path, bytes.Repeat(content, 2), rows)
	damage(t, path, append(bytes.Clone(content[:body]), content...), rows)
	other, err := os.ReadFile(put(t, t.TempDir(), Hour, anyRows(seeded(13), 6000, 2000)))
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, other, rows) // whole, but of another name
	damage(t, path, append(bytes.Clone(other[:body]), content[body:]...), rows)
}

// forge makes a Parquet file with columns of a type T, and all else as in a file of ours: the
// sums, the size of the body, and the checksum in the name.
func forge[T any](t *testing.T, version string, rows []T) string {
	t.Helper()
	var content bytes.Buffer
	s := sums{w: &content}
	w := parquet.NewGenericWriter[T](&s, parquet.WriteBufferSize(0), parquet.KeyValueMetadata(keySchema, version))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	s.endBody()
	w.SetKeyValueMetadata(keySums, encodeSums(s.body))
	w.SetKeyValueMetadata(keyBody, fmt.Sprintf("%016x", s.size))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), Name{From: noon, To: noon, Level: Day, Seq: 1, CRC: s.tail}.String())
	if err := os.WriteFile(path, content.Bytes(), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file with the right sums is read as far as its columns are right.
func TestForgedFiles(t *testing.T) {
	// The columns have the names of ours, and other types.
	type typed struct {
		Outside    string `parquet:"outside"`
		OutsideKey int64  `parquet:"outside_key"`
		Inside     int64  `parquet:"inside"`
		Protocol   string `parquet:"protocol"`
		Port       string `parquet:"port"`
		Exporter   int32  `parquet:"exporter"`
		Site       int32  `parquet:"site"`
		Direction  string `parquet:"direction"`
		Flags      string `parquet:"flags"`
		First      string `parquet:"first"`
		Duration   string `parquet:"duration"`
		Flows      string `parquet:"flows"`
		PacketsOut string `parquet:"packets_out"`
		PacketsIn  string `parquet:"packets_in"`
		BytesOut   string `parquet:"bytes_out"`
		BytesIn    string `parquet:"bytes_in"`
		Sampling   string `parquet:"sampling"`
		Hours      string `parquet:"hours"`
		Folded     string `parquet:"folded"`
	}
	for name, path := range map[string]string{
		"other columns":     forge(t, schemaVersion, []struct{ A int64 }{{1}, {2}}),
		"other types":       forge(t, schemaVersion, make([]typed, 10)),
		"no version":        forge(t, "", make([]layout, 10)),
		"no addresses":      forge(t, schemaVersion, []layout{{Inside: "host.example"}}),
		"no exporter":       forge(t, schemaVersion, []layout{{Inside: "10.0.0.1", Exporter: "router"}}),
		"an older version":  forge(t, "0", make([]layout, 10)),
		"a strange version": forge(t, "1.5", make([]layout, 10)),
	} {
		rows, err := find(path, everything)
		if damaged := (*DamagedError)(nil); !errors.As(err, &damaged) || len(rows) > 0 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
	good := forge(t, schemaVersion, []layout{{Inside: "10.0.0.1", Exporter: "192.0.2.1"}})
	if rows, err := find(good, everything); err != nil || len(rows) != 1 {
		t.Errorf("forged as it should be: %d rows, %v", len(rows), err)
	}
}

// A file of a newer program is whole: it must not be taken for damaged, and so be renamed, by
// an older one that somebody has gone back to.
func TestNewerVersion(t *testing.T) {
	path := forge(t, "2", make([]layout, 10))
	_, err := find(path, everything)
	if damaged := (*DamagedError)(nil); !errors.Is(err, ErrNewer) || errors.As(err, &damaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("a newer version: %v", err)
	}
	_, err = Merge(context.Background(), disk.OS{}, Plan{Inputs: []string{path}, Root: t.TempDir(), Name: Name{From: noon, To: noon, Level: Day}})
	if !errors.Is(err, ErrNewer) {
		t.Errorf("merge of a newer version: %v", err)
	}
}

// What is no file, or no file of ours, at a path with the right name.
func TestForeignFiles(t *testing.T) {
	root := t.TempDir()
	if _, err := Open(disk.OS{}, filepath.Join(root, "users.parquet")); err == nil {
		t.Error("a file of another name was opened")
	}
	path := filepath.Join(root, Name{From: noon, To: noon, Level: Day, Seq: 1}.String())
	whole := put(t, root, Day, anyRows(seeded(1), 10, 20))
	for _, c := range []struct {
		what    string
		put     func() error
		damaged bool
	}{
		{"nothing", func() error { return nil }, false},
		{"a Parquet file", func() error { return parquet.WriteFile(path, []struct{ A int64 }{{1}, {2}}) }, true},
		{"an empty file", func() error { return os.WriteFile(path, nil, 0o640) }, true},
		{"a text", func() error { return os.WriteFile(path, []byte("PAR1 is how it begins, and ends PAR1"), 0o640) }, true},
		{"a pipe", func() error { return syscall.Mkfifo(path, 0o640) }, true},
		{"a folder", func() error { return os.Mkdir(path, 0o750) }, true},
		{"a link to a whole file", func() error { return os.Symlink(whole, path) }, true},
		{"a link to nowhere", func() error { return os.Symlink(filepath.Join(root, "gone"), path) }, true},
		{"a link to itself", func() error { return os.Symlink(path, path) }, true},
	} {
		if err := c.put(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(disk.OS{}, path)
		if damaged := (*DamagedError)(nil); err == nil || errors.As(err, &damaged) != c.damaged {
			t.Errorf("%s: %v", c.what, err)
		}
		if !c.damaged && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", c.what, err)
		}
		if _, err := Merge(context.Background(), disk.OS{}, Plan{Inputs: []string{whole, path}, Root: t.TempDir(), Name: Name{From: noon, To: noon, Level: Day}}); err == nil {
			t.Errorf("%s was merged", c.what)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// Whatever call fails while a file is written: there is no file then, and no remains; with
// the error gone the rows can be written again.
func TestEveryCallFailsWhileWriting(t *testing.T) {
	rows := anyRows(seeded(6), 500, 300)
	write := func(f disk.FS, root string) error {
		w, err := Create(f, root, Name{From: noon, To: noon, Level: Flush}, Form{}, Info{})
		if err != nil {
			return err
		}
		if err := w.Write(rows); err != nil {
			w.Abort()
			return err
		}
		_, err = w.Commit()
		return err
	}
	count := &disktest.Faults{}
	if err := write(count, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for n := range count.Calls() {
		root := t.TempDir() // of its own: what one leaves would change the calls of the next
		failed := ""
		f := &disktest.Faults{Hook: func(c disktest.Call) error {
			if c.Index != n {
				return nil
			}
			failed = c.What
			return syscall.EIO
		}}
		err := write(f, root)
		if err == nil && failed == "close" { // of a folder: it is synced
			continue
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d, %s: %v", n, failed, err)
			continue
		}
		if left := inFolder(t, root); len(left) != 0 {
			t.Errorf("call %d, %s: left %v", n, failed, left)
		}
		if err := write(disk.OS{}, root); err != nil {
			t.Errorf("after call %d, %s: %v", n, failed, err)
		}
	}
}

// An error of the disk is not damage: the file must not be set aside for it.
func TestReadErrorsAreNotDamage(t *testing.T) {
	path := put(t, t.TempDir(), Flush, anyRows(seeded(6), 3000, 300))
	read := func(f disk.FS) error {
		in, err := Open(f, path)
		if err != nil {
			return err
		}
		defer in.Close()
		return in.Search(context.Background(), everything, func([]row.Row) error { return nil })
	}
	count := &disktest.Faults{}
	if err := read(count); err != nil {
		t.Fatal(err)
	}
	for n := range count.Calls() {
		what := ""
		err := read(&disktest.Faults{Hook: func(c disktest.Call) error {
			if c.Index != n {
				return nil
			}
			what = c.What
			return syscall.EIO
		}})
		if what == "close" {
			continue
		}
		if damaged := (*DamagedError)(nil); !errors.Is(err, syscall.EIO) || errors.As(err, &damaged) {
			t.Errorf("call %d, %s: %v", n, what, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	rows := anyRows(seeded(1), 200_000, 60_000)
	root := b.TempDir()
	for b.Loop() {
		path := put(b, root, Flush, rows)
		_ = os.Remove(path)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
}

func BenchmarkMerge(b *testing.B) {
	from, to := b.TempDir(), b.TempDir()
	plan := Plan{Root: to, Name: Name{From: noon, To: noon.Add(time.Hour), Level: Hour}}
	count := 0
	for i := range uint64(6) {
		rows := anyRows(seeded(i), 100_000, 60_000)
		count += len(rows)
		plan.Inputs = append(plan.Inputs, put(b, from, Flush, rows))
	}
	for b.Loop() {
		name, err := Merge(context.Background(), disk.OS{}, plan)
		if err != nil {
			b.Fatal(err)
		}
		_ = os.Remove(filepath.Join(to, name.Folder(), name.String()))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/row")
}

func BenchmarkSearchOne(b *testing.B) {
	rows := anyRows(seeded(1), 300_000, 60_000)
	path := put(b, b.TempDir(), Day, rows)
	ranges := []span.Range{span.One(rows[len(rows)/2].Outside)}
	for b.Loop() {
		if got, err := find(path, ranges); err != nil || len(got) == 0 {
			b.Fatal(len(got), err)
		}
	}
}
