//go:build integration

package readers

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// shown gives the blocks of code that the page about the history has under a heading.
func shown(t *testing.T, heading string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../flow/history/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("no %s on the page", heading)
	}
	section = regexp.MustCompile(`(?m)^##`).Split(section, 2)[0]
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```[a-z]+\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// contact makes a row. The addresses outside that the page asks for are among few.
func contact(r *rand.Rand, day time.Time) row.Row {
	v4 := func(s string, n int) flow.Addr6 {
		a := netip.MustParseAddr(s).As4()
		a[3] = byte(r.IntN(n))
		return flow.Addr6Of(netip.AddrFrom4(a))
	}
	one := row.Row{
		Outside: v4([...]string{"203.0.113.0", "203.0.112.0", "203.0.114.0", "9.0.0.0"}[r.IntN(4)], 100),
		Inside:  v4([...]string{"10.1.0.0", "10.2.0.0"}[r.IntN(2)], 20), Protocol: [...]uint8{1, 6, 17}[r.IntN(3)],
		Port: [...]uint16{0, 22, 443, 65535}[r.IntN(4)], Site: [...]string{"", "oslo", "Zürich"}[r.IntN(3)],
		Exporter:  [...]netip.Addr{{}, netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}[r.IntN(3)],
		Direction: uint8(r.IntN(4)), Flags: uint8(r.IntN(16)), Flows: 1 + r.Uint32N(1000),
		PacketsOut: r.Uint64N(1e9), PacketsIn: r.Uint64N(1e9), BytesOut: r.Uint64N(1e15), BytesIn: r.Uint64N(1e15),
		Sampling: 1 << r.IntN(12), Hours: r.Uint32() & (1<<24 - 1),
	}
	if r.IntN(10) == 0 {
		one.Outside, one.Inside = flow.Addr6{Hi: 0x20010db8 << 32, Lo: r.Uint64N(50)}, flow.Addr6{Hi: 0xfd << 56, Lo: r.Uint64N(20)}
	}
	if r.IntN(20) == 0 {
		one.Inside, one.Folded, one.Direction, one.Flags = flow.Addr6{}, 1+r.Uint32N(100_000), row.Inbound, 0
	}
	one.First = uint32(day.Unix()) + r.Uint32N(86_000)
	one.Last = one.First + r.Uint32N(400)
	return one
}

// written writes a history of two merged days, of one with hours, and of one in work, and gives
// its rows, file by file as they were written.
func written(t *testing.T, dir string) (all []row.Row) {
	t.Helper()
	r := rand.New(rand.NewPCG(4, 15))
	begin := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	write := func(from, to time.Time, level file.Level, n int) {
		one := map[row.Row]row.Row{} // by key
		for range n {
			c := contact(r, from.Truncate(24*time.Hour))
			key := row.Row{Outside: c.Outside, Inside: c.Inside, Protocol: c.Protocol, Port: c.Port, Exporter: c.Exporter, Site: c.Site, Direction: c.Direction}
			one[key] = c
		}
		rows := slices.SortedFunc(maps.Values(one), func(a, b row.Row) int { return row.Compare(&a, &b) })
		w, err := file.Create(disk.OS{}, filepath.Join(dir, "history"), file.Name{From: from, To: to, Level: level}, file.Form{Edge: n < 50_000}, file.Info{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		all = append(all, rows...)
	}
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	write(day(0), day(1), file.Day, 100_000) // of several row groups
	write(day(1), day(2), file.Day, 70_000)
	write(day(2), day(2).Add(time.Hour), file.Hour, 10_000)
	write(day(2).Add(time.Hour), day(2).Add(2*time.Hour), file.Hour, 10_000)
	write(day(3), day(3).Add(10*time.Minute), file.Flush, 1000)
	// What readers must leave alone.
	for name, content := range map[string]string{"2026/11/29/c-half.tmp": "PAR1", "2026/11/29/c-broken.parquet.bad": "PAR1", "README.txt": "personal data"} {
		if err := os.WriteFile(filepath.Join(dir, "history", name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// texts are the columns of a row that are addresses.
func texts(r *row.Row) (outside, inside, exporter string) {
	outside, inside = r.Outside.Addr().Unmap().String(), r.Inside.Addr().Unmap().String()
	if r.Folded > 0 {
		inside = "*"
	}
	if r.Exporter.IsValid() {
		exporter = r.Exporter.String()
	}
	return outside, inside, exporter
}

// line gives all columns of a row, times as seconds.
func line(r *row.Row) string {
	outside, inside, exporter := texts(r)
	key := r.Outside.Addr().As16()
	return fmt.Sprintf("%s\t%X\t%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", outside, key[:], inside, r.Protocol, r.Port, exporter, r.Site,
		r.Direction, r.Flags, r.First, r.Last-r.First, r.Flows, r.PacketsOut, r.PacketsIn, r.BytesOut, r.BytesIn, r.Sampling, r.Hours, r.Folded)
}

// A sum is what rows with the same first columns add up to.
type sum struct {
	since, until uint32
	rows, flows  uint64
	out, in      uint64
	hosts        map[string]bool
	first        string
}

// count adds up rows by a text, those without one left out.
func count(rows []row.Row, by func(*row.Row) string) []*sum {
	sums := map[string]*sum{}
	for i := range rows {
		r := &rows[i]
		key := by(r)
		if key == "" {
			continue
		}
		s := sums[key]
		if s == nil {
			s = &sum{since: r.First, hosts: map[string]bool{}, first: key}
			sums[key] = s
		}
		s.since, s.until = min(s.since, r.First), max(s.until, r.Last)
		s.rows, s.flows, s.out, s.in = s.rows+1, s.flows+uint64(r.Flows), s.out+r.BytesOut, s.in+r.BytesIn
		if r.Folded == 0 {
			_, inside, _ := texts(r)
			s.hosts[inside] = true
		}
	}
	return slices.Collect(maps.Values(sums))
}

func lines(sums []*sum, f func(*sum) string) (all []string) {
	for _, s := range sums {
		all = append(all, f(s))
	}
	return all
}

// same compares lines in any order, and their order by a column, falling.
func same(t *testing.T, what, out string, want []string, column int) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	last := uint64(1<<64 - 1)
	for _, l := range got {
		if column < 0 {
			break
		}
		n, err := strconv.ParseUint(strings.Split(l, "\t")[column], 10, 64)
		if err != nil || n > last {
			t.Errorf("%s: out of order at %s: %v", what, l, err)
			break
		}
		last = n
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s:\n got %s\nwant %s", what, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d lines, want %d", what, len(got), len(want))
	}
	t.Logf("%s: %d lines, the first: %s", what, len(got), got[0])
}

// TestHistory: DuckDB, ClickHouse and pandas read from the files of a history the rows that our
// own search finds, which are those that were written, and every query of the page gives what a
// slow count gives.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	rows := written(t, dir)
	var all []string
	for i := range rows {
		all = append(all, line(&rows[i]))
	}
	t.Run("own search", func(t *testing.T) {
		var found strings.Builder
		everything := span.OfAll([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
		done, err := folder.Open(disk.OS{}, filepath.Join(dir, "history")).Search(context.Background(), folder.Query{Ranges: everything, Emit: func(_ folder.Entry, part []row.Row) error {
			for i := range part {
				found.WriteString(line(&part[i]) + "\n")
			}
			return nil
		}})
		if err != nil || len(done.Bad) > 0 || done.Rows != int64(len(rows)) {
			t.Fatalf("%+v, %v", done, err)
		}
		same(t, "all rows", found.String(), all, -1)
	})

	const address = "203.0.113.70"
	hosts := lines(count(rows, func(r *row.Row) string {
		if outside, inside, _ := texts(r); outside == address {
			return fmt.Sprintf("%s\t%s\t%d\t%d", inside, r.Site, r.Protocol, r.Port)
		}
		return ""
	}), func(s *sum) string {
		return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d", s.first, s.since, s.until, s.flows, s.out, s.in)
	})
	prefix := netip.MustParsePrefix("203.0.113.0/24")
	outsides := lines(count(rows, func(r *row.Row) string {
		if a := r.Outside.Addr().Unmap(); prefix.Contains(a) {
			return a.String()
		}
		return ""
	}), func(s *sum) string {
		return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d", s.first, s.rows, len(s.hosts), s.flows, s.out, s.in)
	})
	bad := map[string]bool{address: true, "2001:db8::7": true, "9.0.0.1": true, "192.0.2.1": true}
	if err := os.WriteFile(filepath.Join(dir, "bad.txt"), []byte(strings.Join(slices.Sorted(maps.Keys(bad)), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	answered := lines(count(rows, func(r *row.Row) string {
		outside, inside, _ := texts(r)
		if bad[outside] && r.Direction == row.Outbound && r.Flags&row.Answered > 0 && r.Flags&row.Refused == 0 {
			return inside + "\t" + r.Site + "\t" + outside
		}
		return ""
	}), func(s *sum) string { return fmt.Sprintf("%s\t%d\t%d\t%d", s.first, s.since, s.until, s.out) })

	// Every script runs in the folder that has the history, and prints times as seconds.
	const columns = `outside, hex(outside_key), inside, protocol, port, exporter, site, direction, flags, %s, duration, flows, packets_out, packets_in, bytes_out, bytes_in, sampling, hours, folded`
	const show = `
