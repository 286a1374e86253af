package table

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// TestSizes: entries have the size for which they were designed.
func TestSizes(t *testing.T) {
	if a, b := unsafe.Sizeof(entry4{}), unsafe.Sizeof(entry6{}); a != 64 || b != 96 {
		t.Errorf("entries of %d and %d bytes", a, b)
	}
}

// update counts all flows in one table.
func update(t *testing.T, to *Table, b *Batch) {
	t.Helper()
	if n := to.Update(b, 0, false); n != b.Len() {
		t.Fatalf("stopped at flow %d of %d", n, b.Len())
	}
}

// TestScanner: a source that scans many addresses and ports becomes few rows, and its
// packets are all in them; what others do meanwhile is kept.
func TestScanner(t *testing.T) {
	for name, outside := range map[string]flow.Addr6{"IPv4": flow.Mapped(0xc6336401), "IPv6": {Hi: 0x20010db8 << 32, Lo: 1}} {
		t.Run(name, func(t *testing.T) {
			table := seeded(Caps{1 << 14, 1 << 14}, 1)
			var b Batch
			for i := range 1 << 18 {
				b.append(row.Row{
					Outside: outside, Inside: flow.Mapped(0x0a000000 + uint32(i)), Protocol: 6, Port: uint16(i * 7),
					Direction: row.Inbound, PacketsIn: 1, BytesIn: 40, Sampling: 1, First: 1, Last: 1,
				}, 0, 0)
				if i%1000 == 0 { // the one that answers, and ours that ask it
					b.append(row.Row{Outside: outside, Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 22, Direction: row.Inbound, Flags: row.Answered, PacketsIn: 1, First: 1, Last: 1}, 0, 0)
					b.append(row.Row{Outside: outside, Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 23, Direction: row.Inbound, PacketsOut: 1, PacketsIn: 1, First: 1, Last: 1}, 0, 0)
					b.append(row.Row{Outside: outside, Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 24, Direction: row.Outbound, PacketsIn: 1, First: 1, Last: 1}, 0, 0)
					b.append(row.Row{Outside: outside, Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 25, Direction: row.Inbound, PacketsIn: 4, First: 1, Last: 1}, 0, 0)
				}
				if b.Len() > 1000 {
					update(t, table, &b)
					b.Clear()
				}
			}
			update(t, table, &b)
			const others = 263 * 4 // of 0, 1000, … 262,000
			rows := rowsOf(table, Names{})
			if len(rows) != 64+64+1+others {
				t.Errorf("%d rows", len(rows))
			}
			scanned, folded, exact := uint64(0), uint64(0), 0
			for i := range rows {
				if rows[i].BytesIn > 0 {
					scanned += rows[i].PacketsIn
				} else {
					exact++
				}
				if folded += uint64(rows[i].Folded); rows[i].Folded > 0 && rows[i].Inside != (flow.Addr6{}) {
					t.Errorf("folded with an inside address: %+v", rows[i])
				}
			}
			if scanned != 1<<18 || folded != 1<<18-64 || exact != others {
				t.Errorf("%d packets of the scan, %d folded, %d other rows", scanned, folded, exact)
			}
		})
	}
}

// TestScannersInTurn: scanners that come one after the other or take turns, on as many
// ports, with several protocols and exporters, and go on after a Reset, have the rows that maps have.
func TestScannersInTurn(t *testing.T) {
	caps := Caps{1 << 14, 1 << 14}
	table := seeded(caps, 3)
	outside := []flow.Addr6{flow.Mapped(0xc6336401), flow.Mapped(0xc6336402), {Hi: 0x20010db8 << 32, Lo: 1}, {Hi: 0x20010db8 << 32, Lo: 2}}
	for _, run := range []int{1, 3, 100, 10_000, 10_000} { // flows of one before the next one comes
		expected := newOracle(caps)
		var b Batch
		for i := range 10_000 {
			b.append(row.Row{
				Outside: outside[i/run%len(outside)], Inside: flow.Mapped(0x0a000000 + uint32(i)), Protocol: [...]uint8{6, 17}[i/7%2], Port: uint16(i * 7),
				Direction: row.Inbound, PacketsIn: 1, BytesIn: uint64(i), Sampling: 1, First: 7200, Last: 7200,
			}, uint16(i/64%2), 0)
			expected.flow(&b, i, false)
		}
		update(t, table, &b)
		if got, rows := rowsOf(table, testNames), expected.rows(testNames); !slices.Equal(got, rows) || table.Counts() != expected.counts {
			t.Errorf("runs of %d: %d rows, expected %d; %+v, expected %+v", run, len(got), len(rows), table.Counts(), expected.counts)
		}
		table.Reset()
	}
}

