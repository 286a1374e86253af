package contacts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

var midnight = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// put writes a file of a history and gives its path.
func put(t testing.TB, root string, from, to time.Time, level file.Level, rows []row.Row) string {
	t.Helper()
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	return filetest.Put(t, root, file.Name{From: from, To: to, Level: level}, file.Form{Edge: true}, file.Info{Lost: 2}, rows)
}

// contact is a row of one flow.
func contact(outside int, when time.Time) row.Row {
	at := uint32(when.Unix())
	return row.Row{Outside: flow.Mapped(198<<24 + uint32(outside)), Inside: flow.Mapped(10<<24 + 1), Protocol: 6, Port: 25, Direction: row.Inbound,
		First: at, Last: at, Flows: 1, PacketsIn: 1, BytesIn: 40, Sampling: 1, Hours: 1 << when.Hour(), Site: "oslo"}
}

// A notes notes what a taker is given.
type notes struct {
	t    *testing.T
	all  []rule.Observation
	ends []string // for each interval how many observations, and whether the hour was complete
	last int
}

func (n *notes) Text(s string) uint32         { return uint32(len(s)) }
func (n *notes) Wants(*rule.Observation) bool { return true }
func (n *notes) Observe(o *rule.Observation)  { n.all = append(n.all, *o) }
func (n *notes) EndInterval(complete bool) {
	n.ends = append(n.ends, fmt.Sprint(len(n.all)-n.last, " ", complete))
	n.last = len(n.all)
}

func read(t *testing.T, root string, q Query) (*notes, Done) {
	t.Helper()
	n := &notes{t: t}
	done, err := Read(context.Background(), folder.Open(disk.OS{}, root), n, q)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(n.all); i++ {
		if n.all[i].Time < n.all[i-1].Time {
			t.Fatalf("hour %d after %d", n.all[i].Time, n.all[i-1].Time)
		}
	}
	return n, done
}

func TestHours(t *testing.T) {
	root := t.TempDir()
	for _, m := range []int{0, 10, 20, 50, 60, 70} {
		at := midnight.Add(9*time.Hour + time.Duration(m)*time.Minute)
		put(t, root, at, at.Add(10*time.Minute-time.Second), file.Flush, []row.Row{contact(m, at), contact(m+1, at)})
	}
	n, done := read(t, root, Query{})
	if want := []string{"2 false", "2 false", "2 false", "2 false", "0 true", "2 false", "2 false", "0 true"}; !slices.Equal(n.ends, want) {
		t.Errorf("intervals %q", n.ends)
	}
	if done.Files != 6 || done.Rows != 12 || done.Spread != 0 || done.Lost != 12 || len(done.Bad) != 0 {
		t.Errorf("%+v", done)
	}
	o := n.all[0]
	if o.Time != uint32(midnight.Add(9*time.Hour).Unix()) || o.First != o.Time || o.Site != 4 || o.Direction != 1 || o.Answered != 0 || o.Flows != 1 || o.BytesIn != 40 {
		t.Errorf("%+v", o)
	}
	n, _ = read(t, root, Query{From: midnight.Add(10*time.Hour + 30*time.Minute)})
	if len(n.all) != 4 {
		t.Errorf("%d observations of the second hour", len(n.all))
	}
	n, _ = read(t, root, Query{To: midnight.Add(9 * time.Hour)})
	if len(n.all) != 8 {
		t.Errorf("%d observations of the first hour", len(n.all))
	}
}

// TestDayFile: a file of a day gives each hour what it had, whatever the room, and sums stay.
func TestDayFile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var rows []row.Row
	flows, bytes := uint64(0), uint64(0)
	want := make(map[string]bool) // outside and hour
	for i := range 500 {
		r := contact(i, midnight.Add(time.Duration(rnd.IntN(24))*time.Hour))
		r.Hours = 0
		first, last := 24, 0
		for range 1 + rnd.IntN(5) {
			h := rnd.IntN(24)
			r.Hours |= 1 << h
			first, last = min(first, h), max(last, h)
			want[fmt.Sprint(r.Outside, h)] = true
		}
		r.First, r.Last = uint32(midnight.Unix())+uint32(first)*hour+5, uint32(midnight.Unix())+uint32(last)*hour+3000
		r.Flows, r.BytesIn = 1+rnd.Uint32N(50), rnd.Uint64N(1e6)
		flows, bytes = flows+uint64(r.Flows), bytes+r.BytesIn
		rows = append(rows, r)
	}
	root := t.TempDir()
	put(t, root, midnight, midnight.Add(24*time.Hour-time.Second), file.Day, rows)
	put(t, root, midnight.Add(9*time.Hour), midnight.Add(9*time.Hour+time.Minute), file.Flush, []row.Row{contact(10_000, midnight.Add(9*time.Hour))})
	for _, room := range []int{0, 100, 7} {
		n, done := read(t, root, Query{MaxBuffered: room})
		sumFlows, sumBytes := uint64(0), uint64(0)
		got := make(map[string]bool)
		for _, o := range n.all {
			if o.Outside == flow.Mapped(198<<24+10_000) {
				continue
			}
			sumFlows, sumBytes = sumFlows+o.Flows, sumBytes+o.BytesIn
			key := fmt.Sprint(o.Outside, int(o.Time-uint32(midnight.Unix()))/hour)
			if got[key] || !want[key] {
				t.Fatalf("room %d: %s", room, key)
			}
			got[key] = true
			if o.First < o.Time && o.First != 0 || o.Last >= o.Time+hour {
				t.Fatalf("%+v", o)
			}
		}
		if sumFlows != flows || sumBytes != bytes || len(got) != len(want) {
			t.Errorf("room %d: %d flows of %d, %d bytes of %d, %d hours of %d", room, sumFlows, flows, sumBytes, bytes, len(got), len(want))
		}
		if done.Files != 2 || done.Rows != 501 || done.Spread == 0 {
			t.Errorf("room %d: %+v", room, done)
		}
	}
	n, done := read(t, root, Query{OmitDays: true})
	if len(n.all) != 1 || done.Omitted != 500 {
		t.Errorf("%d observations, %+v", len(n.all), done)
	}
}

