package lookup

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/flowsnitch/flowsnitch/flow"
)

// keyOf gives the key of an unmapped prefix.
func keyOf(p netip.Prefix, entry uint32) key {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return key{addr: flow.Addr6Of(p.Addr()), entry: entry, bits: uint8(bits)}
}

// is4 tells whether the key is of an IPv4 prefix: no IPv6 prefix of a table begins in
// the IPv4-mapped space, see intel.Canonical.
func (k *key) is4() bool { return k.addr.Hi == 0 && k.addr.Lo>>32 == 0xffff }

// prefix gives back the prefix of the key.
func (k *key) prefix() netip.Prefix {
	if k.is4() {
		return netip.PrefixFrom(flow.Addr4(uint32(k.addr.Lo)), int(k.bits)-96)
	}
	return netip.PrefixFrom(k.addr.Addr(), int(k.bits))
}

// same reports whether both keys are of the same prefix.
func (k *key) same(o *key) bool { return k.addr == o.addr && k.bits == o.bits }

// Build compiles what was added. The version is the name of this state of all
// feeds; events carry it. Building sorts in place and needs about 30 bytes an
// entry beside the table itself; with a base that differs little, next to nothing.
func (b *Builder) Build(version string) (*Table, Report) {
	t := b.fromBase()
	if t == nil {
		b.leaveBase()
		t = b.fromNothing()
	}
	t.version = version
	t.guards, t.exclude = b.guards, b.exclude
	t.feeds, t.own, t.forgotten = b.feeds, b.own, b.forgotten
	r := b.report()
	*b = Builder{}
	return t, r
}

// fromNothing makes a table of the entries.
func (b *Builder) fromNothing() *Table {
	b.compact()
	t := &Table{
		trie:    new(bart.Table[uint32]),
		entries: b.entries,
		n:       b.entries.n,
		strings: b.strings.tight(),
		stopped: slices.Concat(b.stopped, b.keptOut),
		filters: newFilters(b.keys, b.guards.embedding),
		crowds:  make(crowds),
	}
	b.countUnique()
	start := 0
	for i := range b.keys {
		k := &b.keys[i]
		if i == len(b.keys)-1 || !k.same(&b.keys[i+1]) {
			t.entries.at(k.entry).flags |= lastOfPrefix
			t.crowds.note(b.keys[start].entry, i+1-start)
			start = i + 1
		}
	}
	chunks := chunksOf(b.keys)
	b.keys, b.strings = nil, nil // room for the trie
	plant(t.trie, chunks)
	return t
}

// countUnique tells for each feed how many of its entries stand on prefixes of its
// own. The keys are in their order in the table.
func (b *Builder) countUnique() {
	for i := range b.feeds {
		b.feeds[i].Unique = 0
	}
	for start, i := 0, 1; i <= len(b.keys); i++ {
		if i < len(b.keys) && b.keys[i].same(&b.keys[start]) {
			continue
		}
		feed := b.entries.at(b.keys[start].entry).feed
		alone := true
		for _, k := range b.keys[start+1 : i] {
			alone = alone && b.entries.at(k.entry).feed == feed
		}
		if alone {
			b.feeds[feed].Unique += i - start
		}
		start = i
	}
}

// report gives what became of all entries, the feeds by name.
func (b *Builder) report() Report {
	r := Report{OwnListed: b.own, Forgotten: b.forgotten}
	for _, w := range b.guards.lists {
		r.Warned = append(r.Warned, WarnedReport{List: w.Name, Class: w.Class})
	}
	for i := range b.feeds {
		f := &b.feeds[i]
		if f.named() {
			r.Feeds = append(r.Feeds, f.FeedReport)
		}
		for list, n := range f.warned {
			r.Warned[list].Entries += n
		}
	}
	slices.SortFunc(r.Feeds, func(f, g FeedReport) int { return strings.Compare(f.Feed, g.Feed) })
	return r
}

// compact brings keys and entries into their order in the table, with one entry for
// each prefix, feed and port.
func (b *Builder) compact() {
	rank := b.feedRanks()
	b.sort(rank)
	n := b.collapse()
	b.sortPrefixes(b.keys[:n], rank)
	b.entries.arrange(b.keys)
	b.entries.truncate(n)
	b.keys = b.keys[:n]
}

// feedRanks gives the place of each feed in the order of names.
func (b *Builder) feedRanks() []uint32 {
	byName := make([]uint32, len(b.feeds))
	for i := range byName {
		byName[i] = uint32(i)
	}
	slices.SortFunc(byName, func(i, j uint32) int {
		return strings.Compare(b.feeds[i].Feed, b.feeds[j].Feed)
	})
	rank := make([]uint32, len(b.feeds))
	for place, i := range byName {
		rank[i] = uint32(place)
	}
	return rank
}

// sort orders the keys by prefix, feed and port, the best evidence first.
func (b *Builder) sort(rank []uint32) {
	slices.SortFunc(b.keys, func(k, o key) int {
		if c := k.compare(&o); c != 0 {
			return c
		}
		e, f := b.entries.at(k.entry), b.entries.at(o.entry)
		if c := e.compareSource(f, rank); c != 0 {
			return c
		}
		return cmp.Or(b.strings.better(e, f), cmp.Compare(k.entry, o.entry))
	})
}

func (k *key) compare(o *key) int {
	switch {
	case k.addr.Hi != o.addr.Hi:
		return cmp.Compare(k.addr.Hi, o.addr.Hi)
	case k.addr.Lo != o.addr.Lo:
		return cmp.Compare(k.addr.Lo, o.addr.Lo)
	}
	return cmp.Compare(k.bits, o.bits)
}

// compareSource orders entries by the name of the feed and the port.
func (e *entry) compareSource(o *entry, rank []uint32) int {
	return cmp.Or(cmp.Compare(rank[e.feed], rank[o.feed]), cmp.Compare(e.port, o.port))
}

// compareInPrefix orders the entries of one prefix in a table: by port, those without
// one first, then the highest score first, then by the name of the feed.
func (e *entry) compareInPrefix(o *entry, rank []uint32) int {
	return cmp.Or(cmp.Compare(e.port, o.port), cmp.Compare(o.score, e.score), cmp.Compare(rank[e.feed], rank[o.feed]))
}

// collapse merges sorted entries of the same prefix, feed and port into the best of
// them and gives the number that is left. The keys of the others move to the end.
func (b *Builder) collapse() int {
	n := 0
	for i := range b.keys {
		e := b.entries.at(b.keys[i].entry)
		if n > 0 && b.keys[n-1].same(&b.keys[i]) {
			best := b.entries.at(b.keys[n-1].entry)
			if best.feed == e.feed && best.port == e.port {
				best.absorb(e)
				b.feeds[e.feed].Accepted--
				b.feeds[e.feed].Duplicate++
				continue
			}
		}
		b.keys[n], b.keys[i] = b.keys[i], b.keys[n]
		n++
	}
	return n
}

// sortPrefixes orders the entries of each prefix, see compareInPrefix.
func (b *Builder) sortPrefixes(keys []key, rank []uint32) {
	for start, i := 0, 1; i <= len(keys); i++ {
		if i < len(keys) && keys[i].same(&keys[start]) {
			continue
		}
		if i-start > 1 {
			slices.SortFunc(keys[start:i], func(k, o key) int {
				e, f := b.entries.at(k.entry), b.entries.at(o.entry)
				return e.compareInPrefix(f, rank)
			})
		}
		start = i
	}
}
