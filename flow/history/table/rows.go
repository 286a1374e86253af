package table

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// Names are what the numbers of a [Batch] stand for. A number beyond the end has no
// address, or no site.
type Names struct {
	Exporters []netip.Addr
	Sites     []string
}

// Rows gives the contacts of a table as rows in key order. It is used again for the next
// table ([Rows.Open]); the memory for the order, 16 bytes per IPv4 and 24 per other contact,
// stays with it.
type Rows struct {
	table *Table
	names Names
	// The order: small references are sorted instead of entries.
	four []ref4
	six  []ref6
	// The next row of each size of entry, when there is one.
	next4, next6 row.Row
	have4, have6 bool
	at4, at6     int
	ahead        uint64 // what reading ahead gave, so that no compiler leaves it out
}

// touched is how many entries are read ahead. They lie anywhere in memory.
const touched = 16

// A ref4 stands for an entry4. It begins with the first parts of its key: the ends; then,
// in service, a bit for not folded (a folded row has no inside address, which comes before
// all), the protocol and the port.
type ref4 struct {
	ends    uint64
	service uint32
	n       uint32
}

// A ref6 stands for an entry6. It begins with the address outside.
type ref6 struct {
	outside flow.Addr6
	n       uint32
}

// Open sorts the contacts of t, which must not be changed until the last Next.
func (r *Rows) Open(t *Table, names Names) {
	r.table, r.names = t, names
	r.four, r.six = slices.Grow(r.four[:0], t.v4.used), slices.Grow(r.six[:0], t.v6.used)
	for i := range t.v4.used {
		e := t.entry4(i)
		service := uint32(e.rest>>protocolAt&0xff)<<16 | uint32(e.rest>>portAt&0xffff)
		if e.rest&foldedBit == 0 {
			service |= 1 << 24
		}
		r.four = append(r.four, ref4{e.ends, service, uint32(i)})
	}
	for i := range t.v6.used {
		r.six = append(r.six, ref6{t.entry6(i).outside, uint32(i)})
	}
	slices.SortFunc(r.four, func(a, b ref4) int {
		if a.ends != b.ends {
			return cmp.Compare(a.ends, b.ends)
		}
		if a.service != b.service {
			return cmp.Compare(a.service, b.service)
		}
		return r.compareRest(t.entry4(int(a.n)).rest, t.entry4(int(b.n)).rest)
	})
	slices.SortFunc(r.six, func(a, b ref6) int {
		if a.outside != b.outside {
			return a.outside.Compare(b.outside)
		}
		x, y := t.entry6(int(a.n)), t.entry6(int(b.n))
		if x.inside != y.inside {
			return x.inside.Compare(y.inside)
		}
		return r.compareRest(x.rest, y.rest)
	})
	r.at4, r.at6 = 0, 0
	r.load4()
	r.load6()
}

// compareRest orders by protocol, port, exporter, site and direction.
func (r *Rows) compareRest(a, b uint64) int {
	return cmp.Or(
		cmp.Compare(a>>protocolAt&0xff, b>>protocolAt&0xff),
		cmp.Compare(a>>portAt&0xffff, b>>portAt&0xffff),
		r.exporter(a).Compare(r.exporter(b)),
		cmp.Compare(r.site(a), r.site(b)),
		cmp.Compare(a&directionBits, b&directionBits),
	)
}

// Next writes the next row to to; false at the end. No two rows have the same key.
func (r *Rows) Next(to *row.Row) bool {
	if !r.take(to) {
		return false
	}
	// Numbers of one name, or an IPv6 contact with :: beside a folded one.
	for {
		same4 := r.have4 && row.Compare(&r.next4, to) == 0
		if same4 {
			to.Add(&r.next4)
			r.load4()
		}
		same6 := r.have6 && row.Compare(&r.next6, to) == 0
		if same6 {
			to.Add(&r.next6)
			r.load6()
		}
		if !same4 && !same6 {
			return true
		}
	}
}

// take writes the earlier of the two next rows.
func (r *Rows) take(to *row.Row) bool {
	switch {
	case r.have4 && (!r.have6 || row.Compare(&r.next4, &r.next6) <= 0):
		*to = r.next4
		r.load4()
	case r.have6:
		*to = r.next6
		r.load6()
	default:
		return false
	}
	return true
}

// load4 makes the next row from the IPv4 entries.
func (r *Rows) load4() {
	if r.have4 = r.at4 < len(r.four); !r.have4 {
		return
	}
	if r.at4%touched == 0 {
		for _, ref := range r.four[r.at4:min(r.at4+touched, len(r.four))] {
			r.ahead += r.table.entry4(int(ref.n)).rest
		}
	}
	e := r.table.entry4(int(r.four[r.at4].n))
	r.at4++
	r.fill(&r.next4, flow.Mapped(uint32(e.ends>>32)), flow.Mapped(uint32(e.ends)), &e.contact)
}

// load6 makes the next row from the other entries.
func (r *Rows) load6() {
	if r.have6 = r.at6 < len(r.six); !r.have6 {
		return
	}
	if r.at6%touched == 0 {
		for _, ref := range r.six[r.at6:min(r.at6+touched, len(r.six))] {
			r.ahead += r.table.entry6(int(ref.n)).rest
		}
	}
	e := r.table.entry6(int(r.six[r.at6].n))
	r.at6++
	r.fill(&r.next6, e.outside, e.inside, &e.contact)
}

// fill makes the row of a contact.
func (r *Rows) fill(to *row.Row, outside, inside flow.Addr6, c *contact) {
	*to = row.Row{
		Outside: outside, Inside: inside, Protocol: uint8(c.rest >> protocolAt), Port: uint16(c.rest >> portAt),
		Exporter: r.exporter(c.rest), Site: r.site(c.rest), Direction: uint8(c.rest & directionBits),
		Flags: uint8(c.rest & flagBits >> flagsAt), First: c.first, Last: c.last, Flows: c.flows,
		PacketsOut: c.packetsOut, PacketsIn: c.packetsIn, BytesOut: c.bytesOut, BytesIn: c.bytesIn,
		Sampling: c.sampling, Hours: hours(c.first, c.last),
	}
	if c.rest&foldedBit != 0 {
		to.Inside, to.Folded = flow.Addr6{}, c.flows
	}
}

// exporter is the address of an exporter's number.
func (r *Rows) exporter(rest uint64) netip.Addr {
	if n := int(rest >> exporterAt & 0xffff); n < len(r.names.Exporters) {
		return r.names.Exporters[n]
	}
	return netip.Addr{}
}

// site is the name of a site's number.
func (r *Rows) site(rest uint64) string {
	if n := int(rest >> siteAt); n < len(r.names.Sites) {
		return r.names.Sites[n]
	}
	return ""
}

// hours has a bit for each hour of the day from first to last. A table is handed over within
// the hour, so only a flow that lasted longer sets more than two.
func hours(first, last uint32) uint32 {
	const hour = 3600
	if last < first {
		first, last = last, first
	}
	from, n := first/hour%24, last/hour-first/hour+1
	if n >= 24 {
		return 1<<24 - 1
	}
	set := uint32(1)<<n - 1
	return (set<<from | set>>(24-from)) & (1<<24 - 1)
}