// TestOverMidnight: an hour that two days have a part of ends once.
func TestOverMidnight(t *testing.T) {
	root := t.TempDir()
	before, after := midnight.Add(-30*time.Minute), midnight.Add(10*time.Minute)
	put(t, root, before, midnight.Add(5*time.Minute), file.Flush, []row.Row{contact(1, before), contact(2, midnight)})
	put(t, root, after, after.Add(time.Minute), file.Flush, []row.Row{contact(3, after)})
	n, _ := read(t, root, Query{})
	if want := []string{"1 false", "0 true", "1 false", "1 false", "0 true"}; !slices.Equal(n.ends, want) {
		t.Errorf("%q", n.ends)
	}
}

// TestDamagedFile: what cannot be read is named, and the rest is read.
func TestDamagedFile(t *testing.T) {
	root := t.TempDir()
	bad := put(t, root, midnight, midnight.Add(time.Minute), file.Flush, []row.Row{contact(1, midnight)})
	put(t, root, midnight.Add(time.Hour), midnight.Add(61*time.Minute), file.Flush, []row.Row{contact(2, midnight.Add(time.Hour))})
	if err := os.Truncate(bad, 100); err != nil {
		t.Fatal(err)
	}
	n, done := read(t, root, Query{})
	if len(n.all) != 1 || len(done.Bad) != 1 || done.Bad[0].Path != bad {
		t.Errorf("%d observations, %+v", len(n.all), done)
	}
}

func TestEnds(t *testing.T) {
	root := t.TempDir()
	put(t, root, midnight, midnight.Add(24*time.Hour-time.Second), file.Day, []row.Row{contact(1, midnight)})
	f := folder.Open(disk.OS{}, root)
	stop := errors.New("stop")
	_, err := Read(context.Background(), f, &notes{}, Query{Ended: func(at time.Time) error {
		if !at.Equal(midnight) {
			t.Error(at)
		}
		return stop
	}})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, f, &notes{}, Query{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Read(context.Background(), folder.Open(disk.OS{}, filepath.Join(root, "none")), &notes{}, Query{}); err != nil {
		t.Error(err)
	}
}

// TestMergedMeanwhile: files of a day that are merged and removed while it is read are read all
// the same, each row once.
func TestMergedMeanwhile(t *testing.T) {
	root := t.TempDir()
	var paths []string
	var all []row.Row
	for h := range 5 {
		at := midnight.Add(time.Duration(h) * time.Hour)
		paths = append(paths, put(t, root, at, at.Add(time.Minute), file.Flush, []row.Row{contact(h, at)}))
		all = append(all, contact(h, at))
	}
	n := &notes{t: t}
	_, err := Read(context.Background(), folder.Open(disk.OS{}, root), n, Query{Ended: func(at time.Time) error {
		if at.Equal(midnight) {
			put(t, root, midnight, midnight.Add(4*time.Hour+time.Minute), file.Hour, all)
			for _, path := range paths {
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	}})
	if err != nil || len(n.all) != 5 {
		t.Errorf("%d observations, %v", len(n.all), err)
	}
}

// TestDayFileEndsLate: the last worker turns a moment after midnight, and the file of the day ends
// then. What came in its first hour is not taken for that of the hour after midnight.
func TestDayFileEndsLate(t *testing.T) {
	root := t.TempDir()
	two := contact(1, midnight.Add(time.Minute))
	two.Flows = 2
	put(t, root, midnight, midnight.AddDate(0, 0, 1).Add(15*time.Second), file.Day, []row.Row{two, contact(2, midnight.Add(23*time.Hour))})
	n, _ := read(t, root, Query{})
	if len(n.all) != 2 || n.all[0].Flows != 2 || n.all[0].Time != uint32(midnight.Unix()) || n.all[1].Time != uint32(midnight.Add(23*time.Hour).Unix()) {
		t.Errorf("%+v", n.all)
	}
}
