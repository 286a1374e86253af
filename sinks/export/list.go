package export

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A List is what a target writes. It takes about 40 bytes for each range of listings, and
// its rows are made when it is written.
type List struct {
	Report Report

	target  *Target
	options Options
	made    time.Time // UTC; zero = none is shown
	from    *collector
}

// Rows yields the rows: by port, those without one first, then in the order of addresses.
func (l *List) Rows(yield func(*Row) bool) {
	for k, of := range l.from.rows(0) {
		r := l.from.row(k, of)
		if !yield(&r) {
			return
		}
	}
}

// A Row is a prefix to block. Rows of one port do not overlap.
type Row struct {
	Prefix netip.Prefix
	Port   uint16 // of the listed end; 0 = all
	// The rest is of the listings that have made the row, as far as the target shows it.
	Score    uint8 // the best
	Category string
	Feeds    []string // by name
	TLP      string   // the most restricted
	// Expires is when the last listing does, FirstSeen and LastSeen are the earliest and
	// the latest time; zero = never, or unknown.
	Expires, FirstSeen, LastSeen time.Time
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

// Make makes the list of a target. The pieces are ranges that do not overlap, in the order
// of addresses, IPv4 first, each with all that lists every address in it; the slices are not
// kept. Of never no address gets into the list. What has expired by now does not either.
func Make(target *Target, pieces iter.Seq2[netipx.IPRange, []intel.Indicator], never *netipx.IPSet, o Options, now time.Time) (*List, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	l := &List{target: target, options: o}
	if !o.NoTime {
		l.made = now
	}
	c := newCollector(target, never, o, now)
	for r, listings := range pieces {
		c.add(r, listings)
	}
	c.report.Rows = c.cut()
	c.seen, c.never, c.index = nil, nil, nil
	l.Report, l.from = c.report, c
	return l, nil
}

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
}

// A collector takes in all pieces and makes rows of them.
type collector struct {
	target  *Target
	options Options
	now     time.Time
	never   []netipx.IPRange // those that pieces have not passed yet
	report  Report

	pieces  map[uint16][]piece // by port, in order
	reasons []reason
	index   map[reason]uint32
	ports   map[uint16][]*intel.Indicator // what passes of one range
	seen    map[wide]bool
}

func newCollector(target *Target, never *netipx.IPSet, o Options, now time.Time) *collector {
	return &collector{
		target: target, options: o, now: now, never: never.Ranges(),
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
	case !c.options.passes(ind):
		return &c.report.Filtered
	case !ind.Expires.IsZero() && !ind.Expires.After(c.now):
		return &c.report.Expired
	case tlpRank(ind.TLP) > tlpRank(c.options.MaxTLP):
		return &c.report.TLP
	case ind.Port != 0 && !c.target.ports:
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
		if tlpRank(ind.TLP) > tlpRank(r.tlp) {
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
	if forever || !c.target.timeouts {
		r.expires = 0
	}
	if !c.target.dates {
		r.firstSeen, r.lastSeen = 0, 0
	}
	r.score = best.Score
	if c.target.reasons {
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

// A key names a row.
type key struct {
	port   uint16
	prefix netip.Prefix
}

// rows yields the rows that the pieces of at least a score make, with their pieces: the
// fewest prefixes that have all their addresses and no other. Pieces that end at different
// times stay apart.
func (c *collector) rows(score uint8) iter.Seq2[key, []piece] {
	return func(yield func(key, []piece) bool) {
		var prefixes []netip.Prefix
		for _, port := range c.byPort() {
			all := c.pieces[port]
			for first, end := 0, 0; first < len(all); first = end {
				end = first + 1
				if c.of(&all[first]).score < score {
					continue
				}
				for end < len(all) && c.continues(&all[first], &all[end-1], &all[end], score) {
					end++
				}
				run := all[first:end]
				prefixes = netipx.IPRangeFrom(run[0].from(), run[len(run)-1].to()).AppendPrefixes(prefixes[:0])
				for _, p := range prefixes {
					for run[0].to().Less(p.Addr()) {
						run = run[1:]
					}
					n := 1
					for n < len(run) && p.Contains(run[n].from()) {
						n++
					}
					if !yield(key{port, p}, run[:n]) {
						return
					}
				}
			}
		}
	}
}

// continues reports whether a piece can be in one row with the first of a run, the last of
// which comes before it.
func (c *collector) continues(first, last, p *piece, score uint8) bool {
	return p.from() == last.to().Next() && c.of(p).score >= score && c.of(p).expires == c.of(first).expires
}

// count gives the number of rows that the pieces of at least a score make.
func (c *collector) count(score uint8) (n int) {
	for range c.rows(score) {
		n++
	}
	return n
}

// cut removes pieces until there are not more rows than allowed, and gives their number. All
// down to a score stay, and as many of the next score as there is room for, in their order.
func (c *collector) cut() (rows int) {
	all := c.count(0)
	if all <= c.options.Max {
		return all
	}
	scores := make(map[uint8]bool)
	for _, r := range c.reasons {
		scores[r.score] = true
	}
	least, next := 256, -1
	for _, score := range slices.Backward(slices.Sorted(maps.Keys(scores))) {
		n := c.count(score)
		if n > c.options.Max {
			next = int(score)
			break
		}
		least, rows = int(score), n
	}
	room := c.options.Max - rows
	c.report.Lowest = least
	for _, port := range c.byPort() {
		c.pieces[port] = slices.DeleteFunc(c.pieces[port], func(p piece) bool {
			score := int(c.of(&p).score)
			if score != next || room == 0 {
				return score < least
			}
			more := len(netipx.IPRangeFrom(p.from(), p.to()).Prefixes()) // rows at most
			if more > room {
				return true
			}
			room -= more
			c.report.Lowest = next
			return false
		})
	}
	rows = c.count(0)
	c.report.Cut = all - rows
	return rows
}

// row makes a row of its pieces.
func (c *collector) row(k key, of []piece) Row {
	best := c.of(&of[0])
	var feeds []string
	row := Row{Prefix: k.prefix, Port: k.port, Expires: timeOf(best.expires)}
	for i := range of {
		r := c.of(&of[i])
		if r.score > best.score || r.score == best.score && r.category < best.category {
			best = r
		}
		if tlpRank(r.tlp) > tlpRank(row.TLP) {
			row.TLP = r.tlp
		}
		if c.target.reasons && (i == 0 || of[i].reason != of[i-1].reason) {
			feeds = slices.AppendSeq(feeds, strings.SplitSeq(strings.TrimSuffix(r.feeds, "\x00"), "\x00"))
		}
		if seen := timeOf(r.firstSeen); row.FirstSeen.IsZero() || r.firstSeen != 0 && seen.Before(row.FirstSeen) {
			row.FirstSeen = seen
		}
		if seen := timeOf(r.lastSeen); seen.After(row.LastSeen) {
			row.LastSeen = seen
		}
	}
	row.Score, row.Category = best.score, best.category
	slices.Sort(feeds)
	row.Feeds = slices.Compact(feeds)
	return row
}
