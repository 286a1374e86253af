package hunt

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
)

// TestHuntsWhileMerging: whatever the store merges meanwhile, each of several hunts at once
// finds every contact, with its flows once.
func TestHuntsWhileMerging(t *testing.T) {
	root, r := t.TempDir(), seeded(6)
	want := make(map[string]uint64) // flows by host
	for n := range 48 {             // half an hour each
		from := day.Add(time.Duration(n) * 30 * time.Minute)
		var rows []row.Row
		for host := range 40 {
			one := row.Row{
				Outside: flow.Addr6{Lo: 0xffff_cb00_7109}, Inside: flow.Addr6{Lo: 0xffff_0a00_0000 + uint64(host)}, Protocol: 6, Port: 443,
				First: uint32(from.Unix()), Last: uint32(from.Unix()) + 60, Flows: 1 + r.Uint32N(100), Sampling: 1, PacketsOut: 1,
			}
			want[one.Inside.Addr().Unmap().String()] += uint64(one.Flows)
			rows = append(rows, one)
		}
		filetest.Put(t, root, file.Name{From: from, To: from.Add(30 * time.Minute), Level: file.Flush}, file.Form{}, file.Info{}, rows)
	}
	hunts, over := 0, make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for more := true; more; {
				select {
				case <-over:
					more = false // once more, with everything merged
				default:
				}
				got := make(map[string]uint64)
				sum, err := Search(t.Context(), folder.Open(disk.OS{}, root), &question.Question{Ranges: span.All()}, func(rows []Row) error {
					for i := range rows {
						got[rows[i].Inside.String()] += uint64(rows[i].Flows)
					}
					return nil
				}, nil)
				if err != nil || len(sum.Bad) > 0 || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%v, %+v:\n got %v\nwant %v", err, sum, got, want)
					return
				}
				mu.Lock()
				hunts++
				mu.Unlock()
			}
		})
	}
	s, err := store.Open(store.Config{Root: root, Now: func() time.Time { return day.AddDate(0, 0, 2) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.Tidy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(over)
	all.Wait()
	files, err := folder.Open(disk.OS{}, root).Files(time.Time{}, time.Time{})
	if err != nil || len(files) != 1 || files[0].Name.Level != file.Day {
		t.Errorf("%d files after the merge, %v", len(files), err)
	}
	if hunts < 4 {
		t.Errorf("only %d hunts", hunts)
	}
}