// TestSampledScanner: one sampled packet is tiny, however many it stands for.
func TestSampledScanner(t *testing.T) {
	table := seeded(Caps{1 << 12, 16}, 1)
	var b Batch
	for i := range 1000 {
		b.append(row.Row{Outside: flow.Mapped(1), Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 22, Direction: row.Inbound, PacketsIn: 3 << 20, Sampling: 1 << 20}, 0, 0)
		b.append(row.Row{Outside: flow.Mapped(2), Inside: flow.Mapped(uint32(i)), Protocol: 6, Port: 22, Direction: row.Inbound, PacketsIn: 3<<20 + 1, Sampling: 1 << 20}, 0, 0)
	}
	update(t, table, &b)
	if c := table.Counts(); c.Folded != 1000-64 || c.Kept != 1000+64 {
		t.Errorf("%+v", c)
	}
}

// TestFlood: four million spoofed sources fill one table after the other, or are lost where
// none is left; contacts that were there before go on counting, others find the sixteenth that
// is kept for them.
func TestFlood(t *testing.T) {
	const limit = 1 << 14
	table := seeded(Caps{limit, 16}, 1)
	ours := func(b *Batch, i int) {
		b.append(row.Row{Outside: flow.Mapped(uint32(i)), Inside: flow.Mapped(1), Protocol: 6, Port: 443, PacketsOut: 1, Sampling: 1}, 0, 0)
	}
	var b Batch
	for i := range 100 {
		ours(&b, i)
	}
	update(t, table, &b)
	b.Clear()
	for i := range 1 << 15 {
		b.append(row.Row{Outside: flow.Mapped(1<<24 + uint32(i)), Inside: flow.Mapped(1), Protocol: 6, Port: 22, Direction: row.Inbound, PacketsIn: 1, Sampling: 1}, 0, 0)
	}
	if n := table.Update(&b, 0, false); n != limit-limit/16-100 {
		t.Fatalf("stopped at flow %d", n)
	} else if m := table.Update(&b, n, true); m != b.Len() {
		t.Fatalf("stopped at flow %d", m)
	}
	b.Clear()
	for i := range 5000 {
		ours(&b, i)
	}
	table.Update(&b, 0, true)
	want := Counts{Kept: limit + 100, Lost: 1<<15 - (limit - limit/16 - 100) + 5000 - 100 - limit/16}
	if c := table.Counts(); c != want || table.Len() != limit {
		t.Errorf("%d contacts, %+v, expected %+v", table.Len(), c, want)
	}
}

// TestOverflow: sums stay at the greatest number.
func TestOverflow(t *testing.T) {
	table := seeded(Caps{16, 16}, 1)
	var b Batch
	for range 3 {
		b.append(row.Row{Outside: flow.Mapped(1), Inside: flow.Mapped(2), PacketsOut: 1 << 63, PacketsIn: math.MaxUint64, BytesOut: 1 << 62, BytesIn: 1<<63 + 1}, 0, 0)
	}
	update(t, table, &b)
	r := rowsOf(table, Names{})[0]
	if r.PacketsOut != math.MaxUint64 || r.PacketsIn != math.MaxUint64 || r.BytesOut != 3<<62 || r.BytesIn != math.MaxUint64 || r.Flows != 3 {
		t.Errorf("%+v", r)
	}
}

// TestHours: the bits are those of the hours that one gets by going from minute to minute.
func TestHours(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		first := r.Uint32N(math.MaxUint32 - 200_000)
		last := first + r.Uint32N(1<<r.IntN(18))
		want := uint32(1)<<(first/3600%24) | 1<<(last/3600%24)
		for s := first; s < last; s += 60 {
			want |= 1 << (s / 3600 % 24)
		}
		if got := hours(first, last); got != want || hours(last, first) != want {
			t.Fatalf("hours from %d to %d: %b, expected %b", first, last, got, want)
		}
	}
	if hours(0, math.MaxUint32) != 1<<24-1 {
		t.Error("136 years do not have all hours")
	}
}

