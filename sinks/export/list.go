package export

import (
	"iter"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

// A List is what a target writes. It takes about 40 bytes for each range of listings, and
// its rows are made when it is written.
type List struct {
	row.Head
	Report Report

	from *collector
}

// Rows yields the rows: by port, those without one first, then in the order of addresses.
func (l *List) Rows(yield func(*row.Row) bool) {
	for k, of := range l.from.rows(0) {
		r := l.from.row(k, of)
		if !yield(&r) {
			return
		}
	}
}

// A Report is what has become of the listings.
type Report struct {
	Listings int `json:"listings"` // that were read
	Filtered int `json:"filtered"` // that the filter keeps out
	Expired  int `json:"expired"`
	TLP      int `json:"tlp"`  // that are not to be shared
	Port     int `json:"port"` // with a port, which the target cannot express
	// Guarded counts the ranges with addresses that must never be blocked: ours, allowed,
	// special-purpose, critical.
	Guarded int `json:"guarded"`
	Rows    int `json:"rows"`
	Cut     int `json:"cut"` // rows beyond the maximum
	// Lowest is the least score of a listing in a list that was cut.
	Lowest int `json:"lowest"`
}

// Make makes a list with rows that have what a target can express. The pieces are ranges
// that do not overlap, in the order of addresses, IPv4 first, each with all that lists every
// address in it; the slices are not kept. Of never no address gets into the list. What has
// expired by now does not either.
func Make(can row.Can, pieces iter.Seq2[netipx.IPRange, []intel.Indicator], never *netipx.IPSet, o choice.Options, now time.Time) (*List, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := newCollector(can, never, o, now)
	for r, listings := range pieces {
		c.add(r, listings)
	}
	return c.list("all that is listed"), nil
}
