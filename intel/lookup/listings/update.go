package listings

import (
	"cmp"
	"maps"
	"slices"

	"github.com/gaissmai/bart"
)

// How much of a set may be spent on what has changed since it was made from nothing:
// entries that nothing leads to any more, strings of the tail, prefixes for which the
// filters were not made. Beyond that the next one is made from nothing.
const (
	spareShare   = 16 // one in so many
	spareEntries = 1_000
	spareStrings = 256 << 10
)

func spare(n, least int) int { return n/spareShare + least }

// An update makes a set of another one by changing little.
type update struct {
	*Draft
	rank    []uint32
	changed []key // of entries of the draft that the base does not have, in order
	touched []key // prefixes of which entries change, in order, each once
	shift   uint32
	next    *Set
	leads   bart.Table[uint32] // the touched prefixes to their entries
	gone    []key              // prefixes that have none
	entries []Entry            // of one prefix
}

// fromBase makes a set of the base and of what differs from it; nil when that is too
// much.
func (d *Draft) fromBase() *Set {
	if d.base == nil || d.base.set.entries.n-d.base.set.n > spare(d.base.set.n, spareEntries) {
		return nil
	}
	d.recall()
	d.compact()
	u := update{Draft: d, rank: d.feedRanks()}
	if !u.compare() {
		return nil
	}
	u.begin()
	for i := range u.touched {
		u.group(&u.touched[i])
	}
	u.lead()
	return u.next
}

// recall takes out of the base what has to be merged anew: some list has it just as the
// base has it, and another differs.
func (d *Draft) recall() {
	for i := range d.keys {
		k := d.keys[i]
		e := d.entries.at(k.entry)
		if old, ok := d.base.set.find(k.prefix(), e.feed, e.port); ok && d.base.stays(old) {
			d.base.recalled[old] = true
			d.base.n--
			d.takeOver(k.prefix(), old)
		}
	}
}

// compare finds out what changes. It reports false, and nothing has happened, when that
// is too much.
func (u *update) compare() bool {
	s := u.base.set
	var same []uint32
	replaced, most := 0, spare(s.n, spareEntries)
	for _, k := range u.keys {
		e := u.Draft.entries.at(k.entry)
		i, ok := s.find(k.prefix(), e.feed, e.port)
		if ok && s.strings.same(s.entries.at(i), &u.strings.pool, e) {
			same = append(same, i)
			continue
		}
		if ok {
			replaced++
		}
		if u.changed = append(u.changed, k); len(u.changed) > most {
			return false
		}
	}
	leaving := s.n - u.base.n - len(same)
	if len(u.changed)+leaving > most || !u.stringsFit() || !u.filtersFit() {
		return false
	}
	for _, i := range same {
		u.base.stay(i)
	}
	for _, k := range u.changed {
		u.touch(k)
	}
	u.touchLeaving(leaving - replaced)
	return true
}

func (u *update) stringsFit() bool {
	p := &u.base.set.strings
	tail := len(p.tail) + len(u.strings.blob)
	return tail <= spare(len(p.blob), spareStrings) && tail <= maxPool-len(p.blob)
}

// filtersFit reports whether the filters are large enough for more.
func (u *update) filtersFit() bool {
	room4, room6 := u.base.set.filters.room4, u.base.set.filters.room6
	for i := range u.changed {
		if u.changed[i].is4() {
			room4--
		} else {
			room6--
		}
	}
	return room4 >= 0 && room6 >= 0
}

// touch notes the prefix of a key; those of changed come in order.
func (u *update) touch(k key) {
	if n := len(u.touched); n == 0 || !u.touched[n-1].same(&k) {
		u.touched = append(u.touched, k)
	}
}

// touchLeaving notes the prefixes of n entries of the base that have gone and that no
// other replaces.
func (u *update) touchLeaving(n int) {
	if n == 0 {
		return
	}
	s := u.base.set
	for p, first := range s.trie.All() {
		for i := first; ; i++ {
			e := s.entries.at(i)
			if !u.base.stays(i) && !u.replaced(keyOf(p, i), e) {
				u.touch(keyOf(p, 0))
				n--
			}
			if e.flags&lastOfPrefix != 0 {
				break
			}
		}
		if n == 0 {
			break
		}
	}
	slices.SortFunc(u.touched, func(k, o key) int { return k.compare(&o) })
	u.touched = slices.CompactFunc(u.touched, func(k, o key) bool { return k.same(&o) })
}

