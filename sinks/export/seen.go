package export

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

// A Seen is an offender that was in contact with us.
type Seen struct {
	Addr        netip.Addr
	Listings    []intel.Indicator // that it was met by; their prefixes do not count
	Contacts    uint64
	First, Last time.Time
}

// A Maker makes a list of offenders that were seen.
type Maker struct {
	about   string
	from    *collector
	pending []piece
}

// NewMaker begins a list as [Make] does; about is what was requested, for the header.
func NewMaker(can row.Can, never *netipx.IPSet, o choice.Options, about string, now time.Time) (*Maker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Maker{about: about, from: newCollector(can, never, o, now)}, nil
}

// Add takes an offender in. Those of its listings that pass make its row; it is counted once,
// by what keeps the last one out if none does. Offenders may come in any order, each once.
func (m *Maker) Add(s *Seen) {
	c := m.from
	c.report.Listings++
	why := &c.report.Filtered // an offender that no feed lists
	var passed []*intel.Indicator
	for i := range s.Listings {
		ind := &s.Listings[i]
		ind.Prefix = netip.PrefixFrom(s.Addr, s.Addr.BitLen())
		if out := c.refused(ind); out == nil {
			passed = append(passed, ind)
		} else {
			why = out
		}
	}
	if len(passed) == 0 {
		*why++
		return
	}
	c.sighting = row.Sighting{Count: s.Contacts, First: unix(s.First), Last: unix(s.Last)}
	m.pending = append(m.pending, pieceOf(netipx.IPRangeFrom(s.Addr, s.Addr), c.reasonOf(passed)))
}

// Done gives the list.
func (m *Maker) Done() *List {
	c := m.from
	slices.SortFunc(m.pending, func(a, b piece) int { return a.from().Compare(b.from()) })
	m.pending = slices.CompactFunc(m.pending, func(a, b piece) bool { return a.first == b.first })
	for i := range m.pending {
		p := &m.pending[i]
		if len(c.allowed(netipx.IPRangeFrom(p.from(), p.to()))) > 0 {
			c.pieces[0] = append(c.pieces[0], *p)
		}
	}
	m.pending = nil
	return c.list(m.about)
}

// join adds a sighting of an address in the same row.
func join(a, b row.Sighting) row.Sighting {
	if a.Count == 0 {
		return b
	}
	return row.Sighting{Count: a.Count + b.Count, First: min(cmp.Or(a.First, b.First), cmp.Or(b.First, a.First)), Last: max(a.Last, b.Last)}
}
