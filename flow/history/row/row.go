// Package row defines the [Row] of the contact history: who of us was in contact with which
// address outside, on what service, how often and how much, in some span of time. The tables
// of the workers end as rows, the files hold them, a hunt returns them.
//
// Rows are in order by their key ([Compare]). Rows of the same key become one by adding them
// up ([Row.Add]), in any order and grouping with the same result, so that a table, a merge of
// files and a test with a map agree to the last bit.
package row

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// The values of Row.Direction: which side opened the contact.
const (
	Outbound uint8 = iota // we did
	Inbound               // the address outside did
	Unknown
	Transit // neither end is ours
)

// The bits of Row.Flags.
const (
	Answered       uint8 = 1 << iota // there was an answer
	Refused                          // the answer was a refusal
	Blocked                          // a firewall on the way blocked it
	Unsynchronised                   // the clock of this machine was not synchronised
)

// A Row is one contact. Outside, Inside, Protocol, Port, Exporter, Site and Direction are its key.
type Row struct {
	// Outside is the foreign end, Inside ours; IPv4 as ::ffff:a.b.c.d. A folded row has
	// no Inside: it is zero.
	Outside, Inside flow.Addr6
	// Protocol is the IANA protocol number.
	Protocol uint8
	// Port is that of the service, of whichever end offers it; 0 = none. In a folded row
	// 0 also stands for a great many ports.
	Port uint16
	// Exporter is the device that exported the flows, unmapped; invalid when unknown.
	Exporter netip.Addr
	// Site is the name of the exporter's site; empty = at none.
	Site string
	// Direction is Outbound, Inbound, Unknown or Transit.
	Direction uint8
	// Flags are the bits that any of the flows had.
	Flags uint8
	// First and Last are the earliest start and the latest end, in s since 1970 UTC.
	First, Last uint32
	// Flows is the number of flow records.
	Flows uint32
	// What we sent (Out) and received (In), multiplied by the sampling rate.
	PacketsOut, PacketsIn, BytesOut, BytesIn uint64
	// Sampling is the highest rate that was in force: one of Sampling packets was seen; 1 = all.
	Sampling uint32
	// Hours has a bit for each hour of the day with traffic; bit 0 is 00:00 to 01:00 UTC.
	Hours uint32
	// Folded is the number of contacts that this row stands for when they were not kept
	// one by one, counted once for each of their flows; 0 = exact.
	Folded uint32
}

// Compare orders rows by outside, inside, protocol, port, exporter, site and direction:
// negative when a comes first, 0 when both have the same key.
func Compare(a, b *Row) int {
	if a.Outside != b.Outside {
		return a.Outside.Compare(b.Outside)
	}
	if a.Inside != b.Inside {
		return a.Inside.Compare(b.Inside)
	}
	if a.Protocol != b.Protocol {
		return cmp.Compare(a.Protocol, b.Protocol)
	}
	if a.Port != b.Port {
		return cmp.Compare(a.Port, b.Port)
	}
	if a.Exporter != b.Exporter {
		return a.Exporter.Compare(b.Exporter)
	}
	if a.Site != b.Site {
		return cmp.Compare(a.Site, b.Site)
	}
	return cmp.Compare(a.Direction, b.Direction)
}

// Add adds o to r, which has the same key. A sum that does not fit stays at the greatest
// number: an exporter may send any counter, and one that wraps would look small.
func (r *Row) Add(o *Row) {
	r.Flags |= o.Flags
	r.First, r.Last = min(r.First, o.First), max(r.Last, o.Last)
	r.Flows = flow.Sum(r.Flows, o.Flows)
	r.PacketsOut, r.PacketsIn = flow.Sum(r.PacketsOut, o.PacketsOut), flow.Sum(r.PacketsIn, o.PacketsIn)
	r.BytesOut, r.BytesIn = flow.Sum(r.BytesOut, o.BytesOut), flow.Sum(r.BytesIn, o.BytesIn)
	r.Sampling = max(r.Sampling, o.Sampling)
	r.Hours |= o.Hours
	r.Folded = flow.Sum(r.Folded, o.Folded)
}
