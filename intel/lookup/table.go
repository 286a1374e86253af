package lookup

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup/listings"
)

// A Table is an immutable set of listed prefixes with their evidence, compiled for
// lookup. It is made by a [Builder], must not be copied, and any number of readers
// use it without a lock. The zero value is the empty table.
//
// Contains, Match4, Match6, Listings, All and ByOperator know neither allowlist nor exclusions
// nor warninglists, and the first three no ports: Find is the judge, and Explain reports what
// stops a listing.
type Table struct {
	set     listings.Set
	version string
	feeds   []feedState // by index
	guards  guards
	// exclude has the feeds that exclude a prefix; nil in the empty table.
	exclude *bart.Table[[]uint32]
	// What of the report the next table may keep.
	own       []Suppression
	forgotten int
}

// A FeedCount is how many entries of a feed are in a table.
type FeedCount struct {
	Feed    string
	Entries int
}

// Len gives the number of entries: listings, not prefixes.
func (t *Table) Len() int { return t.set.Len() }

// Contains reports whether a listed prefix covers a, see [listings.Set.Contains].
func (t *Table) Contains(a netip.Addr) bool { return t.set.Contains(a) }

// Match4 appends to found the indices of the addresses, IPv4 in host order, that listed
// prefixes cover, see [listings.Set.Match4].
func (t *Table) Match4(addrs []uint32, found []int32) []int32 { return t.set.Match4(addrs, found) }

// Match6 is Match4 for IPv6, see [listings.Set.Match6].
func (t *Table) Match6(addrs []flow.Addr6, found []int32) []int32 { return t.set.Match6(addrs, found) }

// Listings gives the entries that cover p or lie within it, see [listings.Set.Listings].
func (t *Table) Listings(p netip.Prefix) []intel.Indicator { return t.set.Listings(p) }

// All yields all entries in the order of their prefixes, see [listings.Set.All].
func (t *Table) All(yield func(netip.Prefix, *listings.Entry) bool) { t.set.All(yield) }

// ByOperator reports whether the operator's own word lists exactly this prefix.
func (t *Table) ByOperator(p netip.Prefix) bool { return t.set.ByOperator(p) }

// Prefixes yields the prefixes that a feed lists, each once, in the order of addresses, IPv4
// before IPv6. Those that an allowlist, an exclusion or a warninglist overrides are among them.
func (t *Table) Prefixes(feed string) iter.Seq[netip.Prefix] {
	index := slices.IndexFunc(t.feeds, func(f feedState) bool { return f.Feed == feed })
	return func(yield func(netip.Prefix) bool) {
		var last netip.Prefix // a feed may list a prefix for several ports
		for p, e := range t.set.All {
			if int(e.Feed()) != index || p == last {
				continue
			}
			if last = p; !yield(p) {
				return
			}
		}
	}
}

// Version is the name of the state of all feeds that the table was built from.
func (t *Table) Version() string { return t.version }

// Feeds gives the number of entries of each feed, by name.
func (t *Table) Feeds() []FeedCount {
	var feeds []FeedCount
	for i := range t.feeds {
		if f := &t.feeds[i]; f.named {
			feeds = append(feeds, FeedCount{f.Feed, f.Accepted})
		}
	}
	slices.SortFunc(feeds, func(f, g FeedCount) int { return strings.Compare(f.Feed, g.Feed) })
	return feeds
}

// Embedded gives the IPv4 address that an IPv6 address carries, see Embedding.
func (t *Table) Embedded(a netip.Addr) (netip.Addr, bool) { return t.guards.embedding.IPv4(a) }

// Embedding gives the rules by which Embedded finds addresses.
func (t *Table) Embedding() *intel.Embedding { return t.guards.embedding }

// A Store holds the table in force. Tables never change, so a reader takes one
// with Load and uses it as long as it likes; a reload builds the next one aside.
type Store struct{ table atomic.Pointer[Table] }

// NewStore makes a store with the empty table in it.
func NewStore() *Store {
	s := new(Store)
	s.table.Store(new(Table))
	return s
}

// Load gives the table in force; it is never nil.
func (s *Store) Load() *Table { return s.table.Load() }

// Swap puts t into force and gives the table that was. A nil t stands for the
// empty table.
func (s *Store) Swap(t *Table) (old *Table) {
	if t == nil {
		t = new(Table)
	}
	return s.table.Swap(t)
}