import os, sys, datetime
os.chdir(sys.argv[1])
def text(v):
    return str(int(v.timestamp())) if isinstance(v, datetime.datetime) else v.hex().upper() if isinstance(v, bytes) else str(v)
def show(rows):
    for r in rows:
        print(*map(text, r), sep="\t")
`
	t.Run("DuckDB", func(t *testing.T) {
		snake := python(t, "duckdb==2.0.1", "pytz")
		query := func(sql string) string {
			return run(t, []byte(sql), snake, "-c", show+"import duckdb\nshow(duckdb.sql(sys.stdin.read()).fetchall())", dir)
		}
		blocks := shown(t, "DuckDB")
		if len(blocks) != 3 {
			t.Fatalf("%d queries", len(blocks))
		}
		same(t, "all rows", query("SELECT "+fmt.Sprintf(columns, `epoch("first")::BIGINT`)+" FROM 'history/*/*/*/*.parquet'"), all, -1)
		same(t, "address", query(blocks[0]), hosts, 5)
		same(t, "prefix", query(blocks[1]), outsides, 4)
		same(t, "list", query(blocks[2]), answered, 4)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		snake := python(t, "chdb==4.4.0")
		query := func(sql string) string {
			return run(t, []byte(sql), snake, "-c", show+`import chdb
