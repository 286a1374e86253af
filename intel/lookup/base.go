package lookup

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A base is the table that a Builder starts from, and what of it stays.
type base struct {
	table    *Table
	seen     []uint64        // a bit for each entry that was added again just as it is
	kept     []bool          // by feed: all its entries stay
	recalled map[uint32]bool // entries that stayed until they had to be merged anew
	n        int             // entries that stay
	moved    [4]move         // by string of an entry: the last that was taken over
}

// NewBuilderFrom makes a builder that starts from a table in force. It is used like one
// that starts from nothing, and makes the same table. But what that table has already is
// not stored again, feeds that are as they were can be kept without reading them, and a
// table that differs little shares the memory of the old one and is made in
// milliseconds. A nil table is the empty one.
func NewBuilderFrom(t *Table, p Policy) *Builder {
	b := NewBuilder(p)
	if t == nil || t.n == 0 || t.forgotten > 0 || len(t.own) == maxOwnListed {
		return b // what it was made from is not known in full
	}
	b.base = &base{
		table:    t,
		seen:     make([]uint64, (t.entries.n+63)/64),
		kept:     make([]bool, len(t.feeds)),
		recalled: make(map[uint32]bool),
	}
	for i := range t.feeds {
		b.feed(t.feeds[i].Feed)
	}
	return b
}

// Keep takes over all that the table in force knows of a feed. It reports false, and does
// nothing, where that cannot be done; then the feed's entries have to be added. The feed
// must list what it did, nothing of it may have expired, and the policy must be the same.
func (b *Builder) Keep(feed string) bool {
	i, known := b.feedIndex[feed]
	if !known || b.base == nil || int(i) >= len(b.base.kept) || b.feeds[i].named() {
		return false
	}
	t := b.base.table
	was := &t.feeds[i]
	if !was.named() || b.size()+was.Accepted > b.max || len(was.warned) != len(b.guards.lists) {
		return false
	}
	b.feeds[i] = was.clone()
	b.base.kept[i] = true
	b.base.n += was.Accepted
	b.keepStopped(t, i)
	if was.Exclusions > 0 {
		b.keepExclusions(t, i)
	}
	for _, s := range t.own {
		if s.Feed == feed {
			b.own = append(b.own, s)
		}
	}
	return true
}

func (f *feedState) clone() feedState {
	c := *f
	c.Refused = maps.Clone(f.Refused)
	c.Samples = slices.Clip(f.Samples)
	c.warned = slices.Clone(f.warned)
	return c
}

func (b *Builder) keepStopped(t *Table, feed uint32) {
	for i := range t.stopped {
		s := &t.stopped[i]
		if s.feed != feed {
			continue
		}
		ind := t.indicator(s.prefix, &s.entry)
		e, ok := b.strings.pack(&ind, feed)
		e.flags = s.flags
		switch {
		case !ok:
			b.forgotten++
		case s.reason() != "":
			b.keptOut = append(b.keptOut, stopped{s.prefix, e})
		default:
			b.stopped = append(b.stopped, stopped{s.prefix, e})
		}
	}
}

func (b *Builder) keepExclusions(t *Table, feed uint32) {
	for p, feeds := range t.exclude.All() {
		if slices.Contains(feeds, feed) {
			b.exclude.Modify(p, func(feeds []uint32, _ bool) ([]uint32, bool) { return append(feeds, feed), false })
		}
	}
}

// has reports whether the table has the entry just as it is; then it stays, and is
// counted.
func (s *base) has(ind *intel.Indicator, feed uint32, o Origin, f *feedState) bool {
	i, ok := s.table.find(ind.Prefix, feed, ind.Port)
	if !ok || !s.table.strings.says(s.table.entries.at(i), ind, o) {
		return false
	}
	if s.stays(i) {
		f.Duplicate++
	} else {
		s.stay(i)
		f.Accepted++
	}
	return true
}

