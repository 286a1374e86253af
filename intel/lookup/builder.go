package lookup

import (
	"math"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/flow"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Policy is what the operator wants of every table.
type Policy struct {
	// Allow are prefixes that never raise a hit, whatever a feed says.
	Allow []netip.Prefix
	// Home are our own networks. A feed cannot list them.
	Home []netip.Prefix
	// NAT64 are the operator's prefixes for NAT64, see Embedding.
	NAT64 []netip.Prefix
	// Warninglists change what a listing of their addresses means, see Class.
	Warninglists []*intel.Warninglist
	// MaxIndicators bounds a table; 0 means 5,000,000.
	MaxIndicators int
}

// defaultMaxIndicators is the cap when the policy names none.
const defaultMaxIndicators = 5_000_000

// An Origin tells whose word an entry is.
type Origin uint8

// The origins.
const (
	// OriginFeed is foreign: all guards apply.
	OriginFeed Origin = iota
	// OriginOperator is the operator's own deny list: it wins over allowlist, home
	// networks and special-purpose space. Only /0 is refused.
	OriginOperator
)

// A Builder collects entries and compiles them. It is for one goroutine and one
// table: after Build it is empty and must not be used again.
type Builder struct {
	max       int
	guards    guards
	strings   *interner
	entries   pages
	keys      []key // keys[i].entry names its entry, in any order
	compacted bool  // the cap was reached and duplicates were removed
	exclude   *bart.Table[[]uint32]
	stopped   []stopped
	keptOut   []stopped // by the readers of feeds
	feedIndex map[string]uint32
	feeds     []feedState // by index
	own       []Suppression
	forgotten int
	base      *base // nil = the table is made from nothing
}

// A feedState is all that is counted of one feed.
type feedState struct {
	FeedReport
	warned []int // accepted entries that each warninglist touches, said twice or not
}

// named reports whether the feed was named at all: each call for it is counted.
func (f *feedState) named() bool {
	return f.Accepted+f.Duplicate+f.Exclusions > 0 || len(f.Refused) > 0
}

// A key is the place of an entry in the order of a table. An IPv4 prefix stands
// in ::ffff:0:0/96, so that both families sort alike.
type key struct {
	addr  flow.Addr6
	entry uint32
	bits  uint8
}

// NewBuilder makes an empty builder.
func NewBuilder(p Policy) *Builder {
	if p.MaxIndicators <= 0 {
		p.MaxIndicators = defaultMaxIndicators
	}
	return &Builder{
		max:       min(p.MaxIndicators, math.MaxInt32),
		guards:    guards{intel.NewNetworks(p.Allow), intel.NewNetworks(p.Home), p.Warninglists, intel.NewEmbedding(p.NAT64)},
		strings:   newInterner(),
		exclude:   new(bart.Table[[]uint32]),
		feedIndex: make(map[string]uint32),
	}
}

// Add adds one entry, or refuses and counts it. The prefix may have host bits and
// may be IPv4-mapped. Entries of the operator should come first: when the cap is
// reached, whoever comes later is refused.
func (b *Builder) Add(ind intel.Indicator, o Origin) {
	feed := b.feed(ind.Feed)
	if !ind.Prefix.IsValid() {
		b.refuse(feed, Suppression{Indicator: ind, Reason: ReasonInvalid})
		return
	}
	ind.Prefix = intel.Canonical(ind.Prefix)
	if s := b.guards.judge(ind.Prefix, o); s.Reason != "" {
		s.Indicator = ind
		b.refuse(feed, s)
		return
	}
	if !b.room() || !b.append(&ind, feed, o) {
		b.refuse(feed, Suppression{Indicator: ind, Reason: ReasonOverCap})
	}
}

// Refuse counts an entry that whoever reads the feed keeps out, and remembers it for
// Table.Explain: ReasonExpired, with Expires saying since when, ReasonOffline or
// ReasonLowScore.
func (b *Builder) Refuse(ind intel.Indicator, why Reason) {
	feed := b.feed(ind.Feed)
	if !ind.Prefix.IsValid() {
		why = ReasonInvalid
	} else {
		ind.Prefix = intel.Canonical(ind.Prefix)
	}
	b.feeds[feed].refuse(Suppression{Indicator: ind, Reason: why})
	if why == ReasonInvalid {
		return
	}
	e, ok := entry{}, false
	if len(b.keptOut) < maxStopped {
		e, ok = b.strings.pack(&ind, feed)
	}
	if !ok {
		b.forgotten++
		return
	}
	e.flags |= keptOutFlags(why)
	b.keptOut = append(b.keptOut, stopped{ind.Prefix, e})
}

// append stores an entry that no guard has stopped, or false when the strings of
// the table have no room.
func (b *Builder) append(ind *intel.Indicator, feed uint32, o Origin) bool {
	if b.base != nil && b.base.has(ind, feed, o, &b.feeds[feed]) {
		if o == OriginFeed {
			b.guards.count(ind.Prefix, b.feeds[feed].warned)
		}
		return true
	}
	if b.base != nil && len(b.keys) > 2*spare(b.base.table.n, spareEntries) {
		b.leaveBase() // it is of no use, whichever of these are said twice
	}
	e, ok := b.strings.pack(ind, feed)
	if !ok {
		return false
	}
	if o == OriginOperator {
		e.flags |= fromOperator
	} else {
		b.guards.count(ind.Prefix, b.feeds[feed].warned)
	}
	b.keys = append(b.keys, keyOf(ind.Prefix, uint32(b.entries.n)))
	b.entries.append(e)
	b.feeds[feed].Accepted++
	return true
}

// room reports whether one more entry is allowed. At the cap it looks once whether
// duplicates can make room.
func (b *Builder) room() bool {
	if b.size() < b.max {
		return true
	}
	b.leaveBase()
	if !b.compacted {
		b.compacted = true
		b.compact()
	}
	return b.size() < b.max
}

// size is the number of entries that the table would have.
func (b *Builder) size() int {
	if b.base != nil {
		return len(b.keys) + b.base.n
	}
	return len(b.keys)
}

// Exclude takes p out of what one feed lists. Within one feed the most specific
// entry wins, and the exclusion at equal length: an address in p is listed by the
// feed only through entries longer than p.
func (b *Builder) Exclude(feed string, p netip.Prefix) {
	f := b.feed(feed)
	s := Suppression{Indicator: intel.Indicator{Prefix: p, Feed: feed}}
	switch {
	case !p.IsValid():
		s.Reason = ReasonInvalid
		b.feeds[f].refuse(s)
		return
	case b.exclude.Size() >= b.max:
		s.Reason = ReasonOverCap
		b.feeds[f].refuse(s)
		return
	}
	b.feeds[f].Exclusions++
	b.exclude.Modify(intel.Canonical(p), func(feeds []uint32, _ bool) ([]uint32, bool) {
		if slices.Contains(feeds, f) {
			return feeds, false
		}
		return append(feeds, f), false
	})
}

// feed gives the index of a feed.
func (b *Builder) feed(name string) uint32 {
	i, ok := b.feedIndex[name]
	if !ok {
		i = uint32(len(b.feeds))
		b.feeds = append(b.feeds, feedState{FeedReport{Feed: name}, make([]int, len(b.guards.lists))})
		b.feedIndex[name] = i
	}
	return i
}

// refuse counts a refused entry and remembers it for Table.Explain.
func (b *Builder) refuse(feed uint32, s Suppression) {
	b.feeds[feed].refuse(s)
	if s.Reason == ReasonHome && len(b.own) < maxOwnListed {
		b.own = append(b.own, s)
	}
	if s.Reason == ReasonInvalid {
		return // nothing to look up
	}
	if len(b.stopped) < maxStopped {
		if e, ok := b.strings.pack(&s.Indicator, feed); ok {
			b.stopped = append(b.stopped, stopped{s.Prefix, e})
			return
		}
	}
	b.forgotten++
}
