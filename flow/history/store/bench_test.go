package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// processor is the time that the process has used of all processors.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap is what the program holds, live or not yet collected.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// highest runs do and gives by how much the heap has grown meanwhile. The collector runs often,
// so that what is not needed any more hardly counts.
func highest(do func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	before, most := heap(), uint64(0)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				most = max(most, heap())
			}
		}
	})
	do()
	close(stop)
	group.Wait()
	return most - min(most, before)
}

// spread fills tables with contacts, each other: half of them are scans from 60,000 sources, the
// others go to 4,000,000 servers of different fame; a tenth is IPv6; there are 1,200 hosts of ours.
func spread(b *testing.B, tables, contacts int) (all []*table.Table) {
	r := rand.New(rand.NewPCG(1, 15))
	servers := rand.NewZipf(r, 1.1, 20, 4_000_000)
	for range tables {
		t := table.New(table.Caps{V4: contacts, V6: contacts})
		var batch table.Batch
		for t.Len() < contacts/tables {
			batch.Clear()
			scan := r.IntN(2) == 0
			n := uint64(r.IntN(60_000))
			if !scan {
				n = 1<<20 + servers.Uint64()
			}
			n *= 2654435761 // not in a row
			outside := flow.Addr6{Lo: 0xffff<<32 | uint64(uint32(n))}
			if r.IntN(10) == 0 {
				outside = flow.Addr6{Hi: 0x2001<<48 | n, Lo: n}
			}
			user := r.IntN(1200)
			port := [...]uint16{53, 80, 443, 443, 443, 443, uint16(r.Uint32())}[r.IntN(7)]
			packets, sent := 1+r.Uint64N(200), r.Uint64()>>(40+r.IntN(20))
			direction, flags := row.Outbound, row.Answered
			if scan {
				direction, flags, packets, sent = row.Inbound, 0, 0, 0
				port = uint16(r.IntN(20_000))
			}
			batch.Outside, batch.Inside = append(batch.Outside, outside), append(batch.Inside, flow.Addr6{Lo: 0xffff_0a00_0000 | uint64(user)})
			batch.Protocol, batch.Port = append(batch.Protocol, 6), append(batch.Port, port)
			batch.Exporter, batch.Site = append(batch.Exporter, uint16(user%2)), append(batch.Site, uint16(user%2))
			batch.Direction, batch.Flags = append(batch.Direction, direction), append(batch.Flags, flags)
			batch.Sampling = append(batch.Sampling, 1)
			batch.PacketsOut, batch.PacketsIn = append(batch.PacketsOut, packets), append(batch.PacketsIn, 1+packets)
			batch.BytesOut, batch.BytesIn = append(batch.BytesOut, sent), append(batch.BytesIn, 60+3*sent)
			first := uint32(start.Unix()) + r.Uint32N(600)
			batch.First, batch.Last = append(batch.First, first), append(batch.Last, first+r.Uint32N(200))
			t.Update(&batch, 0, false)
		}
		all = append(all, t)
	}
	return all
}

// BenchmarkWrite writes an interval of 1,000,000 contacts of four workers, or of the 65,536 of
// one on the edge.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name             string
		edge             bool
		tables, contacts int
	}{{"server", false, 4, 1_000_000}, {"edge", true, 1, 65_536}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, 1, c.edge)
			_ = w.store.Close()
			w.cfg.Disk = nil // with syncs
			w.open()
			tables := spread(b, c.tables, c.contacts)
			write := func() {
				if err := w.store.Write(context.Background(), w.now, w.now, tables, names, 0, 0); err != nil {
					b.Fatal(err)
				}
			}
			most := highest(write) // the first one, which makes the memory for the order
			before := processor()
			for b.Loop() {
				write()
			}
			b.ReportMetric(float64((processor()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(most)/1e6, "MB-extra")
		})
	}
}

// BenchmarkMergeDay merges 24 hours of 200,000 rows each to a day, or the hours of an edge with
// 20,000 rows each, six at a time.
func BenchmarkMergeDay(b *testing.B) {
	for _, c := range []struct {
		name string
		edge bool
		rows int
	}{{"server", false, 200_000}, {"edge", true, 20_000}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, 1, c.edge)
			tables := spread(b, 1, c.rows)
			w.now = start.Truncate(24 * time.Hour)
			for range 24 {
				if err := w.store.Write(context.Background(), w.now, w.now.Add(time.Hour), tables, names, 0, 0); err != nil {
					b.Fatal(err)
				}
				w.now = w.now.Add(time.Hour)
			}
			w.now = w.now.Add(3 * time.Hour)
			before := processor()
			var most uint64
			for b.Loop() { // of which the first merges
				most = max(most, highest(w.tidy))
			}
			if b.N > 1 {
				b.Fatal("use -benchtime 1x")
			}
			b.ReportMetric(float64(24*c.rows)/1e6/(processor()-before).Seconds(), "Mrows/cpu-s")
			b.ReportMetric(float64(most)/1e6, "MB-heap")
		})
	}
}

// BenchmarkSearch searches 30 days of 200,000 rows for many addresses.
func BenchmarkSearch(b *testing.B) {
	w := newWorld(b, 1, false)
	tables := spread(b, 1, 200_000)
	for day := range 30 {
		from := start.AddDate(0, 0, day)
		if err := w.store.Write(context.Background(), from, from.Add(time.Hour), tables, names, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 10_000, 1_000_000} {
		r := rand.New(rand.NewPCG(2, 15))
		var prefixes []netip.Prefix
		for range n {
			prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(200)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 32))
		}
		ranges := span.OfAll(prefixes)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var most uint64
			var rows int64
			for b.Loop() {
				most = max(most, highest(func() {
					done, err := w.store.Folder().Search(context.Background(), folder.Query{Ranges: ranges, Emit: func(folder.Entry, []row.Row) error { return nil }})
					if rows = done.Rows; err != nil {
						b.Fatal(err)
					}
				}))
			}
			b.ReportMetric(float64(most)/1e6, "MB-heap")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}
