package lookup

import (
	"math/bits"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A filter4 stands in front of the trie and turns most addresses away. It never
// turns a listed one away.
//
// Almost every address of the traffic is not listed, and what it costs to say so is
// a load that misses the cache: the filter is about how few such loads there are
// and how many of them run at once. top has a bit for each block of the address
// space, 8 blocks or more a prefix, and lets 1 random address in 8 to 16 pass. Of
// those, whole asks a hash of the whole address, 64 bits or more a prefix, and wide,
// exactly by /24, whether a shorter prefix is about; about 1 in 1,000 random
// addresses goes on to the trie in vain.
//
// What was tried, per address, in batches of 52 random addresses with 1,000,000
// random /32 and 0.1 % hits, relative to this shape (before the trie is asked):
//
//	this one                                             1
//	this one with the trie behind it                     1.5
//	the trie alone                                       15 to 20
//	the same, not unrolled                               1.5
//	top with twice or half the blocks                    1.0
//	one word of top as a Bloom filter of 2 bits          1.0
//	whole alone, without top                             1.4
//	an index buffer of survivors in place of a bit mask  2.4
//	a branch after each load                             1.5
//
// With 10,000 prefixes a bitmap of /24s of constant size (2 MiB) costs 1.5 to 2: one
// that grows with the set stays in the first-level cache.
type filter4 struct {
	top, whole           bitmap
	wide                 bitmap // nil when all prefixes are /32
	topShift, wholeShift uint8
	spare                int // prefixes that may be added later: it is made for so many
}

// newFilter4 makes the filter of the IPv4 prefixes among keys, and of the reserved
// indicator of canaries: so they cost nothing where no canary is.
func newFilter4(keys []key) filter4 {
	n := 1
	for i := range keys {
		if keys[i].is4() {
			n++
		}
	}
	topWidth, wholeWidth := widthOf(n, 3, 12, 26), widthOf(n, 6, 12, 27)
	f := filter4{
		top:        newBitmap(topWidth),
		whole:      newBitmap(wholeWidth),
		topShift:   uint8(32 - topWidth),
		wholeShift: uint8(32 - wholeWidth),
		spare:      spare(n, spareEntries),
	}
	f.add(event.CanaryTarget4, 32)
	for i := range keys {
		if k := &keys[i]; k.is4() {
			f.add(uint32(k.addr.Lo), int(k.bits)-96)
		}
	}
	return f
}

// clone gives a filter of its own.
func (f *filter4) clone() filter4 {
	c := *f
	c.top, c.whole, c.wide = slices.Clone(f.top), slices.Clone(f.whole), slices.Clone(f.wide)
	return c
}

// add sets the bits of a prefix.
func (f *filter4) add(first uint32, bits int) {
	if bits < 32 && f.wide == nil {
		f.wide = newBitmap(24)
	}
	last := first | ^uint32(0)>>bits
	f.top.setRange(first>>f.topShift, last>>f.topShift)
	if bits == 32 {
		f.whole.set(hash32(first) >> f.wholeShift)
	} else {
		f.wide.setRange(first>>8, last>>8)
	}
}

// pass gives a mask of those of at most 64 addresses that top lets pass. Four at
// once, without a branch between them: that keeps more loads in flight.
func (f *filter4) pass(addrs []uint32) uint64 {
	top, s := f.top, f.topShift&31
	mask, rest := uint64(0), addrs
	for len(rest) >= 4 {
		four := top.at(rest[0]>>s) | top.at(rest[1]>>s)<<1 | top.at(rest[2]>>s)<<2 | top.at(rest[3]>>s)<<3
		mask = mask>>4 | four<<60
		rest = rest[4:]
	}
	for _, a := range rest {
		mask = mask>>1 | top.at(a>>s)<<63
	}
	return mask >> (chunk - uint(len(addrs)))
}

// maybe asks the second stage.
func (f *filter4) maybe(a uint32) bool {
	return f.whole.at(hash32(a)>>(f.wholeShift&31)) != 0 || f.wide != nil && f.wide.at(a>>8) != 0
}

// lets reports whether an address passes both stages.
func (f *filter4) lets(a uint32) bool {
	return f.top != nil && f.top.at(a>>(f.topShift&31)) != 0 && f.maybe(a)
}

// listed4 is the last word on an address that the filter lets pass.
func (t *Table) listed4(a uint32) bool {
	return a == event.CanaryTarget4 || a != 0 && t.trie.Contains(flow.Addr4(a))
}

// Match4 appends to found the indices of the addresses, IPv4 in host order, that
// listed prefixes cover, as Contains has it, and of the reserved indicator of canaries
// (see [event.CanaryOf]). It does not allocate when found has room. Batches of 50 and more addresses are the fastest.
func (t *Table) Match4(addrs []uint32, found []int32) []int32 {
	f := &t.filter4
	if f.top == nil {
		return found
	}
	for base := 0; base < len(addrs); base += chunk {
		batch := addrs[base:min(base+chunk, len(addrs))]
		for mask := f.pass(batch); mask != 0; mask &= mask - 1 {
			i := bits.TrailingZeros64(mask)
			if a := batch[i]; f.maybe(a) && t.listed4(a) {
				found = append(found, int32(base+i))
			}
		}
	}
	return found
}