print(chdb.query(sys.stdin.read().strip().rstrip(";") + " SETTINGS date_time_output_format = 'unix_timestamp'", "TabSeparated").bytes().decode(), end="")`, dir)
		}
		blocks := shown(t, "ClickHouse")
		if len(blocks) != 2 {
			t.Fatalf("%d queries", len(blocks))
		}
		whole := regexp.MustCompile(`\.000(\t|\n)`) // timestamps have milliseconds
		same(t, "all rows", whole.ReplaceAllString(query("SELECT "+fmt.Sprintf(columns, `"first"`)+" FROM file('history/*/*/*/*.parquet', Parquet)"), "$1"), all, -1)
		same(t, "address", whole.ReplaceAllString(query(blocks[0]), "$1"), hosts, 5)
		same(t, "prefix", query(blocks[1]), outsides, 4)
	})
	t.Run("pandas", func(t *testing.T) {
		snake := python(t, "pandas==3.1.1", "pyarrow==26.0.1")
		blocks := shown(t, "pandas")
		if len(blocks) != 1 {
			t.Fatalf("%d scripts", len(blocks))
		}
		script := show + strings.ReplaceAll(blocks[0], "print(hosts)", "") + "\nshow(hosts.itertuples(index=False))"
		same(t, "address", run(t, nil, snake, "-c", script, dir), hosts, 5)
		same(t, "all rows", run(t, nil, snake, "-c", script+"\nprint('all')\nshow(history.to_table().to_pandas().itertuples(index=False))", dir), append(append(slices.Clone(hosts), "all"), all...), -1)
	})
}
