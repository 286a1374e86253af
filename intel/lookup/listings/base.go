package listings

import (
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A base is the set that a Draft starts from, and what of it stays.
type base struct {
	set      *Set
	seen     []uint64        // a bit for each entry that was added again just as it is
	kept     []bool          // by feed: all its entries stay
	recalled map[uint32]bool // entries that stayed until they had to be merged anew
	n        int             // entries that stay
	moved    [4]move         // by string of an entry: the last that was taken over
}

// A move is where a string of the base has gone. Neighbours often have it in common.
type move struct{ from, to uint32 }

// From makes the draft start from a set in force, before anything is added. The Set that
// it builds is the same as without. But what s has already is not stored again, feeds that
// are as they were can be kept without reading them, and a set that differs little shares
// the memory of s and is made in milliseconds.
func (d *Draft) From(s *Set) {
	d.base = &base{
		set:      s,
		seen:     make([]uint64, (s.entries.n+63)/64),
		kept:     make([]bool, len(s.feeds)),
		recalled: make(map[uint32]bool),
	}
	for i := range s.feeds {
		d.Feed(s.feeds[i].Name)
	}
}

// Keep takes over all that the base has of a feed, by its index. It reports false, and
// does nothing, where there is no base any more or no room.
func (d *Draft) Keep(feed uint32) bool {
	if d.base == nil {
		return false
	}
	s := d.base.set
	if d.size()+s.feeds[feed].Accepted > d.max {
		return false
	}
	d.feeds[feed] = s.feeds[feed]
	d.base.kept[feed] = true
	d.base.n += s.feeds[feed].Accepted
	for p, e := range s.Aside {
		if e.feed == feed {
			ind := s.Indicator(p, e)
			d.SetAside(&ind, feed, e.Mark())
		}
	}
	return true
}

// has reports whether the set has the entry just as it is; then it stays, and is
// counted.
func (b *base) has(ind *intel.Indicator, feed uint32, operator bool, f *Feed) bool {
	i, ok := b.set.find(ind.Prefix, feed, ind.Port)
	if !ok || !b.set.strings.holds(b.set.entries.at(i), ind, operator) {
		return false
	}
	if b.stays(i) {
		f.Duplicate++
	} else {
		b.stay(i)
		f.Accepted++
	}
	return true
}

// stays reports whether an entry of the base is one of the next set, too.
func (b *base) stays(i uint32) bool {
	return (b.kept[b.set.entries.at(i).feed] || b.seen[i/64]>>(i%64)&1 != 0) && !b.recalled[i]
}

func (b *base) stay(i uint32) {
	b.seen[i/64] |= 1 << (i % 64)
	delete(b.recalled, i)
	b.n++
}

// leaveBase makes the draft one that started from nothing.
func (d *Draft) leaveBase() {
	if d.base == nil {
		return
	}
	// A slice that grows leaves more behind than it holds. The set will be as large as
	// the last one, more or less.
	s := d.base.set
	d.keys = slices.Grow(d.keys, max(s.n-len(d.keys), 0))
	for p, first := range s.trie.All() {
		for i := first; ; i++ {
			if d.base.stays(i) {
				d.takeOver(p, i)
			}
			if s.entries.at(i).flags&lastOfPrefix != 0 {
				break
			}
		}
	}
	d.base = nil
}

// takeOver makes an entry of the base one of the draft's own. It is counted already.
func (d *Draft) takeOver(p netip.Prefix, i uint32) {
	s := d.base.set
	old := s.entries.at(i)
	e := *old
	e.flags &^= lastOfPrefix
	ok := true
	for n, h := range [...]*uint32{&e.category, &e.ref, &e.description, &e.nativeID} {
		if last := &d.base.moved[n]; *h == last.from {
			*h = last.to
			continue
		}
		to, fits := d.strings.intern(s.strings.at(*h))
		d.base.moved[n] = move{*h, to}
		*h, ok = to, ok && fits
	}
	if !ok {
		d.feeds[e.feed].Accepted--
		d.Dropped(e.feed, s.Indicator(p, old))
		return
	}
	d.keys = append(d.keys, keyOf(p, uint32(d.entries.n)))
	d.entries.append(e)
}
