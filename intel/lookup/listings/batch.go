package listings

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup/prefilter"
)

// filters stand before the trie of a set.
type filters struct {
	four prefilter.Filter4
	six  prefilter.Filter6
	// room4 and room6 are how many prefixes may be added: the sizes allow for so many.
	room4, room6 int
}

// newFilters makes the filters of the prefixes of keys, and of the reserved indicator of
// canaries: so they cost nothing where no canary is.
func newFilters(keys []key, e *intel.Embedding) filters {
	n4, n6, lengths := 1, 0, [129]int{}
	for i := range keys {
		if k := &keys[i]; k.is4() {
			n4++
		} else {
			n6++
			lengths[k.bits]++
		}
	}
	f := filters{prefilter.New4(n4), prefilter.New6(&lengths, e), spare(n4, spareEntries), spare(n6, spareEntries)}
	f.four.Add(event.CanaryTarget4, 32)
	for i := range keys {
		f.add(&keys[i])
	}
	return f
}

func (f *filters) add(k *key) {
	if k.is4() {
		f.four.Add(uint32(k.addr.Lo), int(k.bits)-96)
	} else {
		f.six.Add(k.addr, int(k.bits))
	}
}

// Lets asks the filters alone whether an address, unmapped, may be covered by an entry.
// 0.0.0.0 and :: never are.
func (s *Set) Lets(a netip.Addr) bool {
	switch {
	case s.n == 0 || !a.IsValid() || a.IsUnspecified():
		return false
	case a.Is4():
		b := a.As4()
		return s.filters.four.Lets(binary.BigEndian.Uint32(b[:]))
	}
	return s.filters.six.Lets(flow.Addr6Of(a))
}

// Match4 appends to found the indices of the addresses, IPv4 in host order, that
// listed prefixes cover, as Contains has it, and of the reserved indicator of canaries
// (see [event.CanaryOf]). It does not allocate when found has room. Batches of 50 and more
// addresses are the fastest.
func (s *Set) Match4(addrs []uint32, found []int32) []int32 {
	if s.trie == nil {
		return found
	}
	f := &s.filters.four
	for base := 0; base < len(addrs); base += prefilter.Chunk {
		batch := addrs[base:min(base+prefilter.Chunk, len(addrs))]
		for mask := f.Pass(batch); mask != 0; mask &= mask - 1 {
			i := bits.TrailingZeros64(mask)
			if a := batch[i]; f.Maybe(a) && s.listed4(a) {
				found = append(found, int32(base+i))
			}
		}
	}
	return found
}

// listed4 is the last word on an address that the filter lets pass.
func (s *Set) listed4(a uint32) bool {
	return a == event.CanaryTarget4 || a != 0 && s.trie.Contains(flow.Addr4(a))
}

// Match6 is Match4 for IPv6. An address that carries a listed IPv4 address (see
// [intel.Embedding]) is found, too. IPv4-mapped addresses are not unmapped here.
func (s *Set) Match6(addrs []flow.Addr6, found []int32) []int32 {
	if s.trie == nil {
		return found
	}
	f := &s.filters.six
	for base := 0; base < len(addrs); base += prefilter.Chunk {
		batch := addrs[base:min(base+prefilter.Chunk, len(addrs))]
		for mask := f.Pass(batch); mask != 0; mask &= mask - 1 {
			if i := bits.TrailingZeros64(mask); s.listed6(batch[i]) {
				found = append(found, int32(base+i))
			}
		}
	}
	return found
}

// listed6 is the last word on an address that the first stage lets pass.
func (s *Set) listed6(a flow.Addr6) bool {
	if a == (flow.Addr6{}) {
		return false
	}
	if s.filters.six.Maybe(a) && s.trie.Contains(a.Addr()) {
		return true
	}
	v4 := s.embedding.Find(a)
	return v4 != 0 && s.filters.four.Maybe(v4) && s.listed4(v4)
}
