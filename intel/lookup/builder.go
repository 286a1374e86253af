package lookup

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup/listings"
)

// A Policy is what the operator requires of every table.
type Policy struct {
	// Allow are prefixes that never raise a hit, whatever a feed lists.
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

// An Origin is the source of an entry.
type Origin uint8

// The origins.
const (
	// OriginFeed is foreign: all guards apply.
	OriginFeed Origin = iota
	// OriginOperator is the operator's own deny list: it wins over allowlist, home
	// networks and special-purpose space. Only /0 is refused.
	OriginOperator
)

// A Builder collects entries that the guards let pass, counts the others, and compiles a
// table. It is for one goroutine and one table: after Build it is empty and must not be
// used again.
type Builder struct {
	max     int
	guards  guards
	draft   *listings.Draft
	exclude *bart.Table[[]uint32]
	feeds   []feedState // by index
	own     []Suppression
	base    *Table // nil = the table is made from nothing
}

// A feedState is all that is counted of one feed.
type feedState struct {
	FeedReport
	named  bool  // something was called for it
	warned []int // accepted entries that each warninglist touches, duplicates included
}

// NewBuilder makes an empty builder.
func NewBuilder(p Policy) *Builder {
	if p.MaxIndicators <= 0 {
		p.MaxIndicators = defaultMaxIndicators
	}
	b := &Builder{
		max:     min(p.MaxIndicators, math.MaxInt32),
		guards:  guards{intel.NewNetworks(p.Allow), intel.NewNetworks(p.Home), p.Warninglists, intel.NewEmbedding(p.NAT64)},
		exclude: new(bart.Table[[]uint32]),
	}
	b.draft = listings.NewDraft(b.max, b.guards.embedding)
	b.draft.Dropped = func(feed uint32, ind intel.Indicator) {
		b.refuse(feed, Suppression{Indicator: ind, Reason: ReasonOverCap})
	}
	return b
}

// NewBuilderFrom makes a builder that starts from a table in force. It is used like one
// that starts from nothing, and makes the same table. But what that table has already is
// not stored again, feeds that are as they were can be kept without reading them, and a
// table that differs little shares the memory of the old one and is made in
// milliseconds. A nil table is the empty one.
func NewBuilderFrom(t *Table, p Policy) *Builder {
	b := NewBuilder(p)
	if t == nil || t.Len() == 0 || t.forgotten > 0 || len(t.own) == maxOwnListed {
		return b // what it was made from is not known in full
	}
	b.base = t
	b.draft.From(&t.set)
	for i := range t.feeds {
		b.feeds = append(b.feeds, b.newFeed(t.feeds[i].Feed))
	}
	return b
}

// Keep takes over all that the table in force knows of a feed. It reports false, and does
// nothing, where that cannot be done; then the feed's entries have to be added. The feed
// must list what it did, nothing of it may have expired, and the policy must be the same.
func (b *Builder) Keep(feed string) bool {
	if b.base == nil {
		return false
	}
	i := slices.IndexFunc(b.base.feeds, func(f feedState) bool { return f.Feed == feed })
	if i < 0 || b.feeds[i].named {
		return false
	}
	was := &b.base.feeds[i]
	if !was.named || len(was.warned) != len(b.guards.lists) || !b.draft.Keep(uint32(i)) {
		return false
	}
	kept := *was
	kept.Refused = maps.Clone(was.Refused)
	kept.Samples = slices.Clip(was.Samples)
	kept.warned = slices.Clone(was.warned)
	b.feeds[i] = kept
	if was.Exclusions > 0 {
		for p, feeds := range b.base.exclude.All() {
			if slices.Contains(feeds, uint32(i)) {
				b.exclude.Modify(p, func(feeds []uint32, _ bool) ([]uint32, bool) { return append(feeds, uint32(i)), false })
			}
		}
	}
	for _, s := range b.base.own {
		if s.Feed == feed {
			b.own = append(b.own, s)
		}
	}
	return true
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
	if !b.draft.Add(&ind, feed, o == OriginOperator) {
		b.refuse(feed, Suppression{Indicator: ind, Reason: ReasonOverCap})
		return
	}
	if o == OriginFeed {
		b.guards.count(ind.Prefix, b.feeds[feed].warned)
	}
}

// Refuse counts an entry that whoever reads the feed keeps out, and remembers it for
// Table.Explain: ReasonExpired, with the time of it in Expires, ReasonOffline or
// ReasonLowScore.
func (b *Builder) Refuse(ind intel.Indicator, why Reason) {
	feed := b.feed(ind.Feed)
	if !ind.Prefix.IsValid() {
		why = ReasonInvalid
	} else {
		ind.Prefix = intel.Canonical(ind.Prefix)
	}
	b.feeds[feed].refuse(Suppression{Indicator: ind, Reason: why})
	if why != ReasonInvalid {
		b.draft.SetAside(&ind, feed, uint8(max(slices.Index(readerReasons[:], why), 0)))
	}
}

// refuse counts an entry that is refused here and remembers it for Table.Explain.
func (b *Builder) refuse(feed uint32, s Suppression) {
	b.feeds[feed].refuse(s)
	if s.Reason == ReasonHome && len(b.own) < maxOwnListed {
		b.own = append(b.own, s)
	}
	if s.Reason != ReasonInvalid { // else there is nothing to look up
		b.draft.SetAside(&s.Indicator, feed, 0)
	}
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

// feed gives the index of a feed for which something is called.
func (b *Builder) feed(name string) uint32 {
	i := b.draft.Feed(name)
	if int(i) == len(b.feeds) {
		b.feeds = append(b.feeds, b.newFeed(name))
	}
	b.feeds[i].named = true
	return i
}

func (b *Builder) newFeed(name string) feedState {
	return feedState{FeedReport: FeedReport{Feed: name}, warned: make([]int, len(b.guards.lists))}
}

// Build compiles what was added. The version is the name of this state of all feeds;
// events carry it. What it costs, see [listings.Draft.Build].
func (b *Builder) Build(version string) (*Table, Report) {
	t := &Table{set: b.draft.Build(), version: version, guards: b.guards, exclude: b.exclude}
	t.feeds, t.own, t.forgotten = b.feeds, b.own, b.draft.Forgotten // Build may refuse some yet
	for i, c := range t.set.Counts() {
		f := &t.feeds[i]
		f.Accepted, f.Duplicate, f.Unique = c.Accepted, c.Duplicate, c.Unique
	}
	*b = Builder{}
	return t, t.report()
}

// report gives what became of all entries, the feeds by name.
func (t *Table) report() Report {
	r := Report{OwnListed: t.own, Forgotten: t.forgotten}
	for _, w := range t.guards.lists {
		r.Warned = append(r.Warned, WarnedReport{List: w.Name, Class: w.Class})
	}
	for i := range t.feeds {
		f := &t.feeds[i]
		if f.named {
			r.Feeds = append(r.Feeds, f.FeedReport)
		}
		for list, n := range f.warned {
			r.Warned[list].Entries += n
		}
	}
	slices.SortFunc(r.Feeds, func(f, g FeedReport) int { return strings.Compare(f.Feed, g.Feed) })
	return r
}