// stays reports whether an entry of the table is one of the next, too.
func (s *base) stays(i uint32) bool {
	return (s.kept[s.table.entries.at(i).feed] || s.seen[i/64]>>(i%64)&1 != 0) && !s.recalled[i]
}

func (s *base) stay(i uint32) {
	s.seen[i/64] |= 1 << (i % 64)
	delete(s.recalled, i)
	s.n++
}

func (s *base) recall(i uint32) {
	s.recalled[i] = true
	s.n--
}

// find gives the entry of a prefix, feed and port.
func (t *Table) find(p netip.Prefix, feed uint32, port uint16) (uint32, bool) {
	first, ok := t.trie.Get(p)
	for i := first; ok; {
		e := t.entries.at(i)
		switch {
		case e.feed == feed && e.port == port:
			return i, true
		case e.port > port || e.flags&lastOfPrefix != 0:
			return 0, false
		case e.port < port && i-first >= crowd-1:
			i = t.skip(first, i, port)
		default:
			i++
		}
	}
	return 0, false
}

// says reports whether an entry of the pool is what an indicator would become. Prefix,
// port and feed are known to be the same.
func (p *pool) says(e *entry, ind *intel.Indicator, o Origin) bool {
	return e.first == seconds(ind.FirstSeen) && e.last == seconds(ind.LastSeen) && e.expires == seconds(ind.Expires) &&
		e.score == ind.Score && e.origin() == o && e.flags&tlpMask == tlpFlags(ind.TLP) &&
		p.is(e.category, ind.Category) && p.is(e.ref, ind.Ref) &&
		p.is(e.description, ind.Description) && p.is(e.nativeID, ind.NativeID)
}

// same reports whether two entries of a prefix, feed and port, each with its pool, say
// the same.
func (p *pool) same(e *entry, q *pool, f *entry) bool {
	return e.first == f.first && e.last == f.last && e.expires == f.expires &&
		e.score == f.score && e.flags&^lastOfPrefix == f.flags&^lastOfPrefix &&
		bytes.Equal(p.raw(e.category), q.raw(f.category)) && bytes.Equal(p.raw(e.ref), q.raw(f.ref)) &&
		bytes.Equal(p.raw(e.description), q.raw(f.description)) && bytes.Equal(p.raw(e.nativeID), q.raw(f.nativeID))
}

// leaveBase makes the builder one that started from nothing.
func (b *Builder) leaveBase() {
	if b.base == nil {
		return
	}
	// A slice that grows leaves more behind than it holds. The table will be as large as
	// the last one, more or less.
	b.keys = slices.Grow(b.keys, max(b.base.table.n-len(b.keys), 0))
	for p, first := range b.base.table.trie.All() {
		for i := first; ; i++ {
			if b.base.stays(i) {
				b.takeOver(p, i)
			}
			if b.base.table.entries.at(i).flags&lastOfPrefix != 0 {
				break
			}
		}
	}
	b.base = nil
}

// takeOver makes an entry of the base one of the builder's own. It is counted already.
func (b *Builder) takeOver(p netip.Prefix, i uint32) {
	old := b.base.table.entries.at(i)
	e := *old
	e.flags &^= lastOfPrefix
	ok := true
	for n, h := range [...]*uint32{&e.category, &e.ref, &e.description, &e.nativeID} {
		if last := &b.base.moved[n]; *h == last.from {
			*h = last.to
			continue
		}
		to, fits := b.strings.intern(b.base.table.strings.at(*h))
		b.base.moved[n] = move{*h, to}
		*h, ok = to, ok && fits
	}
	if !ok {
		b.feeds[e.feed].Accepted--
		b.refuse(e.feed, Suppression{Indicator: b.base.table.indicator(p, old), Reason: ReasonOverCap})
		return
	}
	b.keys = append(b.keys, keyOf(p, uint32(b.entries.n)))
	b.entries.append(e)
}

// A move is where a string of the base has gone. Neighbours often have it in common.
type move struct{ from, to uint32 }
