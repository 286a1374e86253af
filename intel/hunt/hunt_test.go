package hunt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
)

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 15)) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// anyRow gives a row of one day, from a small space.
func anyRow(r *rand.Rand, n int) row.Row {
	outside := flow.Addr6Of(netip.AddrFrom4([4]byte{198, 51, byte(r.IntN(2)), byte(r.IntN(60))}))
	if r.IntN(5) == 0 {
		outside = flow.Addr6{Hi: 0x20010db8 << 32, Lo: uint64(r.IntN(50))}
	}
	first := uint32(day.AddDate(0, 0, n).Unix()) + uint32(r.IntN(80_000))
	number := func() uint64 { return r.Uint64() >> (20 + r.IntN(44)) }
	one := row.Row{
		Outside: outside, Inside: flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(9))})),
		Protocol: [...]uint8{1, 6, 17, 255}[r.IntN(4)], Port: [...]uint16{0, 53, 443, 65535}[r.IntN(4)],
		Exporter:  [...]netip.Addr{{}, netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}[r.IntN(3)],
		Site:      [...]string{"", "north", "Zürich *"}[r.IntN(3)],
		Direction: uint8(r.IntN(4)), Flags: uint8(r.IntN(16)),
		First: first, Last: first + uint32(r.IntN(4000)), Flows: 1 + r.Uint32()>>(8+r.IntN(20)),
		PacketsOut: number(), PacketsIn: number(), BytesOut: number(), BytesIn: number(),
		Sampling: 1 << r.IntN(4), Hours: r.Uint32() & (1<<24 - 1),
	}
	if r.IntN(8) == 0 {
		one.Inside, one.Folded = flow.Addr6{}, 1+r.Uint32()>>9
	}
	return one
}

// write writes rows to a file of a day.
func write(t testing.TB, root string, n int, rows []row.Row) string {
	t.Helper()
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	rows = slices.CompactFunc(rows, func(a, b row.Row) bool { return row.Compare(&a, &b) == 0 })
	from := day.AddDate(0, 0, n)
	return filetest.Put(t, root, file.Name{From: from, To: from.AddDate(0, 0, 1), Level: file.Day}, file.Form{Edge: true}, file.Info{}, rows)
}

// month writes a history, and gives all its rows, those of each day by themselves.
func month(t testing.TB, root string, days, rows int) (all [][]row.Row) {
	r := seeded(1)
	for n := range days {
		var list []row.Row
		seen := make(map[row.Row]bool)
		for range rows {
			one := anyRow(r, n)
			key := row.Row{Outside: one.Outside, Inside: one.Inside, Protocol: one.Protocol, Port: one.Port, Exporter: one.Exporter, Site: one.Site, Direction: one.Direction}
			if !seen[key] {
				seen[key] = true
				list = append(list, one)
			}
		}
		write(t, root, n, slices.Clone(list))
		all = append(all, list)
	}
	return all
}

// scan answers a question the plain way.
func scan(all [][]row.Row, q *question.Question) (rows []Row, beside uint64) {
	for n := len(all) - 1; n >= 0; n-- {
		var found []Row
		for _, r := range all[n] {
			in := func(list []netip.Prefix, a flow.Addr6) bool {
				return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Addr().Unmap()) })
			}
			outside := slices.ContainsFunc(q.Ranges, func(x span.Range) bool {
				return x.From.Addr().Compare(r.Outside.Addr()) <= 0 && r.Outside.Addr().Compare(x.To.Addr()) <= 0
			})
			first, last := time.Unix(int64(r.First), 0), time.Unix(int64(r.Last), 0)
			if !outside || !q.Since.IsZero() && last.Before(q.Since) || !q.Until.IsZero() && first.After(q.Until) {
				continue
			}
			host := len(q.Hosts) == 0 || r.Folded == 0 && in(q.Hosts, r.Inside)
			port := len(q.Ports) == 0 || slices.Contains(q.Ports, r.Port)
			switch {
			case host && port:
				found = append(found, rowOf(&r))
			case r.Folded > 0 && (port || r.Port == 0):
				beside++
			}
		}
		order(found)
		rows = append(rows, found...)
	}
	return rows, beside
}

// order sorts rows in a total order that has the newest first.
func order(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		if c := cmp.Or(b.Last.Compare(a.Last), b.First.Compare(a.First)); c != 0 {
			return c
		}
		return bytes.Compare(a.AppendJSON(nil), b.AppendJSON(nil))
	})
}