// TestSpread: the hashes of keys that count up fill as many places as random numbers do.
// Of m places, n random numbers hit m(1-e^(-n/m)).
func TestSpread(t *testing.T) {
	const places, n = 1 << 17, 1 << 16
	want := places * (1 - math.Exp(-float64(n)/places))
	table := seeded(Caps{16, 16}, 3)
	for name, at := range map[string]func(i uint32) uint64{
		"outside":           func(i uint32) uint64 { return table.hash4(uint64(i)<<32, 0) },
		"inside":            func(i uint32) uint64 { return table.hash4(uint64(i), 0) },
		"port":              func(i uint32) uint64 { return table.hash4(1, uint64(i)<<portAt) },
		"exporter":          func(i uint32) uint64 { return table.hash4(1, uint64(i)<<exporterAt) },
		"site":              func(i uint32) uint64 { return table.hash4(1, uint64(i)<<siteAt) },
		"pairs":             func(i uint32) uint64 { return table.hash4(uint64(i>>8)<<32|uint64(i&255), 6<<protocolAt) },
		"IPv6 networks":     func(i uint32) uint64 { return table.hash6(flow.Addr6{Hi: uint64(i) << 16}, flow.Addr6{}, 0) },
		"IPv6 hosts":        func(i uint32) uint64 { return table.hash6(flow.Addr6{Lo: uint64(i)}, flow.Addr6{}, 0) },
		"IPv6 inside":       func(i uint32) uint64 { return table.hash6(flow.Addr6{}, flow.Addr6{Lo: uint64(i)}, 0) },
		"IPv6 port":         func(i uint32) uint64 { return table.hash6(flow.Addr6{}, flow.Addr6{}, uint64(i)<<portAt) },
		"sources":           func(i uint32) uint64 { return table.hashSource(flow.Mapped(i)) },
		"sources from IPv6": func(i uint32) uint64 { return table.hashSource(flow.Addr6{Hi: uint64(i) << 8}) },
	} {
		for half, shift := range []int{0, 32, 47} {
			hit := make([]bool, places)
			count := 0.0
			for i := range uint32(n) {
				if p := at(i) >> shift % places; !hit[p] {
					hit[p] = true
					count++
				}
			}
			if count < 0.98*want || count > 1.02*want {
				t.Errorf("%s, part %d of the hash: %.0f places of %d, expected %.0f", name, half, count, places, want)
			}
		}
	}
	if a, b := New(Caps{}), New(Caps{}); a.seeds == b.seeds {
		t.Error("two tables have the same seeds")
	}
}

// contactFlow gives a flow of contact n, outbound.
func contactFlow(n uint32, v6 bool) row.Row {
	f := row.Row{
		Outside: flow.Mapped(n * 2654435761), Inside: flow.Mapped(0x0a000000 + n%1200), Protocol: 6, Port: 443,
		Flags: row.Answered, Sampling: 1, PacketsOut: 3, PacketsIn: 2, BytesOut: 400, BytesIn: 3000, First: 1_800_000_000, Last: 1_800_000_001,
	}
	if v6 {
		f.Outside = flow.Addr6{Hi: 0x20010db8<<32 | uint64(n*2654435761), Lo: uint64(n)}
		f.Inside = flow.Addr6{Hi: 0x20010db8_ffff0000, Lo: uint64(n % 1200)}
	}
	return f
}

// TestMemory: a table with all the contacts of a server takes no more bytes for each than
// planned, one with few contacts a small part of it, and none is allocated when it is used again.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		caps  Caps
		v6    bool
		bytes int
	}{
		{"IPv4", Caps{V4: 262_144, V6: 16}, false, 75},
		{"IPv6", Caps{V4: 16, V6: 65_536}, true, 108},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := seeded(c.caps, 1)
			var rows Rows
			var b Batch
			limit := max(c.caps.V4, c.caps.V6)
			run := func() {
				for i := 0; i < limit; {
					b.Clear()
					for ; b.Len() < 1000 && i < limit; i++ {
						b.append(contactFlow(uint32(i), c.v6), 0, 0)
					}
					table.Update(&b, 0, true)
				}
				rows.Open(table, Names{})
				n := 0
				for r := (row.Row{}); rows.Next(&r); {
					n++
				}
				if n != limit {
					t.Fatalf("%d rows of %d contacts", n, limit)
				}
			}
			run()
			if per := float64(table.Bytes()) / float64(limit); per > float64(c.bytes) {
				t.Errorf("%.1f bytes for each contact", per)
			}
			if n := testing.AllocsPerRun(2, func() { table.Reset(); run() }); n != 0 {
				t.Errorf("%.0f allocations in a table that is used again", n)
			}
			for range 12 { // intervals without flows
				table.Reset()
			}
			if table.v4.size()+table.v6.size() > 4*least {
				t.Errorf("%d and %d places in use after quiet intervals", table.v4.size(), table.v6.size())
			}
		})
	}
}
