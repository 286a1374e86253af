package tally

import (
	"context"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

var begin = time.Date(2023, 11, 10, 0, 0, 0, 0, time.UTC)

// put writes a file of a history.
func put(t *testing.T, root string, from, to time.Time, level file.Level, rows []row.Row) string {
	t.Helper()
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	return filetest.Put(t, root, file.Name{From: from, To: to, Level: level}, file.Form{}, file.Info{Lost: 1}, rows)
}

// try is an attempt at the mail server.
func try(source int, when time.Time) row.Row {
	at := uint32(when.Unix())
	return row.Row{Outside: flow.Mapped(198<<24 | 18<<16 + uint32(source)), Inside: mail, Protocol: 6, Port: 25, Direction: row.Inbound,
		First: at, Last: at, Flows: 1, PacketsIn: 1, BytesIn: 40, Sampling: 1, Hours: 1 << when.UTC().Hour()}
}

var mail = flow.Mapped(192<<24 | 2<<8 | 25)

// question is about all five days.
func question() Question {
	return Question{Inside: mail, Protocol: 6, Port: 25, From: begin, To: begin.AddDate(0, 0, 5)}
}

func count(t *testing.T, root string, q Question) Tally {
	t.Helper()
	n, err := Count(context.Background(), folder.Open(disk.OS{}, root), q)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The swarm of November 2023: tries of each day, and how many sources tried 1 to 8 times.
var (
	tries   = []int{86, 468, 1307, 1070, 141}
	sources = []int{1235, 469, 139, 51, 16, 27, 4, 1}
)

// wave gives the source of each try in any order.
func wave(rnd *rand.Rand) (all []int) {
	next := 0
	for n, of := range sources {
		for range of {
			for range n + 1 {
				all = append(all, next)
			}
			next++
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestSwarm: histogram, days and totals of the write-up, from files of half an hour, of hours
// and of days, with other contacts among them.
func TestSwarm(t *testing.T) {
	for name, span := range map[string]time.Duration{"flushes": 30 * time.Minute, "hours": time.Hour, "days": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			late := -time.Second
			if span == 24*time.Hour {
				late = time.Second // as the last worker turns a moment after midnight
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			root, all := t.TempDir(), wave(rnd)
			files := make(map[time.Time][]row.Row)
			add := func(r row.Row, when time.Time) {
				k := when.Truncate(span)
				same := slices.IndexFunc(files[k], func(o row.Row) bool {
					return o.Outside == r.Outside && o.Inside == r.Inside && o.Port == r.Port && o.Protocol == r.Protocol && o.Direction == r.Direction
				})
				if same < 0 {
					files[k] = append(files[k], r)
					return
				}
				o := &files[k][same] // as tables and merges do
				o.Flows, o.Hours = o.Flows+r.Flows, o.Hours|r.Hours
				o.First, o.Last = min(o.First, r.First), max(o.Last, r.Last)
			}
			for day, n := range tries {
				for range n {
					when := begin.AddDate(0, 0, day).Add(time.Duration(rnd.Int64N(int64(24 * time.Hour))))
					r := try(all[0], when)
					all = all[1:]
					add(r, when)
					if rnd.IntN(3) > 0 {
						continue
					}
					for _, change := range []func(*row.Row){func(r *row.Row) { r.Port = 587 }, func(r *row.Row) { r.Protocol = 17 }, func(r *row.Row) { r.Inside = flow.Mapped(192<<24 | 2<<8 | 26) }, func(r *row.Row) { r.Direction = row.Outbound }} {
						other := r
						change(&other)
						add(other, when)
					}
				}
			}
			level := map[time.Duration]file.Level{30 * time.Minute: file.Flush, time.Hour: file.Hour, 24 * time.Hour: file.Day}[span]
			for from, rows := range files {
				put(t, root, from, from.Add(span+late), level, rows)
			}
			n := count(t, root, question())
			if n.Tries != 3072 || n.Sources != 1942 || n.More || n.Folded != 0 || n.Missing != 0 || n.Bad != 0 || n.Lost != uint64(len(files)) {
				t.Errorf("%+v", n)
			}
			for i, d := range n.Days {
				if !d.Day.Equal(begin.AddDate(0, 0, i)) || d.Tries != uint64(tries[i]) {
					t.Errorf("day %v", d)
				}
			}
			for i, b := range n.Histogram {
				if b.Times != uint64(i+1) || b.Sources != uint64(sources[i]) {
					t.Errorf("%v", b)
				}
			}
			if len(n.Days) != 5 || len(n.Histogram) != 8 {
				t.Errorf("%d days, %d bars", len(n.Days), len(n.Histogram))
			}
		})
	}
}

// TestGaps: days without a file, damaged files, folded contacts and more sources than there is
// room for are counted as such.
func TestGaps(t *testing.T) {
	root := t.TempDir()
	var rows []row.Row
	for i := range 50 {
		rows = append(rows, try(i, begin.Add(time.Hour)))
	}
	folded := try(99, begin.Add(time.Hour))
	folded.Inside, folded.Flows, folded.Folded = flow.Addr6{}, 7, 3
	put(t, root, begin.Add(time.Hour), begin.Add(2*time.Hour-time.Second), file.Hour, append(rows, folded))
	late := begin.AddDate(0, 0, 3)
	put(t, root, late, late.Add(time.Hour-time.Second), file.Hour, []row.Row{try(1, late)})
	bad := put(t, root, late.Add(time.Hour), late.Add(2*time.Hour-time.Second), file.Hour, []row.Row{try(2, late.Add(time.Hour))})
	if err := os.Truncate(bad, 100); err != nil {
		t.Fatal(err)
	}
	n := count(t, root, question())
	want := []Bar{{1, 49}, {2, 1}}
	if n.Tries != 51 || n.Sources != 50 || n.Missing != 3 || n.Bad != 1 || n.Folded != 7 || !reflect.DeepEqual(n.Histogram, want) {
		t.Errorf("%+v", n)
	}
	q := question()
	q.MaxSources = 10
	if n = count(t, root, q); n.Tries != 51 || n.Sources != 10 || !n.More {
		t.Errorf("%+v", n)
	}
	q.From, q.To = late, late.Add(time.Hour)
	if n = count(t, root, q); n.Tries != 1 || n.Missing != 0 {
		t.Errorf("%+v", n)
	}
	if n = count(t, t.TempDir(), question()); n.Tries != 0 || n.Missing != 5 {
		t.Errorf("%+v", n)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := Count(ended, folder.Open(disk.OS{}, root), question()); err == nil {
		t.Error("it did not end")
	}
}
