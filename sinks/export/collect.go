package export

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

// A piece is a range that will be blocked for one reason. It has no pointer, for there may
// be millions.
type piece struct {
	first, last [16]byte // IPv4 addresses are mapped
	reason      uint32   // index
}

func pieceOf(r netipx.IPRange, reason uint32) piece {
	return piece{r.From().As16(), r.To().As16(), reason}
}

func (p *piece) from() netip.Addr { return netip.AddrFrom16(p.first).Unmap() }
func (p *piece) to() netip.Addr   { return netip.AddrFrom16(p.last).Unmap() }

// A reason is why pieces are blocked: what a row has, as far as the target shows it.
type reason struct {
	score                        uint8
	category, tlp                string
	feeds                        string // by name, each with a NUL behind it
	expires, firstSeen, lastSeen int64  // Unix seconds; 0 = never, or unknown
	sighting                     row.Sighting
}

// A collector takes in all pieces and makes rows of them.
type collector struct {
	can     row.Can
	options choice.Options
	now     time.Time
	never   []netipx.IPRange // those that pieces have not passed yet
	report  Report

	pieces  map[uint16][]piece // by port, in order
	reasons []reason
	index   map[reason]uint32
	ports   map[uint16][]*intel.Indicator // what passes of one range
	seen    map[wide]bool
	// sighting is of the offender that is taken in.
	sighting row.Sighting
}

func newCollector(can row.Can, never *netipx.IPSet, o choice.Options, now time.Time) *collector {
	return &collector{
		can: can, options: o, now: now.UTC().Truncate(time.Second), never: never.Ranges(),
		pieces: make(map[uint16][]piece), index: make(map[reason]uint32), ports: make(map[uint16][]*intel.Indicator), seen: make(map[wide]bool),
	}
}

// add takes a range in.
func (c *collector) add(r netipx.IPRange, listings []intel.Indicator) {
	clear(c.ports)
	for i := range listings {
		ind := &listings[i]
		why := c.refused(ind)
		if why == nil {
			c.ports[ind.Port] = append(c.ports[ind.Port], ind)
		}
		if c.first(r, ind) {
			c.report.Listings++
			if why != nil {
				*why++
			}
		}
	}
	if len(c.ports) == 0 {
		return
	}
	rest := c.allowed(r)
	for port, listings := range c.ports {
		why := c.reasonOf(listings)
		for _, q := range rest {
			c.pieces[port] = append(c.pieces[port], pieceOf(q, why))
		}
	}
}

// refused gives the counter of what keeps a listing out, or nil.
func (c *collector) refused(ind *intel.Indicator) *int {
	switch {
	case !c.options.Passes(ind):
		return &c.report.Filtered
	case !ind.Expires.IsZero() && !ind.Expires.After(c.now):
		return &c.report.Expired
	case intel.TLPRank(ind.TLP) > intel.TLPRank(c.options.MaxTLP):
		return &c.report.TLP
	case ind.Port != 0 && !c.can.Ports:
		return &c.report.Port
	}
	return nil
}

// A wide is a listing that is cut into several ranges.
type wide struct {
	prefix netip.Prefix
	feed   string
	port   uint16
}

// first reports whether a listing has not come with an earlier range.
func (c *collector) first(r netipx.IPRange, ind *intel.Indicator) bool {
	if netipx.RangeOfPrefix(ind.Prefix) == r {
		return true
	}
	key := wide{ind.Prefix, ind.Feed, ind.Port}
	if c.seen[key] {
		return false
	}
	c.seen[key] = true
	return true
}

// allowed gives what of a range may be blocked.
func (c *collector) allowed(r netipx.IPRange) []netipx.IPRange {
	from, last := r.From(), r.To()
	for len(c.never) > 0 && c.never[0].To().Less(from) {
		c.never = c.never[1:]
	}
	if len(c.never) == 0 || last.Less(c.never[0].From()) {
		return []netipx.IPRange{r}
	}
	c.report.Guarded++
	var rest []netipx.IPRange
	for _, n := range c.never {
		if last.Less(n.From()) {
			break
		}
		if from.Less(n.From()) {
			rest = append(rest, netipx.IPRangeFrom(from, n.From().Prev()))
		}
		if from = n.To().Next(); !from.IsValid() || last.Less(from) {
			return rest
		}
	}
	return append(rest, netipx.IPRangeFrom(from, last))
}

// reasonOf sums up listings of one piece and port, as far as the target shows it.
func (c *collector) reasonOf(listings []*intel.Indicator) uint32 {
	best := listings[0]
	var r reason
	var feeds []string
	forever := false
	for _, ind := range listings {
		if ind.Score > best.Score || ind.Score == best.Score && ind.Category < best.Category {
			best = ind
		}
		if intel.TLPRank(ind.TLP) > intel.TLPRank(r.tlp) {
			r.tlp = ind.TLP
		}
		feeds = append(feeds, ind.Feed)
		forever = forever || ind.Expires.IsZero()
		r.expires = max(r.expires, unix(ind.Expires))
		r.lastSeen = max(r.lastSeen, unix(ind.LastSeen))
		if seen := unix(ind.FirstSeen); seen != 0 && (r.firstSeen == 0 || seen < r.firstSeen) {
			r.firstSeen = seen
		}
	}
	if forever || !c.can.Timeouts || c.options.NoTime && !c.can.Dates { // then no end is written
		r.expires = 0
	}
	if c.can.Dates {
		r.sighting = c.sighting
	} else {
		r.firstSeen, r.lastSeen = 0, 0
	}
	r.score = best.Score
	if c.can.Reasons {
		slices.Sort(feeds)
		r.category, r.feeds = best.Category, strings.Join(slices.Compact(feeds), "\x00")+"\x00"
	} else {
		r.tlp = ""
	}
	i, ok := c.index[r]
	if !ok {
		i = uint32(len(c.reasons))
		c.reasons = append(c.reasons, r)
		c.index[r] = i
	}
	return i
}

// list cuts what was taken in to its size, and gives it as a list; about is what was requested,
// for the header.
func (c *collector) list(about string) *List {
	made := c.now
	if c.options.NoTime {
		made = time.Time{}
	}
	c.report.Rows = c.cut()
	c.seen, c.never, c.index = nil, nil, nil
	return &List{Head: row.NewHead(c.options.Name, about+", "+c.options.String(), made), Report: c.report, from: c}
}

// unix gives the seconds of a time, 0 for the zero one.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Unix(), 1)
}

func timeOf(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func (c *collector) of(p *piece) *reason { return &c.reasons[p.reason] }

// byPort gives the ports of the pieces, in order.
func (c *collector) byPort() []uint16 { return slices.Sorted(maps.Keys(c.pieces)) }
