package listings

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A key is the place of an entry in the order of a set. An IPv4 prefix stands
// in ::ffff:0:0/96, so that both families sort alike.
type key struct {
	addr  flow.Addr6
	entry uint32
	bits  uint8
}

// keyOf gives the key of an unmapped prefix.
func keyOf(p netip.Prefix, entry uint32) key {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return key{addr: flow.Addr6Of(p.Addr()), entry: entry, bits: uint8(bits)}
}

// is4 reports whether the key is of an IPv4 prefix: no IPv6 prefix of a set begins in
// the IPv4-mapped space, see intel.Canonical.
func (k *key) is4() bool { return k.addr.Is4() }

// prefix gives back the prefix of the key.
func (k *key) prefix() netip.Prefix {
	if k.is4() {
		return netip.PrefixFrom(flow.Addr4(uint32(k.addr.Lo)), int(k.bits)-96)
	}
	return netip.PrefixFrom(k.addr.Addr(), int(k.bits))
}

// same reports whether both keys are of the same prefix.
func (k *key) same(o *key) bool { return k.addr == o.addr && k.bits == o.bits }

func (k *key) compare(o *key) int {
	switch {
	case k.addr.Hi != o.addr.Hi:
		return cmp.Compare(k.addr.Hi, o.addr.Hi)
	case k.addr.Lo != o.addr.Lo:
		return cmp.Compare(k.addr.Lo, o.addr.Lo)
	}
	return cmp.Compare(k.bits, o.bits)
}

// fromNothing makes a set of the entries.
func (d *Draft) fromNothing() *Set {
	d.compact()
	s := &Set{
		trie:    new(bart.Table[uint32]),
		entries: d.entries,
		n:       d.entries.n,
		strings: d.strings.tight(),
		aside:   slices.Concat(d.aside[0], d.aside[1]),
		filters: newFilters(d.keys, d.embedding),
		crowds:  make(crowds),
	}
	for i := range d.feeds {
		d.feeds[i].Unique = 0
	}
	for keys := range d.prefixes {
		s.entries.at(keys[len(keys)-1].entry).flags |= lastOfPrefix
		s.crowds.note(keys[0].entry, len(keys))
		feed := s.entries.at(keys[0].entry).feed
		if !slices.ContainsFunc(keys, func(k key) bool { return s.entries.at(k.entry).feed != feed }) {
			d.feeds[feed].Unique += len(keys)
		}
	}
	chunks := chunksOf(d.keys)
	d.keys, d.strings = nil, nil // room for the trie
	plant(s.trie, chunks)
	return s
}

// prefixes yields the keys of each prefix. They must be in order.
func (d *Draft) prefixes(yield func([]key) bool) {
	for start, i := 0, 1; i <= len(d.keys); i++ {
		if i < len(d.keys) && d.keys[i].same(&d.keys[start]) {
			continue
		}
		if !yield(d.keys[start:i]) {
			return
		}
		start = i
	}
}

// compact brings keys and entries into their order in the set, with one entry for
// each prefix, feed and port.
func (d *Draft) compact() {
	rank := d.feedRanks()
	d.sort(rank)
	all := d.keys
	d.keys = all[:d.collapse()]
	for keys := range d.prefixes {
		if len(keys) > 1 {
			slices.SortFunc(keys, func(k, o key) int {
				return d.entries.at(k.entry).compareInPrefix(d.entries.at(o.entry), rank)
			})
		}
	}
	d.entries.arrange(all)
	d.entries.truncate(len(d.keys))
}

// feedRanks gives the place of each feed in the order of names.
func (d *Draft) feedRanks() []uint32 {
	byName := make([]uint32, len(d.feeds))
	for i := range byName {
		byName[i] = uint32(i)
	}
	slices.SortFunc(byName, func(i, j uint32) int {
		return strings.Compare(d.feeds[i].Name, d.feeds[j].Name)
	})
	rank := make([]uint32, len(d.feeds))
	for place, i := range byName {
		rank[i] = uint32(place)
	}
	return rank
}

// sort orders the keys by prefix, feed and port, the best evidence first.
func (d *Draft) sort(rank []uint32) {
	slices.SortFunc(d.keys, func(k, o key) int {
		if c := k.compare(&o); c != 0 {
			return c
		}
		e, f := d.entries.at(k.entry), d.entries.at(o.entry)
		if c := e.compareSource(f, rank); c != 0 {
			return c
		}
		return cmp.Or(d.strings.better(e, f), cmp.Compare(k.entry, o.entry))
	})
}

// compareSource orders entries by the name of the feed and the port.
func (e *Entry) compareSource(o *Entry, rank []uint32) int {
	return cmp.Or(cmp.Compare(rank[e.feed], rank[o.feed]), cmp.Compare(e.port, o.port))
}

// compareInPrefix orders the entries of one prefix in a set: by port, those without
// one first, then the highest score first, then by the name of the feed.
func (e *Entry) compareInPrefix(o *Entry, rank []uint32) int {
	return cmp.Or(cmp.Compare(e.port, o.port), cmp.Compare(o.score, e.score), cmp.Compare(rank[e.feed], rank[o.feed]))
}

// collapse merges sorted entries of the same prefix, feed and port into the best of
// them and gives the number that is left. The keys of the others move to the end.
func (d *Draft) collapse() int {
	n := 0
	for i := range d.keys {
		e := d.entries.at(d.keys[i].entry)
		if n > 0 && d.keys[n-1].same(&d.keys[i]) {
			best := d.entries.at(d.keys[n-1].entry)
			if best.feed == e.feed && best.port == e.port {
				best.absorb(e)
				d.feeds[e.feed].Accepted--
				d.feeds[e.feed].Duplicate++
				continue
			}
		}
		d.keys[n], d.keys[i] = d.keys[i], d.keys[n]
		n++
	}
	return n
}
