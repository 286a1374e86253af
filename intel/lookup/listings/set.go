package listings

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Set is an immutable set of prefixes with their listings. Any number of readers use it
// without a lock. The zero value is the empty set.
type Set struct {
	trie      *bart.Table[uint32] // prefix -> index of its first entry; nil in the empty set
	filters   filters
	embedding *intel.Embedding
	entries   pages
	crowds    crowds
	n         int // entries that the trie leads to; others are left from an older set
	strings   pool
	feeds     []Feed // by index
	aside     []aside
}

// A Feed is how many listings a set has of one feed.
type Feed struct {
	Name string
	// Accepted are in the set. Duplicate were given as well, but repeat the prefix and
	// the port of another one of the feed: the best of them stays.
	Accepted, Duplicate int
	// Unique of the accepted ones stand on prefixes that no other feed lists.
	Unique int
}

// Len gives the number of entries: listings, not prefixes.
func (s *Set) Len() int { return s.n }

// Counts gives the feeds by their index.
func (s *Set) Counts() []Feed { return s.feeds }

// Contains reports whether a listed prefix covers a, which must be unmapped, whatever the
// port. The invalid address, 0.0.0.0 and :: are never listed.
func (s *Set) Contains(a netip.Addr) bool {
	return s.n > 0 && s.trie.Contains(a) && !a.IsUnspecified()
}

// Count gives the number of entries that cover a, which must have passed Lets, and that
// have no port or the given one, and the best score of them.
func (s *Set) Count(a netip.Addr, port uint16) (n int, best uint8) {
	for _, first := range s.trie.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		more, score := s.countAt(first, port)
		n += more
		best = max(best, score)
	}
	return n, best
}

// Covering yields the entries that Count counts, the longest prefix first.
func (s *Set) Covering(a netip.Addr, port uint16) iter.Seq2[netip.Prefix, *Entry] {
	return func(yield func(netip.Prefix, *Entry) bool) {
		for p, first := range s.trie.Supernets(netip.PrefixFrom(a, a.BitLen())) {
			if !s.relevant(first, port, func(e *Entry) bool { return yield(p, e) }) {
				return
			}
		}
	}
}

// Prefixes gives all listed prefixes in the order of addresses, IPv4 first; of those that
// begin with the same address the shortest comes first.
func (s *Set) Prefixes() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		if s.n == 0 {
			return
		}
		for p := range s.trie.AllSorted() {
			if !yield(p) {
				return
			}
		}
	}
}

// Ports gives the ports to which entries that cover a are narrowed, each once and in
// order. The result is appended to ports.
func (s *Set) Ports(a netip.Addr, ports []uint16) []uint16 {
	if s.n == 0 {
		return ports
	}
	for _, first := range s.trie.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		for e := range s.listed(first) {
			if e.port != 0 {
				ports = append(ports, e.port)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Indicator gives an entry in full.
func (s *Set) Indicator(p netip.Prefix, e *Entry) intel.Indicator {
	ind := s.strings.unpack(e)
	ind.Prefix = p
	ind.Feed = s.feeds[e.feed].Name
	return ind
}

// All yields every entry with its prefix, in the order of addresses, IPv4 before IPv6.
func (s *Set) All(yield func(netip.Prefix, *Entry) bool) {
	if s.n == 0 {
		return
	}
	for p, first := range s.trie.AllSorted() {
		for e := range s.listed(first) {
			if !yield(p, e) {
				return
			}
		}
	}
}

// Aside yields what was set aside, see [Draft.SetAside]: those without a mark first.
func (s *Set) Aside(yield func(netip.Prefix, *Entry) bool) {
	for i := range s.aside {
		if !yield(s.aside[i].prefix, &s.aside[i].entry) {
			return
		}
	}
}

// MaxListings bounds the answer of [Set.Listings].
const MaxListings = 1_000

// Listings gives the entries whose prefixes cover p, the longest first, then those
// that lie within p in the order of addresses, at most [MaxListings]; those of one prefix
// come with the best first.
func (s *Set) Listings(p netip.Prefix) []intel.Indicator {
	if !p.IsValid() || s.n == 0 {
		return nil
	}
	p = intel.Canonical(p)
	var out []intel.Indicator
	add := func(q netip.Prefix, first uint32) bool {
		own := len(out)
		for e := range s.listed(first) {
			if len(out) == MaxListings {
				break
			}
			out = append(out, s.Indicator(q, e))
		}
		slices.SortFunc(out[own:], func(a, b intel.Indicator) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Feed, b.Feed), cmp.Compare(a.Port, b.Port))
		})
		return len(out) < MaxListings
	}
	for q, first := range s.trie.Supernets(p) {
		if !add(q, first) {
			return out
		}
	}
	for q, first := range s.trie.Subnets(p) {
		if q != p && !add(q, first) {
			return out
		}
	}
	return out
}

// ByOperator reports whether the operator's own word lists exactly this prefix.
func (s *Set) ByOperator(p netip.Prefix) bool {
	if s.n == 0 {
		return false
	}
	first, ok := s.trie.Get(intel.Canonical(p))
	if !ok {
		return false
	}
	for e := range s.listed(first) {
		if e.Operator() {
			return true
		}
	}
	return false
}

// listed yields the entries of one prefix in their order, see compareInPrefix.
func (s *Set) listed(first uint32) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := first; ; i++ {
			e := s.entries.at(i)
			if !yield(e) || e.flags&lastOfPrefix != 0 {
				return
			}
		}
	}
}

// find gives the entry of a prefix, feed and port.
func (s *Set) find(p netip.Prefix, feed uint32, port uint16) (uint32, bool) {
	first, ok := s.trie.Get(p)
	for i := first; ok; {
		e := s.entries.at(i)
		switch {
		case e.feed == feed && e.port == port:
			return i, true
		case e.port > port || e.flags&lastOfPrefix != 0:
			return 0, false
		case e.port < port && i-first >= crowd-1:
			i = s.skip(first, i, port)
		default:
			i++
		}
	}
	return 0, false
}