// ask gives the answer to a question.
func ask(t testing.TB, root string, q *question.Question) ([]Row, Summary) {
	t.Helper()
	var rows []Row
	sum, err := Search(t.Context(), folder.Open(disk.OS{}, root), q, func(part []Row) error {
		rows = append(rows, part...)
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rows, sum
}

// TestSearchEqualsAScan: random questions to a random history are answered as a scan of
// all rows does it, newest first.
func TestSearchEqualsAScan(t *testing.T) {
	root := t.TempDir()
	all := month(t, root, 6, 1000)
	r := seeded(2)
	outsides := []netip.Prefix{prefix("198.51.0.0/16"), prefix("198.51.1.7/32"), prefix("198.51.0.16/28"), prefix("2001:db8::/32"), prefix("2001:db8::3/128"), prefix("0.0.0.0/0"), prefix("203.0.113.0/24")}
	found := 0
	for n := range 300 {
		q := &question.Question{Ranges: span.OfAll([]netip.Prefix{outsides[r.IntN(len(outsides))], outsides[r.IntN(len(outsides))]})}
		if r.IntN(3) == 0 {
			q.Hosts = []netip.Prefix{prefix([]string{"10.0.0.4/32", "10.0.0.0/30", "0.0.0.0/0", "::/0"}[r.IntN(4)])}
		}
		if r.IntN(3) == 0 {
			q.Ports = [][]uint16{{443}, {0, 53}, {1}}[r.IntN(3)]
		}
		if r.IntN(3) == 0 {
			q.Since = day.Add(time.Duration(r.IntN(6*86400)) * time.Second)
		}
		if r.IntN(3) == 0 {
			q.Until = day.Add(time.Duration(r.IntN(6*86400)) * time.Second)
		}
		want, beside := scan(all, q)
		if r.IntN(4) == 0 {
			q.Limit = 1 + r.IntN(500)
		}
		got, sum := ask(t, root, q)
		if q.Limit > 0 && q.Limit <= len(want) {
			// Of rows with the same times any may be there.
			if len(got) != q.Limit || !sum.Limited || !reflect.DeepEqual(times(got), times(want[:q.Limit])) {
				t.Fatalf("question %d, %+v: %d rows, limited: %v, want the newest %d", n, q, len(got), sum.Limited, q.Limit)
			}
			continue
		}
		reorder(got)
		if len(got) != len(want) || sum.Rows != uint64(len(want)) || sum.Limited || sum.Beside != beside {
			t.Fatalf("question %d, %+v: %d rows, %+v; want %d, and %d beside", n, q, len(got), sum, len(want), beside)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("question %d, %+v, row %d:\n got %+v\nwant %+v", n, q, i, got[i], want[i])
			}
		}
		check(t, &sum, want)
		found += len(want)
	}
	if found < 50_000 {
		t.Errorf("only %d rows compared", found)
	}
}

// times are those of rows, in their order.
func times(rows []Row) (list [][2]time.Time) {
	for i := range rows {
		list = append(list, [2]time.Time{rows[i].Last, rows[i].First})
	}
	return list
}

// reorder puts rows of the same times into the total order, and leaves others where they are.
func reorder(rows []Row) {
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && rows[to].Last.Equal(rows[from].Last) && rows[to].First.Equal(rows[from].First) {
			to++
		}
		order(rows[from:to])
		from = to
	}
}

// check compares a summary with the rows that it is of.
func check(t *testing.T, s *Summary, rows []Row) {
	t.Helper()
	hosts := make(map[string]bool)
	var want Summary
	for i := range rows {
		r := &rows[i]
		if r.Inside.IsValid() {
			hosts[r.Site+" "+r.Inside.String()] = true
		}
		want.Flows, want.BytesIn, want.BytesOut, want.Folded = want.Flows+uint64(r.Flows), want.BytesIn+r.BytesIn, want.BytesOut+r.BytesOut, want.Folded+uint64(r.Folded)
		if want.First.IsZero() || r.First.Before(want.First) {
			want.First = r.First
		}
		if r.Last.After(want.Last) {
			want.Last = r.Last
		}
	}
	if s.Hosts != len(hosts) || s.HostsMore || s.Flows != want.Flows || s.BytesIn != want.BytesIn || s.BytesOut != want.BytesOut || s.Folded != want.Folded ||
		!s.First.Equal(want.First) || !s.Last.Equal(want.Last) || !s.Began.Equal(day) || !s.Until.Equal(day.AddDate(0, 0, 6)) || len(s.Bad) > 0 {
		t.Fatalf("summary %+v, want %+v and %d hosts", s, want, len(hosts))
	}
}