// replaced reports whether there is another entry for that of a key, which does not stay.
func (u *update) replaced(k key, old *Entry) bool {
	i, ok := slices.BinarySearchFunc(u.changed, k, func(c, k key) int {
		return cmp.Or(c.compare(&k), cmp.Compare(u.Draft.entries.at(c.entry).port, old.port))
	})
	for ; ok && i < len(u.changed) && u.changed[i].same(&k); i++ {
		switch e := u.Draft.entries.at(u.changed[i].entry); {
		case e.port != old.port:
			return false
		case e.feed == old.feed:
			return true
		}
	}
	return false
}

// begin makes the next set, as it is before anything changes.
func (u *update) begin() {
	s := u.base.set
	u.shift = uint32(len(s.strings.blob) + len(s.strings.tail))
	u.next = &Set{
		trie:    s.trie,
		entries: s.entries.extended(),
		n:       u.base.n + len(u.changed),
		strings: pool{s.strings.blob, slices.Concat(s.strings.tail, u.strings.blob)},
		filters: s.filters,
		crowds:  maps.Clone(s.crowds),
		aside:   slices.Concat(u.aside[0], u.aside[1]),
	}
	for i := range u.next.aside {
		u.move(&u.next.aside[i].entry)
	}
	for i := range s.feeds {
		u.feeds[i].Unique = s.feeds[i].Unique
	}
	u.filter()
}

// filter lets the new prefixes pass. Bits of those that have gone stay.
func (u *update) filter() {
	f := &u.next.filters
	changed4 := slices.ContainsFunc(u.changed, func(k key) bool { return k.is4() })
	changed6 := slices.ContainsFunc(u.changed, func(k key) bool { return !k.is4() })
	same := u.base.set.embedding.Equal(u.embedding)
	if changed4 {
		f.four = f.four.Clone()
	}
	if changed6 || !same {
		f.six = f.six.Clone()
	}
	if !same {
		f.six.Embed(u.embedding)
	}
	for i := range u.changed {
		k := &u.changed[i]
		f.add(k)
		if k.is4() {
			f.room4--
		} else {
			f.room6--
		}
	}
}

// move brings the strings of an entry of the draft to where they are in the tail.
func (u *update) move(e *Entry) {
	for _, h := range [...]*uint32{&e.category, &e.ref, &e.description, &e.nativeID} {
		if *h != 0 {
			*h += u.shift
		}
	}
}

// group puts the entries of a touched prefix together, behind all others.
func (u *update) group(p *key) {
	u.entries = u.entries[:0]
	u.countUnique(u.old(p), -1)
	for len(u.changed) > 0 && u.changed[0].same(p) {
		e := *u.Draft.entries.at(u.changed[0].entry)
		u.move(&e)
		u.entries = append(u.entries, e)
		u.changed = u.changed[1:]
	}
	u.countUnique(u.entries, 1)
	u.leads.Insert(p.prefix(), uint32(u.next.entries.n))
	if len(u.entries) == 0 {
		u.gone = append(u.gone, *p)
		return
	}
	slices.SortFunc(u.entries, func(e, f Entry) int { return e.compareInPrefix(&f, u.rank) })
	u.next.crowds.note(uint32(u.next.entries.n), len(u.entries))
	for i := range u.entries {
		e := u.entries[i]
		e.flags &^= lastOfPrefix
		if i == len(u.entries)-1 {
			e.flags |= lastOfPrefix
		}
		u.next.entries.append(e)
	}
}

// lead makes the trie lead to the new places. The union gives the table nodes of its own
// on the way to each touched prefix, and to those that have gone too: so these may be
// deleted in place, which is ten times as fast as one by one with new nodes each.
func (u *update) lead() {
	trie := u.next.trie.UnionPersist(&u.leads)
	for i := range u.gone {
		trie.Delete(u.gone[i].prefix())
	}
	u.next.trie = trie
}

// old gives the entries that the base has of a prefix; those that stay go on.
func (u *update) old(p *key) (old []Entry) {
	first, ok := u.base.set.trie.Get(p.prefix())
	for i := first; ok; i++ {
		e := *u.base.set.entries.at(i)
		old = append(old, e)
		if u.base.stays(i) {
			u.entries = append(u.entries, e)
		}
		ok = e.flags&lastOfPrefix == 0
	}
	return old
}

// countUnique counts the entries of a prefix, once more or once less, for their feed if
// that is the only one.
func (u *update) countUnique(entries []Entry, sign int) {
	for i := range entries {
		if entries[i].feed != entries[0].feed {
			return
		}
	}
	if len(entries) > 0 {
		u.feeds[entries[0].feed].Unique += sign * len(entries)
	}
}
