package lookup

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Table is an immutable set of listed prefixes with their evidence, compiled for
// lookup. It is made by a [Builder], must not be copied, and any number of readers
// use it without a lock. The zero value is the empty table.
type Table struct {
	version string
	trie    *bart.Table[uint32] // prefix -> index of its first entry; nil in the empty table
	filters filters
	entries pages
	crowds  crowds
	n       int // entries that the trie leads to; others are left from an older table
	strings pool
	feeds   []feedState // by index
	guards  guards
	// exclude has the feeds that exclude a prefix; nil in the empty table.
	exclude *bart.Table[[]uint32]
	stopped []stopped
	// What of the report the next table may keep.
	own       []Suppression
	forgotten int
}

// A FeedCount is how many entries of a feed are in a table.
type FeedCount struct {
	Feed    string
	Entries int
}

// Version is the name of the state of all feeds that the table was built from.
func (t *Table) Version() string { return t.version }

// Len gives the number of entries: listings, not prefixes.
func (t *Table) Len() int { return t.n }

// Feeds gives the number of entries of each feed, by name.
func (t *Table) Feeds() []FeedCount {
	var feeds []FeedCount
	for i := range t.feeds {
		if f := &t.feeds[i]; f.named() {
			feeds = append(feeds, FeedCount{f.Feed, f.Accepted})
		}
	}
	slices.SortFunc(feeds, func(f, g FeedCount) int { return strings.Compare(f.Feed, g.Feed) })
	return feeds
}

// Contains reports whether a listed prefix covers a, which must be unmapped. It
// knows neither ports nor allowlist nor exclusions: Find is the judge. The invalid
// address, 0.0.0.0 and :: are never listed.
func (t *Table) Contains(a netip.Addr) bool {
	return t.n > 0 && t.trie.Contains(a) && !a.IsUnspecified()
}

// Embedded gives the IPv4 address that an IPv6 address carries, see Embedding.
func (t *Table) Embedded(a netip.Addr) (netip.Addr, bool) { return t.guards.embedding.IPv4(a) }

// maxListings bounds the answer of Listings.
const maxListings = 1_000

// Listings gives the entries whose prefixes cover p, the longest first, then those
// that lie within p in the order of addresses, at most 1,000; those of one prefix come
// with the best first. They are the entries
// as listed: Explain tells what stops them.
func (t *Table) Listings(p netip.Prefix) []intel.Indicator {
	if !p.IsValid() || t.n == 0 {
		return nil
	}
	p = intel.Canonical(p)
	var out []intel.Indicator
	add := func(q netip.Prefix, first uint32) bool {
		own := len(out)
		for e := range t.listed(first) {
			if len(out) == maxListings {
				break
			}
			out = append(out, t.indicator(q, e))
		}
		slices.SortFunc(out[own:], func(a, b intel.Indicator) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Feed, b.Feed), cmp.Compare(a.Port, b.Port))
		})
		return len(out) < maxListings
	}
	for q, first := range t.trie.Supernets(p) {
		if !add(q, first) {
			return out
		}
	}
	for q, first := range t.trie.Subnets(p) {
		if q != p && !add(q, first) {
			return out
		}
	}
	return out
}

// ByOperator reports whether the operator's own word lists exactly this prefix.
func (t *Table) ByOperator(p netip.Prefix) bool {
	if t.n == 0 {
		return false
	}
	first, ok := t.trie.Get(intel.Canonical(p))
	if !ok {
		return false
	}
	for e := range t.listed(first) {
		if e.origin() == OriginOperator {
			return true
		}
	}
	return false
}

// listed yields the entries of one prefix in their order, see compareInPrefix.
func (t *Table) listed(first uint32) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := first; ; i++ {
			e := t.entries.at(i)
			if !yield(e) || e.flags&lastOfPrefix != 0 {
				return
			}
		}
	}
}

// indicator gives an entry in full.
func (t *Table) indicator(p netip.Prefix, e *entry) intel.Indicator {
	ind := t.strings.unpack(e)
	ind.Prefix = p
	ind.Feed = t.feeds[e.feed].Feed
	return ind
}
