package export

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

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
// down to a score stay, and as many of the next score as there is room for, in their order,
// of the last of these a part.
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
		kept := c.pieces[port][:0]
		for _, p := range c.pieces[port] {
			score := int(c.of(&p).score)
			if score < least {
				if score != next || room == 0 {
					continue
				}
				prefixes := netipx.IPRangeFrom(p.from(), p.to()).Prefixes() // rows at most
				if len(prefixes) > room {
					p.last = netipx.PrefixLastIP(prefixes[room-1]).As16()
				}
				room -= min(room, len(prefixes))
				c.report.Lowest = next
			}
			kept = append(kept, p)
		}
		c.pieces[port] = kept
	}
	rows = c.count(0)
	c.report.Cut = all - rows
	return rows
}

// row makes a row of its pieces.
func (c *collector) row(k key, of []piece) row.Row {
	best := c.of(&of[0])
	var feeds []string
	made := row.Row{Prefix: k.prefix, Port: k.port, Expires: timeOf(best.expires)}
	for i := range of {
		r := c.of(&of[i])
		if r.score > best.score || r.score == best.score && r.category < best.category {
			best = r
		}
		if intel.TLPRank(r.tlp) > intel.TLPRank(made.TLP) {
			made.TLP = r.tlp
		}
		if c.can.Reasons && (i == 0 || of[i].reason != of[i-1].reason) {
			feeds = slices.AppendSeq(feeds, strings.SplitSeq(strings.TrimSuffix(r.feeds, "\x00"), "\x00"))
		}
		made.Sighting = join(made.Sighting, r.sighting)
		if seen := timeOf(r.firstSeen); made.FirstSeen.IsZero() || r.firstSeen != 0 && seen.Before(made.FirstSeen) {
			made.FirstSeen = seen
		}
		if seen := timeOf(r.lastSeen); seen.After(made.LastSeen) {
			made.LastSeen = seen
		}
	}
	made.Score, made.Category = best.score, best.category
	slices.Sort(feeds)
	made.Feeds = slices.Compact(feeds)
	return made
}
