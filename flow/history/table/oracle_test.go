package table

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// An oracle does with maps what a table does.
type oracle struct {
	caps           Caps
	contacts       map[oracleKey]*row.Row
	small, large   int
	sources, ports map[flow.Addr6]int // tiny contacts, folded rows
	counts         Counts
}

type oracleKey struct {
	outside, inside flow.Addr6
	protocol        uint8
	port            uint16
	exporter, site  uint16
	direction       uint8
	folded          bool
}

func newOracle(c Caps) *oracle {
	return &oracle{caps: c, contacts: map[oracleKey]*row.Row{}, sources: map[flow.Addr6]int{}, ports: map[flow.Addr6]int{}}
}

// flow counts flow i of b; false when the table must be handed over first.
func (o *oracle) flow(b *Batch, i int, lose bool) bool {
	k := oracleKey{b.Outside[i], b.Inside[i], b.Protocol[i], b.Port[i], b.Exporter[i], b.Site[i], b.Direction[i], false}
	if r := o.contacts[k]; r != nil {
		o.counts.Kept++
		addFlow(r, b, i)
		return true
	}
	tiny := b.Direction[i] == row.Inbound && b.Flags[i]&row.Answered == 0 && b.PacketsOut[i] == 0 && b.PacketsIn[i] <= 3*max(1, uint64(b.Sampling[i]))
	if tiny && o.sources[k.outside] >= 64 {
		k.inside, k.folded = flow.Addr6{}, true
		if o.contacts[k] == nil && o.ports[k.outside] >= 64 {
			k.port = 0
		}
		if r := o.contacts[k]; r != nil {
			o.counts.Folded++
			addFlow(r, b, i)
			return true
		}
	}
	used, limit := &o.large, o.caps.V6
	if k.outside.Addr().Is4In6() && (k.folded || k.inside.Addr().Is4In6()) {
		used, limit = &o.small, o.caps.V4
	}
	switch {
	case !lose && *used >= limit-limit/16:
		return false
	case lose && (tiny || *used >= limit):
		o.counts.Lost++
		return true
	}
	*used++
	if k.folded {
		o.ports[k.outside]++
		o.counts.Folded++
	} else {
		o.counts.Kept++
		if tiny {
			o.sources[k.outside]++
		}
	}
	r := &row.Row{First: b.First[i], Last: b.Last[i]}
	o.contacts[k] = r
	addFlow(r, b, i)
	return true
}

func addFlow(r *row.Row, b *Batch, i int) {
	r.Flags |= b.Flags[i]
	r.First, r.Last = min(r.First, b.First[i]), max(r.Last, b.Last[i])
	r.Flows++
	r.PacketsOut += b.PacketsOut[i]
	r.PacketsIn += b.PacketsIn[i]
	r.BytesOut += b.BytesOut[i]
	r.BytesIn += b.BytesIn[i]
	r.Sampling = max(r.Sampling, b.Sampling[i], 1)
}

// rows are the contacts in order, those of equal names added up.
func (o *oracle) rows(n Names) []row.Row {
	var all []row.Row
	for k, c := range o.contacts {
		r := *c
		r.Outside, r.Inside, r.Protocol, r.Port, r.Direction = k.outside, k.inside, k.protocol, k.port, k.direction
		if int(k.exporter) < len(n.Exporters) {
			r.Exporter = n.Exporters[k.exporter]
		}
		if int(k.site) < len(n.Sites) {
			r.Site = n.Sites[k.site]
		}
		if k.folded {
			r.Folded = r.Flows
		}
		for h := min(r.First, r.Last) / 3600; h <= max(r.First, r.Last)/3600; h++ {
			r.Hours |= 1 << (h % 24)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row.Row) int { return row.Compare(&a, &b) })
	var out []row.Row
	for i := range all {
		if n := len(out); n > 0 && row.Compare(&out[n-1], &all[i]) == 0 {
			out[n-1].Add(&all[i])
		} else {
			out = append(out, all[i])
		}
	}
	return out
}

var testNames = Names{
	Exporters: []netip.Addr{
		netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.9"),
		netip.MustParseAddr("192.0.2.80"), // as number 0
	},
	Sites: []string{"", "west", "east", "west"},
}

