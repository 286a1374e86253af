package listings

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Draft collects listings and makes a Set of them. It is for one goroutine and one Set:
// after Build it is empty, but for Forgotten, and must not be used again.
type Draft struct {
	// Dropped is called for an accepted entry of the base that has no room after all.
	Dropped func(feed uint32, ind intel.Indicator)
	// Forgotten counts what was to be set aside and had no room.
	Forgotten int

	max       int
	embedding *intel.Embedding
	strings   *interner
	entries   pages
	keys      []key // keys[i].entry names its entry, in any order
	compacted bool  // the cap was reached and duplicates were removed
	feedIndex map[string]uint32
	feeds     []Feed // by index
	aside     [2][]aside
	base      *base // nil = the set is made from nothing
}

// aside is an entry that was kept out of the set.
type aside struct {
	prefix netip.Prefix
	entry  Entry
}

// maxAside is how many entries without a mark, and how many with one, are set aside.
const maxAside = 10_000

// NewDraft makes an empty draft for at most most entries, below 1<<31. IPv6 addresses that
// carry an IPv4 address by e are found by that.
func NewDraft(most int, e *intel.Embedding) *Draft {
	return &Draft{max: most, embedding: e, strings: newInterner(), feedIndex: make(map[string]uint32)}
}

// Feed gives the index of a feed: 0 for the first one that is named, and so on. Those of a
// base come first, as they are there.
func (d *Draft) Feed(name string) uint32 {
	i, ok := d.feedIndex[name]
	if !ok {
		i = uint32(len(d.feeds))
		d.feeds = append(d.feeds, Feed{Name: name})
		d.feedIndex[name] = i
	}
	return i
}

// Add adds an entry of a feed, whose prefix must be canonical (see [intel.Canonical]), or
// reports false when there is no room. When the cap is reached, whoever comes later has
// none.
func (d *Draft) Add(ind *intel.Indicator, feed uint32, operator bool) bool {
	if !d.room() {
		return false
	}
	if d.base != nil && d.base.has(ind, feed, operator, &d.feeds[feed]) {
		return true
	}
	if d.base != nil && len(d.keys) > 2*spare(d.base.set.n, spareEntries) {
		d.leaveBase() // it is of no use, however many of these are duplicates
	}
	e, ok := d.strings.pack(ind, feed)
	if !ok {
		return false
	}
	if operator {
		e.flags |= fromOperator
	}
	d.keys = append(d.keys, keyOf(ind.Prefix, uint32(d.entries.n)))
	d.entries.append(e)
	d.feeds[feed].Accepted++
	return true
}

// room reports whether one more entry is allowed. At the cap it looks once whether
// duplicates can make room.
func (d *Draft) room() bool {
	if d.size() < d.max {
		return true
	}
	d.leaveBase()
	if !d.compacted {
		d.compacted = true
		d.compact()
	}
	return d.size() < d.max
}

// size is the number of entries that the set would have.
func (d *Draft) size() int {
	if d.base != nil {
		return len(d.keys) + d.base.n
	}
	return len(d.keys)
}

// SetAside keeps an entry beside the set, where no look-up finds it, with a mark from 0 to
// 3 that is the caller's. What has no room is counted in Forgotten.
func (d *Draft) SetAside(ind *intel.Indicator, feed uint32, mark uint8) {
	list := &d.aside[min(mark, 1)]
	if len(*list) < maxAside {
		if e, ok := d.strings.pack(ind, feed); ok {
			e.flags |= mark << markShift
			*list = append(*list, aside{ind.Prefix, e})
			return
		}
	}
	d.Forgotten++
}

// Build compiles what was added. It sorts in place and needs about 30 bytes an entry
// beside the set itself; with a base that differs little, next to nothing.
func (d *Draft) Build() Set {
	s := d.fromBase()
	if s == nil {
		d.leaveBase()
		s = d.fromNothing()
	}
	s.embedding, s.feeds = d.embedding, d.feeds
	*d = Draft{Forgotten: d.Forgotten}
	return *s
}
