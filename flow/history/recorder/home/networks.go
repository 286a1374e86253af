package home

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Networks is a set of prefixes. Most addresses are decided by their first 16 bits: none,
// all, or some of the addresses that begin with them are in the set. It never changes.
type Networks struct {
	v4, v6 blocks
	// ranges are sorted and do not overlap; IPv4 as ::ffff:a.b.c.d.
	ranges []span
}

// blocks have a bit for each 16 bits that an address may begin with.
type blocks struct{ some, all [1 << 10]uint64 }

// A span is the addresses from first to last.
type span struct{ first, last flow.Addr6 }

// NewNetworks makes a set. Prefixes that are not valid are left out, and IPv4-mapped ones are IPv4.
func NewNetworks(prefixes []netip.Prefix) *Networks {
	n := new(Networks)
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		n.ranges = append(n.ranges, spanOf(p))
	}
	slices.SortFunc(n.ranges, func(a, b span) int { return compare(a.first, b.first) })
	n.ranges = merge(n.ranges)
	for _, s := range n.ranges {
		n.mark(s)
	}
	return n
}

// spanOf gives the addresses of a prefix. An IPv4-mapped one is IPv4.
func spanOf(p netip.Prefix) span {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	s := span{first: flow.Addr6Of(p.Addr())}
	var host flow.Addr6 // the bits behind the prefix
	switch {
	case bits <= 64:
		host = flow.Addr6{Hi: ^uint64(0) >> bits, Lo: ^uint64(0)}
	default:
		host.Lo = ^uint64(0) >> (bits - 64)
	}
	s.first.Hi, s.first.Lo = s.first.Hi&^host.Hi, s.first.Lo&^host.Lo
	s.last = flow.Addr6{Hi: s.first.Hi | host.Hi, Lo: s.first.Lo | host.Lo}
	return s
}

// merge joins spans that overlap; they are sorted.
func merge(all []span) []span {
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && compare(s.first, out[n-1].last) <= 0 {
			if compare(s.last, out[n-1].last) > 0 {
				out[n-1].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// mark enters a span into the blocks. IPv4 addresses are never looked for in those of IPv6.
func (n *Networks) mark(s span) {
	for b := s.first.Hi >> 48; b <= s.last.Hi>>48; b++ {
		first, last := flow.Addr6{Hi: b << 48}, flow.Addr6{Hi: b<<48 | (1<<48 - 1), Lo: ^uint64(0)}
		n.v6.set(b, compare(s.first, first) <= 0 && compare(s.last, last) >= 0)
	}
	low, high := flow.Addr6{Lo: 0xffff << 32}, flow.Addr6{Lo: 0xffff<<32 | 0xffffffff}
	if compare(s.last, low) < 0 || compare(s.first, high) > 0 {
		return
	}
	if compare(s.first, low) > 0 {
		low = s.first
	}
	if compare(s.last, high) < 0 {
		high = s.last
	}
	for b := low.Lo >> 16 & 0xffff; b <= high.Lo>>16&0xffff; b++ {
		n.v4.set(b, low.Lo <= 0xffff<<32|b<<16 && high.Lo >= 0xffff<<32|b<<16|0xffff)
	}
}

func (x *blocks) set(block uint64, all bool) {
	x.some[block/64] |= 1 << (block % 64)
	if all {
		x.all[block/64] |= 1 << (block % 64)
	}
}

// isV4 reports whether a is ::ffff:a.b.c.d.
func isV4(a flow.Addr6) bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Contains reports whether an address is in the set.
func (n *Networks) Contains(a flow.Addr6) bool {
	x, block := &n.v6, a.Hi>>48
	if isV4(a) {
		x, block = &n.v4, a.Lo>>16&0xffff
	}
	at, bit := block/64%(1<<10), uint64(1)<<(block%64)
	if x.some[at]&bit == 0 {
		return false
	}
	return x.all[at]&bit != 0 || n.search(a)
}

// Either reports whether one of two addresses is in the set.
func (n *Networks) Either(a, b flow.Addr6) bool {
	if isV4(a) && isV4(b) {
		s, d := uint32(a.Lo), uint32(b.Lo)
		if (n.v4.some[s>>22]>>(s>>16&63)|n.v4.some[d>>22]>>(d>>16&63))&1 == 0 {
			return false
		}
	}
	return n.Contains(a) || n.Contains(b)
}

// search looks through the ranges.
func (n *Networks) search(a flow.Addr6) bool {
	low, high := 0, len(n.ranges)
	for low < high {
		if mid := int(uint(low+high) / 2); compare(n.ranges[mid].last, a) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(n.ranges) && compare(n.ranges[low].first, a) <= 0
}

func compare(a, b flow.Addr6) int {
	if a.Hi != b.Hi {
		return cmp.Compare(a.Hi, b.Hi)
	}
	return cmp.Compare(a.Lo, b.Lo)
}