// append adds one flow.
func (b *Batch) append(f row.Row, exporter, site uint16) {
	b.Outside, b.Inside = append(b.Outside, f.Outside), append(b.Inside, f.Inside)
	b.Protocol, b.Port = append(b.Protocol, f.Protocol), append(b.Port, f.Port)
	b.Exporter, b.Site = append(b.Exporter, exporter), append(b.Site, site)
	b.Direction, b.Flags = append(b.Direction, f.Direction), append(b.Flags, f.Flags)
	b.Sampling = append(b.Sampling, f.Sampling)
	b.PacketsOut, b.PacketsIn = append(b.PacketsOut, f.PacketsOut), append(b.PacketsIn, f.PacketsIn)
	b.BytesOut, b.BytesIn = append(b.BytesOut, f.BytesOut), append(b.BytesIn, f.BytesIn)
	b.First, b.Last = append(b.First, f.First), append(b.Last, f.Last)
}

// anyFlow gives a flow from a space in which contacts meet again: scanners and servers, both
// families and pairs of both, addresses of zeros, times of many hours.
func anyFlow(r *rand.Rand) (f row.Row, exporter, site uint16) {
	f = row.Row{
		Outside: flow.Mapped(0xcb007100 + uint32(r.IntN(200))), Inside: flow.Mapped(0x0a000000 + uint32(r.IntN(300))),
		Protocol: [...]uint8{1, 6, 17}[r.IntN(3)], Port: uint16(r.IntN(3)), Direction: uint8(r.IntN(4)), Flags: uint8(r.IntN(16)),
		Sampling: [...]uint32{0, 1, 1000}[r.IntN(3)], PacketsOut: uint64(r.IntN(3)), PacketsIn: uint64(r.IntN(6)),
		BytesOut: uint64(r.IntN(100_000)), BytesIn: r.Uint64() >> 32,
		First: 1_800_000_000 + uint32(r.IntN(100)*500), Last: 1_800_000_000 + uint32(r.IntN(100)*500),
	}
	if r.IntN(4) == 0 {
		f.Outside = flow.Addr6{Hi: 0x20010db8_00000000, Lo: uint64(r.IntN(50))}
	}
	if r.IntN(5) == 0 {
		f.Inside = flow.Addr6{Hi: 0x20010db8_00000001, Lo: uint64(r.IntN(50))}
	}
	switch r.IntN(40) {
	case 0:
		f.Outside = flow.Addr6{}
	case 1:
		f.Outside = flow.Mapped(0)
	case 2:
		f.Inside = flow.Addr6{}
	case 3:
		f.Inside = flow.Mapped(0)
	}
	if r.IntN(2) == 0 { // a scanner
		f.Outside = [...]flow.Addr6{
			flow.Mapped(0xc6336401), flow.Mapped(0xc6336402), {Hi: 0x20010db8_0000ffff, Lo: 1}, {Hi: 0x20010db8_0000ffff, Lo: 2}, {Hi: 0xfe80 << 48},
		}[r.IntN(5)]
		f.Direction, f.Flags, f.PacketsOut, f.PacketsIn = row.Inbound, uint8(r.IntN(16))&^row.Answered, 0, 1
		f.Port = uint16(r.IntN(100))
	}
	return f, uint16(r.IntN(5) * r.IntN(2)), uint16(r.IntN(5) * r.IntN(2))
}

// seeded makes a table whose hashes are the same in each run.
func seeded(c Caps, seed uint64) *Table {
	t, r := New(c), rand.New(rand.NewPCG(seed, 77))
	for i := range t.seeds {
		t.seeds[i] = r.Uint64()
	}
	return t
}

// rowsOf gives all rows of a table.
func rowsOf(t *Table, n Names) []row.Row {
	var rows Rows
	var out []row.Row
	rows.Open(t, n)
	for r := (row.Row{}); rows.Next(&r); {
		out = append(out, r)
	}
	return out
}

// TestTable: tables of all sizes hold exactly what maps hold, flow by flow, with fold, full
// tables that are handed over and used again, and contacts that are lost; every flow is
// counted once.
func TestTable(t *testing.T) {
	for _, caps := range []Caps{{0, 0}, {1, 1}, {40, 7}, {500, 100}, {3000, 700}, {100_000, 5000}, {100_000, 100_000}} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%d-%d/%d", caps.V4, caps.V6, seed), func(t *testing.T) { compare(t, caps, seed) })
		}
	}
}

