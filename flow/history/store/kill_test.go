package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// victim writes one interval after the other, merges, and prints the number of each interval
// that is on the disk, until it is killed.
func victim(t *testing.T, root string, n int) {
	now := start.Add(time.Duration(n) * 25 * time.Minute)
	s, err := Open(Config{Root: root, Now: func() time.Time { return now }, Space: plenty})
	if err != nil {
		t.Fatal(err)
	}
	for ; ; n++ {
		now = now.Add(25 * time.Minute)
		one := table.New(table.Caps{V4: 1000})
		var b table.Batch
		for i := range 50 {
			b.Outside = append(b.Outside, flow.Addr6Of(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})))
			b.Inside = append(b.Inside, flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})))
			b.Protocol, b.Port = append(b.Protocol, 6), append(b.Port, uint16(n))
			b.Exporter, b.Site, b.Direction, b.Flags = append(b.Exporter, 0), append(b.Site, 0), append(b.Direction, 0), append(b.Flags, 0)
			b.Sampling = append(b.Sampling, 1)
			b.PacketsOut, b.PacketsIn, b.BytesOut, b.BytesIn = append(b.PacketsOut, 9), append(b.PacketsIn, 9), append(b.BytesOut, 9), append(b.BytesIn, 9)
			b.First, b.Last = append(b.First, 9), append(b.Last, 9)
		}
		one.Update(&b, 0, false)
		if err := s.Write(context.Background(), now.Add(-25*time.Minute), now, []*table.Table{one}, table.Names{}, 0, 0); err != nil {
			t.Fatal(err)
		}
		fmt.Println("written", n)
		if err := s.Tidy(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilled: whenever the process is killed, each interval that was written is there once.
func TestKilled(t *testing.T) {
	if root := os.Getenv("HISTORY_VICTIM"); root != "" {
		n, _ := strconv.Atoi(os.Getenv("HISTORY_INTERVAL"))
		victim(t, root, n)
	}
	root := t.TempDir()
	r := rand.New(rand.NewPCG(40, 15))
	next, merges := 0, false
	for range 25 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "HISTORY_VICTIM="+root, "HISTORY_INTERVAL="+strconv.Itoa(next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		last := next - 1
		kill := func() { _ = cmd.Process.Kill() }
		for seen := 0; lines.Scan(); seen++ {
			if _, err := fmt.Sscanf(lines.Text(), "written %d", &last); err != nil {
				t.Fatalf("%q", lines.Text())
			}
			if seen == 3 { // from a moment that is not always the same
				time.AfterFunc(time.Duration(r.IntN(40_000))*time.Microsecond, kill)
			}
		}
		_ = cmd.Wait()
		flows := make(map[uint16]uint32)
		done, err := folder.Open(disk.OS{}, root).Search(context.Background(), folder.Query{Ranges: span.All(), Emit: func(e folder.Entry, rows []row.Row) error {
			merges = merges || e.Name.Level == 'd'
			for i := range rows {
				flows[rows[i].Port] += rows[i].Flows
			}
			return nil
		}})
		if err != nil || len(done.Bad) > 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		for n := range last + 1 {
			if flows[uint16(n)] != 50 {
				t.Fatalf("interval %d of %d: %d flows", n, last, flows[uint16(n)])
			}
		}
		next = last + 1
		if n := flows[uint16(next)]; n == 50 {
			next++ // it was not printed any more
		} else if n != 0 {
			t.Fatalf("interval %d: %d flows", next, n)
		}
		if n := len(flows); n != next {
			t.Fatalf("%d intervals, want %d", n, next)
		}
	}
	if !merges || next < 100 {
		t.Errorf("%d intervals, merged to days: %t", next, merges)
	}
}
