package home

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// Networks is a set of prefixes. Most addresses are decided by their first 16 bits: none,
// all, or some of the addresses that begin with them are in the set. It never changes.
type Networks struct {
	v4, v6 blocks
	// ranges are sorted and do not overlap; IPv4 as ::ffff:a.b.c.d.
	ranges []span.Range
}

// blocks have a bit for each 16 bits that an address may begin with.
type blocks struct{ some, all [1 << 10]uint64 }

// NewNetworks makes a set. Prefixes that are not valid are left out, and IPv4-mapped ones are IPv4.
func NewNetworks(prefixes []netip.Prefix) *Networks {
	n := new(Networks)
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		n.ranges = append(n.ranges, span.Of(p))
	}
	n.ranges = span.Join(n.ranges)
	for _, r := range n.ranges {
		n.mark(r)
	}
	return n
}

// mark enters a range into the blocks. IPv4 addresses are never looked for in those of IPv6.
func (n *Networks) mark(r span.Range) {
	for b := r.From.Hi >> 48; b <= r.To.Hi>>48; b++ {
		first, last := flow.Addr6{Hi: b << 48}, flow.Addr6{Hi: b<<48 | (1<<48 - 1), Lo: ^uint64(0)}
		n.v6.set(b, r.From.Compare(first) <= 0 && r.To.Compare(last) >= 0)
	}
	low, high := span.IPv4.From, span.IPv4.To
	if r.To.Compare(low) < 0 || r.From.Compare(high) > 0 {
		return
	}
	if r.From.Compare(low) > 0 {
		low = r.From
	}
	if r.To.Compare(high) < 0 {
		high = r.To
	}
	for b := uint32(low.Lo) >> 16; b <= uint32(high.Lo)>>16; b++ {
		n.v4.set(uint64(b), low.Compare(flow.Mapped(b<<16)) <= 0 && high.Compare(flow.Mapped(b<<16|0xffff)) >= 0)
	}
}

func (x *blocks) set(block uint64, all bool) {
	x.some[block/64] |= 1 << (block % 64)
	if all {
		x.all[block/64] |= 1 << (block % 64)
	}
}

// Contains reports whether an address is in the set.
func (n *Networks) Contains(a flow.Addr6) bool {
	x, block := &n.v6, a.Hi>>48
	if a.Is4() {
		x, block = &n.v4, a.Lo>>16&0xffff
	}
	at, bit := block/64%(1<<10), uint64(1)<<(block%64)
	if x.some[at]&bit == 0 {
		return false
	}
	return x.all[at]&bit != 0 || span.Within(n.ranges, span.One(a))
}

// Either reports whether one of two addresses is in the set.
func (n *Networks) Either(a, b flow.Addr6) bool {
	if a.Is4() && b.Is4() {
		s, d := uint32(a.Lo), uint32(b.Lo)
		if (n.v4.some[s>>22]>>(s>>16&63)|n.v4.some[d>>22]>>(d>>16&63))&1 == 0 {
			return false
		}
	}
	return n.Contains(a) || n.Contains(b)
}
