package lookup

import (
	"math/bits"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A filter6 is what filter4 is, for IPv6. The address space is too wide for exact
// bitmaps and prefixes come in few lengths, so all but one bitmap are hashed.
//
// gate has the /32 of every prefix, shorter ones all their /32s. What passes is
// asked for in wide, which has the /32s of the prefixes shorter than /48, and in
// whole, where a longer prefix stands under its first 48, 64 or 128 bits, the most
// that it has; only lengths in use are asked for. Prefixes so short that there is no
// end to their /32s stand in top, exactly by /16, and are asked for beside gate.
//
// Addresses that may carry an IPv4 address (see Embedding) pass, too: those that their
// first 32 bits show by gate, the others by MayEmbed.
//
// Per address, under the conditions of filter4, it costs 1.5 times as much as that one
// and a tenth of the trie alone.
type filter6 struct {
	gate, whole           bitmap
	wide, top             bitmap // nil when not in use
	gateShift, wholeShift uint8
	shortest              uint8 // length of which prefixes stand in gate
	use48, use64, use128  bool
	spare                 int // prefixes that may be added later
	embedding             *intel.Embedding
}

// The limits of the expansion of short prefixes into /32s: budget for a whole table
// beside one for each prefix.
const (
	gateBits     = 32
	topBits      = 16
	expandBudget = 1 << 18
)

// newFilter6 makes the filter of the IPv6 prefixes among keys.
func newFilter6(keys []key, e *intel.Embedding) filter6 {
	n, lengths := 0, [129]int{}
	for i := range keys {
		if k := &keys[i]; !k.is4() {
			n++
			lengths[k.bits]++
		}
	}
	shortest, blocks := expandable(&lengths, n)
	gateWidth, wholeWidth := widthOf(n+blocks, 3, 12, 27), widthOf(n, 6, 12, 27)
	f := filter6{
		gate:       newBitmap(gateWidth),
		whole:      newBitmap(wholeWidth),
		gateShift:  uint8(32 - gateWidth),
		wholeShift: uint8(64 - wholeWidth),
		shortest:   uint8(shortest),
		spare:      spare(n, spareEntries),
	}
	for i := range keys {
		if k := &keys[i]; !k.is4() {
			f.add(k.addr, int(k.bits))
		}
	}
	f.embed(e)
	return f
}

// embed lets addresses pass that may carry an IPv4 address.
func (f *filter6) embed(e *intel.Embedding) {
	f.embedding = e
	for b := range e.Blocks {
		f.gate.set(hash32(b) >> f.gateShift)
	}
}

// expandable gives the shortest length of which all prefixes, and all longer ones,
// are expanded into /32s, and the number of these.
func expandable(lengths *[129]int, n int) (shortest, blocks int) {
	for l := gateBits - 1; l >= topBits; l-- {
		more := lengths[l] << (gateBits - l)
		if blocks+more > expandBudget+n {
			return l + 1, blocks
		}
		blocks += more
	}
	return topBits, blocks
}

// clone gives a filter of its own.
func (f *filter6) clone() filter6 {
	c := *f
	c.gate, c.wide = slices.Clone(f.gate), slices.Clone(f.wide)
	c.whole, c.top = slices.Clone(f.whole), slices.Clone(f.top)
	return c
}

// add sets the bits of a prefix.
func (f *filter6) add(a flow.Addr6, bits int) {
	block := uint32(a.Hi >> 32)
	if bits < int(f.shortest) {
		if f.top == nil {
			f.top = newBitmap(topBits)
		}
		first := block >> 16
		f.top.setRange(first, first|0xffff>>bits)
		return
	}
	if bits < 48 && f.wide == nil {
		f.wide = make(bitmap, len(f.gate))
	}
	last := block | uint32(uint64(1)<<max(gateBits-bits, 0)-1)
	for b := uint64(block); b <= uint64(last); b++ {
		h := hash32(uint32(b)) >> f.gateShift
		f.gate.set(h)
		if bits < 48 {
			f.wide.set(h)
		}
	}
	f.addLong(a, bits)
}

// addLong sets the bit of a prefix from /48 on.
func (f *filter6) addLong(a flow.Addr6, bits int) {
	switch {
	case bits == 128:
		f.use128 = true
		f.whole.set(f.slot128(a))
	case bits >= 64:
		f.use64 = true
		f.whole.set(f.slot64(a))
	case bits >= 48:
		f.use48 = true
		f.whole.set(f.slot48(a))
	}
}

// The places of an address in whole: multiplicative hashing of its first bits, each
// length with a factor of its own.
func (f *filter6) slot48(a flow.Addr6) uint32 {
	return uint32(a.Hi >> 16 * 0xd6e8feb86659fd93 >> (f.wholeShift & 63))
}

func (f *filter6) slot64(a flow.Addr6) uint32 {
	return uint32(a.Hi * 0xa0761d6478bd642f >> (f.wholeShift & 63))
}

func (f *filter6) slot128(a flow.Addr6) uint32 {
	return uint32((a.Hi*0x9e3779b97f4a7c15 + a.Lo*0xe7037ed1a0b428db) >> (f.wholeShift & 63))
}

// pass gives a mask of those of at most 64 addresses that gate or top let pass, or that
// may carry an IPv4 address. Four at once, without a branch between them, see filter4.
func (f *filter6) pass(addrs []flow.Addr6) uint64 {
	gate, s := f.gate, f.gateShift&31
	mask, rest := uint64(0), addrs
	for len(rest) >= 4 {
		a, b, c, d := rest[0], rest[1], rest[2], rest[3]
		four := gate.at(hash32(uint32(a.Hi>>32))>>s) | gate.at(hash32(uint32(b.Hi>>32))>>s)<<1 |
			gate.at(hash32(uint32(c.Hi>>32))>>s)<<2 | gate.at(hash32(uint32(d.Hi>>32))>>s)<<3
		four |= intel.MayEmbed(a) | intel.MayEmbed(b)<<1 | intel.MayEmbed(c)<<2 | intel.MayEmbed(d)<<3
		mask = mask>>4 | four<<60
		rest = rest[4:]
	}
	for _, a := range rest {
		mask = mask>>1 | (gate.at(hash32(uint32(a.Hi>>32))>>s)|intel.MayEmbed(a))<<63
	}
	mask >>= chunk - uint(len(addrs))
	if f.top != nil {
		for i := range addrs {
			mask |= f.top.at(uint32(addrs[i].Hi>>48)) << (i & 63)
		}
	}
	return mask
}

// lets reports whether an address passes both stages by itself, whatever it may carry.
func (f *filter6) lets(a flow.Addr6) bool {
	return f.gate != nil &&
		(f.gate.at(hash32(uint32(a.Hi>>32))>>(f.gateShift&31)) != 0 || f.top != nil) && f.maybe(a)
}

// maybe asks the second stage.
func (f *filter6) maybe(a flow.Addr6) bool {
	return f.use128 && f.whole.at(f.slot128(a)) != 0 ||
		f.use64 && f.whole.at(f.slot64(a)) != 0 ||
		f.use48 && f.whole.at(f.slot48(a)) != 0 ||
		f.wide != nil && f.wide.at(hash32(uint32(a.Hi>>32))>>(f.gateShift&31)) != 0 ||
		f.top != nil && f.top.at(uint32(a.Hi>>48)) != 0
}

// listed6 is the last word on an address that the first stage lets pass.
func (t *Table) listed6(a flow.Addr6) bool {
	if a == (flow.Addr6{}) {
		return false
	}
	if t.filter6.maybe(a) && t.trie.Contains(a.Addr()) {
		return true
	}
	v4 := t.filter6.embedding.Find(a)
	return v4 != 0 && t.filter4.maybe(v4) && t.listed4(v4)
}

// Match6 is Match4 for IPv6. An address that carries a listed IPv4 address (see
// Embedding) is found, too. IPv4-mapped addresses are not unmapped here.
func (t *Table) Match6(addrs []flow.Addr6, found []int32) []int32 {
	f := &t.filter6
	if f.gate == nil {
		return found
	}
	for base := 0; base < len(addrs); base += chunk {
		batch := addrs[base:min(base+chunk, len(addrs))]
		for mask := f.pass(batch); mask != 0; mask &= mask - 1 {
			if i := bits.TrailingZeros64(mask); t.listed6(batch[i]) {
				found = append(found, int32(base+i))
			}
		}
	}
	return found
}
