package row

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// anyRow gives a row from a small space, so that keys meet, with counters that may overflow.
func anyRow(r *rand.Rand) Row {
	ends := [...]flow.Addr6{
		{}, flow.Addr6Of(netip.MustParseAddr("0.0.0.0")), flow.Addr6Of(netip.MustParseAddr("9.0.0.1")),
		flow.Addr6Of(netip.MustParseAddr("80.0.0.1")), flow.Addr6Of(netip.MustParseAddr("2001:db8::1")),
		flow.Addr6Of(netip.MustParseAddr("2001:db8::1:0:0:1")),
	}
	exporters := [...]netip.Addr{{}, netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("::1")}
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	return Row{
		Outside: ends[r.IntN(len(ends))], Inside: ends[r.IntN(len(ends))],
		Protocol: uint8(r.IntN(2)), Port: uint16(r.IntN(2)) << 8, Exporter: exporters[r.IntN(len(exporters))],
		Site: [...]string{"", "a", "aa", "b"}[r.IntN(4)], Direction: uint8(r.IntN(4)),
		Flags: uint8(r.IntN(16)), First: r.Uint32(), Last: r.Uint32(), Flows: uint32(number()),
		PacketsOut: number(), PacketsIn: number(), BytesOut: number(), BytesIn: number(),
		Sampling: r.Uint32(), Hours: r.Uint32() & (1<<24 - 1), Folded: uint32(number()),
	}
}

// written gives the key of a row as bytes whose order is that of the rows.
func written(r *Row) []byte {
	o, i := r.Outside.Addr().As16(), r.Inside.Addr().As16()
	b := append(o[:], i[:]...)
	b = append(b, r.Protocol, byte(r.Port>>8), byte(r.Port), byte(r.Exporter.BitLen()))
	b = append(b, r.Exporter.AsSlice()...)
	b = append(append(b, r.Site...), 0)
	return append(b, r.Direction)
}

// TestCompare: the order of rows is that of their keys written as bytes, whatever else
// they hold.
func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	equal := 0
	for range 200_000 {
		a, b := anyRow(r), anyRow(r)
		if r.IntN(3) == 0 { // differ in few parts of the key
			c := b
			b = a
			switch r.IntN(4) {
			case 0:
				b.Direction = c.Direction
			case 1:
				b.Site = c.Site
			case 2:
				b.Exporter = c.Exporter
			case 3:
				b.Port, b.Flows = c.Port, c.Flows
			}
		}
		want := bytes.Compare(written(&a), written(&b))
		if got := Compare(&a, &b); got != want {
			t.Fatalf("%+v\n%+v\ncompared %d, expected %d", a, b, got, want)
		}
		if want == 0 {
			equal++
		}
	}
	if equal < 100 {
		t.Errorf("only %d pairs with the same key", equal)
	}
}

// TestAdd: adding up gives the sums that big numbers give, cut at the greatest number, in
// any order and grouping.
func TestAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		rows := make([]Row, 1+r.IntN(6))
		for i := range rows {
			rows[i] = anyRow(r)
			rows[i].Outside, rows[i].Inside, rows[i].Protocol, rows[i].Port = rows[0].Outside, rows[0].Inside, rows[0].Protocol, rows[0].Port
			rows[i].Exporter, rows[i].Site, rows[i].Direction = rows[0].Exporter, rows[0].Site, rows[0].Direction
		}
		want := rows[0]
		want.PacketsOut = total(rows, math.MaxUint64, func(r *Row) uint64 { return r.PacketsOut })
		want.PacketsIn = total(rows, math.MaxUint64, func(r *Row) uint64 { return r.PacketsIn })
		want.BytesOut = total(rows, math.MaxUint64, func(r *Row) uint64 { return r.BytesOut })
		want.BytesIn = total(rows, math.MaxUint64, func(r *Row) uint64 { return r.BytesIn })
		want.Flows = uint32(total(rows, math.MaxUint32, func(r *Row) uint64 { return uint64(r.Flows) }))
		want.Folded = uint32(total(rows, math.MaxUint32, func(r *Row) uint64 { return uint64(r.Folded) }))
		for i := range rows {
			want.Flags, want.Hours = want.Flags|rows[i].Flags, want.Hours|rows[i].Hours
			want.First, want.Last = min(want.First, rows[i].First), max(want.Last, rows[i].Last)
			want.Sampling = max(want.Sampling, rows[i].Sampling)
		}
		for len(rows) > 1 {
			r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			last := len(rows) - 1
			rows[0].Add(&rows[last])
			rows = rows[:last]
		}
		if rows[0] != want {
			t.Fatalf("added up\n%+v, expected\n%+v", rows[0], want)
		}
	}
}

// total adds up one counter of all rows and cuts the sum at limit.
func total(rows []Row, limit uint64, of func(*Row) uint64) uint64 {
	n := new(big.Int)
	for i := range rows {
		n.Add(n, new(big.Int).SetUint64(of(&rows[i])))
	}
	if !n.IsUint64() {
		return limit
	}
	return min(n.Uint64(), limit)
}

var compared int

func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	rows := make([]Row, 1024)
	for i := range rows {
		rows[i] = anyRow(r)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		compared += Compare(&rows[i&1023], &rows[(i+1)&1023])
		i++
	}
}

func BenchmarkAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	x, y := anyRow(r), anyRow(r)
	b.ReportAllocs()
	for b.Loop() {
		x.Add(&y)
	}
}
