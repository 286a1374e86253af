package table

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// perCall is the number of flows in a batch: about those of a datagram.
const perCall = 30

// sequence gives the numbers of contacts of four million flows as servers are met: a few
// often, most seldom, without any order in time. Real traffic has one and is kinder.
func sequence(contacts int) []uint32 {
	r := rand.New(rand.NewPCG(1, uint64(contacts)))
	z := rand.NewZipf(r, 1.0001, 1, uint64(contacts-1))
	all := make([]uint32, 1<<22)
	for i := range all {
		all[i] = uint32(z.Uint64())
	}
	return all
}

// size gives all columns of a batch n flows.
func (b *Batch) size(n int) {
	b.Clear()
	for range n {
		b.append(row.Row{Sampling: 1, First: 1_800_000_000, Last: 1_800_000_001}, 0, 0)
	}
}

// set writes flow i of a batch, as the columns of a set give it.
func (b *Batch) set(i int, n uint32, v6 bool) {
	f := n * 2654435761
	b.Outside[i], b.Inside[i] = flow.Mapped(f), flow.Mapped(0x0a000000+n%1200)
	if v6 {
		b.Outside[i] = flow.Addr6{Hi: 0x20010db8<<32 | uint64(f), Lo: uint64(n)}
		b.Inside[i] = flow.Addr6{Hi: 0x20010db8_ffff0000, Lo: uint64(n % 1200)}
	}
	b.Protocol[i], b.Port[i], b.Flags[i] = 6, 443, row.Answered
	b.PacketsOut[i], b.PacketsIn[i], b.BytesOut[i], b.BytesIn[i] = 3, 2, 400, 3000
}

// BenchmarkUpdate is the time of one flow. "columns" is the time to fill the columns alone,
// which is in the others, too.
func BenchmarkUpdate(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		family := map[bool]string{false: "v4", true: "v6"}[v6]
		for _, contacts := range []int{0, 10_000, 100_000, 1_000_000} {
			name := fmt.Sprintf("%s/%d", family, contacts)
			if contacts == 0 {
				name = family + "/columns"
			}
			b.Run(name, func(b *testing.B) {
				numbers := sequence(max(contacts, 10_000))
				table := New(Caps{V4: 1 << 20, V6: 1 << 20})
				var batch Batch
				batch.size(perCall)
				at := 0
				call := func() {
					for i := range perCall {
						batch.set(i, numbers[at], v6)
						if at++; at == len(numbers) {
							at = 0
						}
					}
					if contacts > 0 {
						table.Update(&batch, 0, true)
					}
				}
				for range len(numbers)/perCall + 1 { // a table that is warm, with all contacts
					call()
				}
				b.ReportAllocs()
				for b.Loop() {
					call()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perCall, "ns/flow")
				b.ReportMetric(float64(table.Len()), "contacts")
				if contacts > 0 {
					b.ReportMetric(float64(table.Bytes())/float64(table.Len()), "B/contact")
				}
			})
		}
	}
}

// BenchmarkSimple is the same for IPv4 without stages, one flow in each call, and with a map,
// to compare with.
func BenchmarkSimple(b *testing.B) {
	type ends struct {
		outside, inside flow.Addr6
		rest            uint64
	}
	for _, contacts := range []int{10_000, 100_000, 1_000_000} {
		for _, how := range []string{"single", "map"} {
			b.Run(fmt.Sprintf("%s/%d", how, contacts), func(b *testing.B) {
				numbers := sequence(contacts)
				table, entries := New(Caps{V4: 1 << 20}), map[ends]*contact{}
				var batch Batch
				batch.size(1)
				at := 0
				call := func() {
					batch.set(0, numbers[at], false)
					if at++; at == len(numbers) {
						at = 0
					}
					if how == "single" {
						table.Update(&batch, 0, true)
						return
					}
					k := ends{batch.Outside[0], batch.Inside[0], uint64(batch.Protocol[0])<<protocolAt | uint64(batch.Port[0])<<portAt}
					e := entries[k]
					if e == nil {
						e = &contact{first: ^uint32(0)}
						entries[k] = e
					}
					e.add(&batch, 0)
				}
				for range numbers {
					call()
				}
				b.ReportAllocs()
				for b.Loop() {
					call()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/flow")
			})
		}
	}
}

// BenchmarkScanner is one source that scans 65,536 insides and as many ports.
func BenchmarkScanner(b *testing.B) { benchTiny(b, func(i uint32) (uint32, uint32) { return 1, i }) }

// BenchmarkFlood is a new source in each flow; a full table is emptied.
func BenchmarkFlood(b *testing.B) { benchTiny(b, func(i uint32) (uint32, uint32) { return i, 1 }) }

func benchTiny(b *testing.B, ends func(i uint32) (outside, inside uint32)) {
	table := New(Caps{V4: 262_144, V6: 65_536})
	var batch Batch
	batch.size(perCall)
	at, handovers := uint32(0), 0
	call := func() {
		for i := range perCall {
			outside, inside := ends(at)
			batch.Outside[i], batch.Inside[i] = flow.Mapped(outside), flow.Mapped(0x0a000000+inside%65_536)
			batch.Protocol[i], batch.Port[i], batch.Direction[i], batch.PacketsIn[i] = 6, uint16(at+at>>16), row.Inbound, 1
			at++
		}
		for from := 0; from < perCall; {
			if from = table.Update(&batch, from, false); from < perCall {
				table.Reset()
				handovers++
			}
		}
	}
	for range 1 << 22 / perCall {
		call()
	}
	before := handovers
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perCall, "ns/flow")
	b.ReportMetric(float64(handovers-before)/float64(b.N)/perCall*4e6, "handovers/4M")
	b.ReportMetric(float64(table.Len()), "contacts")
}

// BenchmarkRows is the time of one row, sorting and making it.
func BenchmarkRows(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		for _, contacts := range []int{65_536, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", map[bool]string{false: "v4", true: "v6"}[v6], contacts), func(b *testing.B) {
				table := New(Caps{V4: 1 << 21, V6: 1 << 21})
				var batch Batch
				batch.size(1)
				for i := range contacts {
					batch.set(0, uint32(i), v6)
					table.Update(&batch, 0, true)
				}
				var rows Rows
				var r row.Row
				n := 0
				rows.Open(table, Names{})
				b.ReportAllocs()
				for b.Loop() {
					for rows.Open(table, Names{}); rows.Next(&r); {
						n++
					}
				}
				if n != b.N*contacts {
					b.Fatalf("%d rows in %d runs", n, b.N)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
			})
		}
	}
}
