package hunt

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
)

// TestCarried: a hunt for IPv4 finds the IPv6 addresses that carry it, also of a list that is
// too long for ranges of their own, and nothing else.
func TestCarried(t *testing.T) {
	root := t.TempDir()
	var rows []row.Row
	for _, s := range []string{
		"203.0.113.9", "64:ff9b::203.0.113.9", "2002:cb00:7109::5", "2001:db8:64::203.0.113.9", "::ffff:0:203.0.113.9", "64:ff9b:1:cb00:71:900::", // found
		"203.0.113.8", "64:ff9b::203.0.113.8", "2002:cb00:7108::5", "2001:db8:65::203.0.113.9", "2001:db8:64::203.0.113.8", "2001:db8::1", // not
	} {
		at := uint32(day.Unix()) + uint32(len(rows))
		rows = append(rows, row.Row{Outside: flow.Addr6Of(netip.MustParseAddr(s)), Inside: flow.Addr6Of(netip.MustParseAddr("10.0.0.5")), Protocol: 6, Port: 443, First: at, Last: at, Flows: 1, Sampling: 1})
	}
	write(t, root, 0, slices.Clone(rows))
	embedding := intel.NewEmbedding([]netip.Prefix{prefix("2001:db8:64::/96")})
	long := []netip.Prefix{prefix("203.0.113.9/32")}
	for n := range 20_000 {
		long = append(long, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(100 + n>>14), byte(n >> 7), byte(n << 1), 1}), 32), netip.PrefixFrom(netip.AddrFrom4([4]byte{210, byte(n >> 7), byte(n << 1), 1}), 32))
	}
	for _, asked := range [][]netip.Prefix{{prefix("203.0.113.9/32")}, long} {
		got, sum := ask(t, root, &question.Question{Ranges: span.OfAll(asked), Embedding: embedding})
		if len(got) != 6 || sum.Rows != 6 {
			t.Errorf("%d addresses asked for: %d rows", len(asked), len(got))
		}
		for _, r := range got {
			if !slices.ContainsFunc(rows[:6], func(x row.Row) bool { return x.Outside.Addr().Unmap() == r.Outside }) {
				t.Errorf("%s was not asked for", r.Outside)
			}
		}
	}
	if got, _ := ask(t, root, &question.Question{Ranges: span.OfAll([]netip.Prefix{prefix("203.0.113.9/32")})}); len(got) != 5 {
		t.Errorf("without a prefix of the operator %d rows", len(got))
	}
	if got, _ := ask(t, root, &question.Question{Ranges: span.OfAll([]netip.Prefix{prefix("203.0.113.8/31")}), Embedding: embedding}); len(got) != 10 {
		t.Errorf("of both %d rows", len(got))
	}
	if got, _ := ask(t, root, &question.Question{Ranges: span.All(), Embedding: embedding}); len(got) != len(rows) {
		t.Errorf("of all %d rows", len(got))
	}
}

// TestLossesAreInTheSummary: nothing found is no answer where the history lost flows, and
// what is damaged is named up to a bound, so that every summary can be read.
func TestLossesAreInTheSummary(t *testing.T) {
	root := t.TempDir()
	q := &question.Question{Ranges: span.OfAll([]netip.Prefix{prefix("203.0.113.9/32")})}
	filetest.Put(t, root, file.Name{From: day, To: day.AddDate(0, 0, 1), Level: file.Day}, file.Form{}, file.Info{Lost: 7, Folded: 9}, []row.Row{anyRow(seeded(1), 0)})
	if _, sum := ask(t, root, q); sum.LostFlows != 7 || sum.FoldedFlows != 9 || sum.Conclusive(q) {
		t.Errorf("%+v", sum)
	}
	const bad = 1500
	for n := range bad {
		name := file.Name{From: day, To: day.AddDate(0, 0, 1), Level: file.Day, Seq: uint32(2 + n)}
		if err := os.WriteFile(filepath.Join(root, name.Folder(), name.String()+".bad"), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	_, sum := ask(t, root, q)
	if len(sum.Bad) != maxNamed || sum.BadMore != bad-maxNamed {
		t.Errorf("%d damaged files are named, and %d more", len(sum.Bad), sum.BadMore)
	}
	for i := range sum.Bad {
		sum.Bad[i].Error = fmt.Sprintf("%0*d", maxReason, i)
	}
	read, err := ReadAnswer(bytes.NewReader(AppendEnd(nil, &sum, nil)), nil, nil)
	if err != nil || len(read.Bad) != maxNamed || read.BadMore != sum.BadMore || read.LostFlows != 7 {
		t.Errorf("read as %+v, %v", read, err)
	}
}

// TestLargeLimit: the rows of a file are in order whatever the limit.
func TestLargeLimit(t *testing.T) {
	root := t.TempDir()
	month(t, root, 1, 500)
	want, _ := ask(t, root, &question.Question{Ranges: span.All()})
	got, _ := ask(t, root, &question.Question{Ranges: span.All(), Limit: int(^uint(0) >> 1)})
	if !slices.Equal(times(got), times(want)) {
		t.Error("another order")
	}
}