// TestLargeFile: of a file with more rows than are held, the newest come out with a limit,
// and all of them without one.
func TestLargeFile(t *testing.T) {
	root, r := t.TempDir(), seeded(3)
	var rows []row.Row
	for n := range 2*sorted + 100 {
		one := anyRow(r, 0)
		one.Outside, one.Inside = flow.Addr6Of(netip.MustParseAddr("198.51.100.1")), flow.Addr6{Lo: 0xffff_0a00_0000 + uint64(n)}
		rows = append(rows, one)
	}
	write(t, root, 0, slices.Clone(rows))
	want, _ := scan([][]row.Row{rows}, &question.Question{Ranges: span.All()})
	for _, limit := range []int{1, 5, 1000, sorted / 2, sorted/2 + 1, sorted, sorted + 7, len(rows), 0} {
		got, sum := ask(t, root, &question.Question{Ranges: span.All(), Limit: limit})
		n := len(want)
		if limit > 0 {
			n = limit
		}
		if len(got) != n || sum.Rows != uint64(n) || sum.Limited != (limit > 0) {
			t.Errorf("limit %d: %d rows, %+v", limit, len(got), sum)
			continue
		}
		if limit > 0 && limit <= sorted/2 && !reflect.DeepEqual(times(got), times(want[:n])) {
			t.Errorf("limit %d: these are not the newest", limit)
		}
		if limit == 0 {
			for i := 0; i < len(got); i += sorted {
				if !slices.IsSortedFunc(got[i:min(i+sorted, len(got))], func(a, b Row) int { return b.Last.Compare(a.Last) }) {
					t.Errorf("piece %d is not in order", i/sorted)
				}
			}
		}
	}
	if _, sum := ask(t, root, &question.Question{Ranges: span.All()}); sum.Hosts != maxCounted || !sum.HostsMore {
		t.Errorf("%d hosts counted, more: %v", sum.Hosts, sum.HostsMore)
	}
}

// TestNothingIsNotSilent: what is no history, damaged, or of another time is no answer.
func TestNothingIsNotSilent(t *testing.T) {
	root := t.TempDir()
	q := &question.Question{Ranges: span.OfAll([]netip.Prefix{prefix("203.0.113.9/32")})}
	if rows, sum := ask(t, filepath.Join(root, "none"), q); len(rows) > 0 || sum.Conclusive(q) {
		t.Errorf("no folder: %+v", sum)
	}
	all := month(t, root, 3, 300)
	if rows, sum := ask(t, root, q); len(rows) > 0 || !sum.Conclusive(q) {
		t.Errorf("nothing found: %+v", sum)
	}
	for _, other := range []*question.Question{{Ranges: q.Ranges, Until: day.Add(-time.Hour)}, {Ranges: q.Ranges, Since: day.AddDate(0, 0, 4)}} {
		if rows, sum := ask(t, root, other); len(rows) > 0 || sum.Conclusive(other) {
			t.Errorf("another time: %+v", sum)
		}
	}
	path := write(t, root, 3, slices.Clone(all[0]))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-9], 0o640); err != nil {
		t.Fatal(err)
	}
	rows, sum := ask(t, root, q)
	if len(rows) > 0 || sum.Conclusive(q) || len(sum.Bad) != 1 || sum.Bad[0].File != filepath.Base(path) || !strings.Contains(sum.Bad[0].Error, "damaged") {
		t.Errorf("a damaged file: %+v", sum)
	}
	if err := os.Rename(path, path+folder.Damaged); err != nil { // as the instance does it
		t.Fatal(err)
	}
	if rows, sum := ask(t, root, q); len(rows) > 0 || sum.Conclusive(q) || len(sum.Bad) != 1 || sum.Bad[0].File != filepath.Base(path)+folder.Damaged {
		t.Errorf("a file that was set aside: %+v", sum)
	}
	early := &question.Question{Ranges: q.Ranges, Until: day.AddDate(0, 0, 1)}
	if _, sum := ask(t, root, early); !sum.Conclusive(early) {
		t.Errorf("before a file that was set aside: %+v", sum)
	}
	if rows, _ := ask(t, root, &question.Question{Ranges: span.All()}); len(rows) != len(all[0])+len(all[1])+len(all[2]) {
		t.Errorf("beside a damaged file %d rows", len(rows))
	}
}