func compare(t *testing.T, caps Caps, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(caps.V4)))
	table, expected := seeded(caps, seed), newOracle(caps)
	var total, all Counts
	var offered uint64
	check := func() {
		if got := table.Counts(); got != expected.counts {
			t.Fatalf("counts %+v, expected %+v", got, expected.counts)
		}
		all.Kept, all.Folded, all.Lost = all.Kept+expected.counts.Kept, all.Folded+expected.counts.Folded, all.Lost+expected.counts.Lost
		if table.Len() != len(expected.contacts) {
			t.Fatalf("%d contacts, expected %d", table.Len(), len(expected.contacts))
		}
		got, rows := rowsOf(table, testNames), expected.rows(testNames)
		for i := range max(len(got), len(rows)) {
			if i >= len(got) || i >= len(rows) || got[i] != rows[i] {
				t.Fatalf("%d rows, expected %d; the first that differs is\n%+v, expected\n%+v", len(got), len(rows), got[min(i, len(got)):min(i+1, len(got))], rows[min(i, len(rows)):min(i+1, len(rows))])
			}
		}
		for i := range got {
			total.Kept += uint64(got[i].Flows - got[i].Folded)
			total.Folded += uint64(got[i].Folded)
		}
	}
	var b Batch
	handovers := 0
	for range 300 {
		b.Clear()
		for range r.IntN(250) {
			b.append(anyFlow(r))
		}
		offered += uint64(b.Len())
		for i := 0; i < b.Len(); {
			lose := r.IntN(3) == 0 || caps.V4 == 0 || caps.V6 == 0
			done := table.Update(&b, i, lose)
			for ; i < done; i++ {
				if !expected.flow(&b, i, lose) {
					t.Fatalf("flow %d was counted, expected a full table", i)
				}
			}
			if i == b.Len() {
				break
			}
			if expected.flow(&b, i, lose) {
				t.Fatalf("stopped at flow %d, expected it to be counted", i)
			}
			check()
			table.Reset()
			expected = newOracle(caps)
			handovers++
		}
	}
	check()
	if all.Kept+all.Folded+all.Lost != offered {
		t.Errorf("%+v, of %d flows", all, offered)
	}
	if total.Kept+total.Folded != all.Kept+all.Folded {
		t.Errorf("rows with %+v flows, counted %+v", total, all)
	}
	if full := caps.V4 >= 100_000; !full && caps.V4 > 0 && handovers == 0 || full && all.Folded == 0 {
		t.Errorf("%d tables handed over, counts %+v", handovers, all)
	}
}

// TestCollisions: contacts whose hashes are all the same are kept apart by each part of
// their key. Seeds of zero make the product of anything with zero the hash.
func TestCollisions(t *testing.T) {
	caps := Caps{4096, 4096}
	table, expected := New(caps), newOracle(caps)
	table.seeds = [6]uint64{}
	r := rand.New(rand.NewPCG(1, 9))
	var b Batch
	for range 20_000 {
		f := row.Row{Outside: flow.Mapped(0), Inside: flow.Mapped(0), Sampling: 1, Flags: uint8(r.IntN(16)), PacketsOut: 1, First: 7200, Last: 7200}
		var exporter, site uint16
		kind := r.IntN(3)
		switch kind {
		case 0: // IPv4, by the ends
			f.Outside, f.Inside = flow.Mapped(r.Uint32N(15)), flow.Mapped(r.Uint32N(15))
		case 1: // IPv6
			f.Outside, f.Inside = flow.Addr6{Hi: r.Uint64N(3)}, flow.Addr6{Hi: r.Uint64N(3)}
		}
		if kind != 0 {
			f.Protocol, f.Port, f.Direction = uint8(r.IntN(3)), uint16(r.IntN(3)), uint8(r.IntN(4))
			exporter, site = uint16(r.IntN(3)), uint16(r.IntN(3))
		}
		b.append(f, exporter, site)
	}
	if n := table.Update(&b, 0, false); n != b.Len() {
		t.Fatalf("stopped at flow %d", n)
	}
	for i := range table.keys[:b.Len()%chunk] {
		if table.keys[i].hash != 0 {
			t.Fatalf("hash %x of %+v", table.keys[i].hash, table.keys[i])
		}
	}
	for i := range b.Len() {
		expected.flow(&b, i, false)
	}
	if got, rows := rowsOf(table, testNames), expected.rows(testNames); !slices.Equal(got, rows) {
		t.Errorf("%d rows, expected %d", len(got), len(rows))
	}
}