// TestSearchEnds: an error of emit, or the end of the context, ends a search, and the
// summary is that of what came before.
func TestSearchEnds(t *testing.T) {
	root := t.TempDir()
	all := month(t, root, 4, 1000)
	stop := errors.New("stop")
	calls := 0
	sum, err := Search(t.Context(), folder.Open(disk.OS{}, root), &question.Question{Ranges: span.All()}, func([]Row) error {
		if calls++; calls == 2 {
			return stop
		}
		return nil
	}, nil)
	if !errors.Is(err, stop) || calls != 2 || sum.Rows != uint64(len(all[3])+len(all[2])) {
		t.Errorf("%v after %d calls, %+v", err, calls, sum)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	_, err = Search(ctx, folder.Open(disk.OS{}, root), &question.Question{Ranges: span.All()}, func([]Row) error {
		calls++
		cancel()
		return nil
	}, nil)
	if !errors.Is(err, context.Canceled) || calls > 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestAnswered: what a row shows of an answer, by who opened it, what came back and whether
// every packet was seen.
func TestAnswered(t *testing.T) {
	for _, tt := range []struct {
		direction, flags uint8
		in, out          uint64
		sampling         uint32
		want             event.Answered
	}{
		{row.Outbound, 0, 0, 5, 1, event.AnsweredNo},
		{row.Outbound, 0, 3, 5, 1, event.AnsweredYes},
		{row.Outbound, row.Refused, 3, 5, 1, event.AnsweredNo},
		{row.Outbound, row.Refused, 3, 5, 100, event.AnsweredUnknown},
		{row.Outbound, row.Refused | row.Answered, 3, 5, 100, event.AnsweredYes},
		{row.Outbound, row.Answered, 0, 5, 1, event.AnsweredYes},
		{row.Outbound, 0, 0, 5, 100, event.AnsweredUnknown},
		{row.Outbound, 0, 1, 0, 1, event.AnsweredYes},
		{row.Inbound, 0, 5, 0, 1, event.AnsweredNo},
		{row.Inbound, 0, 5, 1, 1, event.AnsweredYes},
		{row.Inbound, 0, 5, 0, 2, event.AnsweredUnknown},
		{row.Unknown, 0, 5, 0, 1, event.AnsweredNo},
		{row.Unknown, 0, 5, 1, 1, event.AnsweredYes},
		{row.Transit, 0, 5, 1, 10, event.AnsweredYes},
		{row.Transit, 0, 0, 1, 0, event.AnsweredNo},
	} {
		r := row.Row{Direction: tt.direction, Flags: tt.flags, PacketsIn: tt.in, PacketsOut: tt.out, Sampling: tt.sampling}
		if got := rowOf(&r).Answered; got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// TestForms: a row as JSON and as CSV holds all that it has, and is read back the same.
func TestForms(t *testing.T) {
	r := seeded(4)
	for range 5000 {
		in := anyRow(r, 0)
		want := rowOf(&in)
		line := want.AppendJSON(nil)
		var got Row
		if err := json.Unmarshal(line, &got); err != nil || got != want {
			t.Fatalf("%s: %v\n got %+v\nwant %+v", line, err, got, want)
		}
		if again, err := json.Marshal(got); err != nil || string(again)+"\n" != string(line) {
			t.Fatalf("%s, %v; want %s", again, err, line)
		}
		var keys map[string]any
		if err := json.Unmarshal(line, &keys); err != nil {
			t.Fatal(err)
		}
		fields := want.Fields()
		if len(fields) != len(Header()) {
			t.Fatalf("%d fields, %d columns", len(fields), len(Header()))
		}
		for i, name := range Header() {
			value := fmt.Sprint(keys[name])
			switch v := keys[name].(type) {
			case nil:
				value = ""
			case float64:
				value = fmt.Sprintf("%.0f", v)
			case []any:
				value = strings.Trim(value, "[]")
			}
			if value != fields[i] {
				t.Fatalf("%s: %q in JSON, %q in CSV", name, value, fields[i])
			}
		}
	}
	for _, bad := range []string{"{}", `{"protocol":"tcp"}`, `{"protocol":"tcp","inside":"x"}`, `{"protocol":"nope","inside":"*"}`, "[]"} {
		if json.Unmarshal([]byte(bad), new(Row)) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestFormula: no name becomes a formula in a spreadsheet (CWE-1236).
func TestFormula(t *testing.T) {
	for _, site := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "", "a,\"b\"\nc"} {
		row := Row{Site: site, Outside: netip.MustParseAddr("2001:db8::1")}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		_ = w.Write(Header())
		_ = w.Write(row.Fields())
		w.Flush()
		read, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, cell := range read[1] {
			if cell != "" && strings.Contains("=+-@\t\r", cell[:1]) {
				t.Errorf("site %q: %s begins as a formula: %q", site, read[0][i], cell)
			}
		}
	}
}
