package intel

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// A Coverage measures how much address space a list covers, and how much of one list is in
// another. Prefixes that overlap count once. It takes 8 bytes for an IPv4 prefix and 24 for
// one of IPv6. The zero value is empty; it is for one goroutine.
type Coverage struct {
	four []uint64 // address<<8 | length
	six  []prefix6
	done bool // both are sorted, without repetitions
}

type prefix6 struct {
	hi, lo uint64
	bits   uint8
}

func (p prefix6) compare(o prefix6) int {
	return cmp.Or(cmp.Compare(p.hi, o.hi), cmp.Compare(p.lo, o.lo), cmp.Compare(p.bits, o.bits))
}

// Add adds a valid prefix.
func (c *Coverage) Add(p netip.Prefix) {
	p = Canonical(p)
	c.done = false
	if p.Addr().Is4() {
		a := p.Addr().As4()
		c.four = append(c.four, uint64(binary.BigEndian.Uint32(a[:]))<<8|uint64(p.Bits()))
		return
	}
	a := p.Addr().As16()
	c.six = append(c.six, prefix6{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), uint8(p.Bits())})
}

func (c *Coverage) sort() {
	if c.done {
		return
	}
	slices.Sort(c.four)
	c.four = slices.Compact(c.four)
	slices.SortFunc(c.six, prefix6.compare)
	c.six = slices.Compact(c.six)
	c.done = true
}

// Len gives the number of different prefixes.
func (c *Coverage) Len() int { c.sort(); return len(c.four) + len(c.six) }

// Missing gives the number of different prefixes of c that are not in o.
func (c *Coverage) Missing(o *Coverage) int {
	c.sort()
	o.sort()
	n := 0
	for _, p := range c.four {
		if _, found := slices.BinarySearch(o.four, p); !found {
			n++
		}
	}
	for _, p := range c.six {
		if _, found := slices.BinarySearchFunc(o.six, p, prefix6.compare); !found {
			n++
		}
	}
	return n
}

// Space gives the number of IPv4 addresses, and of IPv6 /64 networks, that the prefixes
// cover outside of special-purpose space, which belongs to nobody on the Internet and
// makes up most of a list of bogons.
func (c *Coverage) Space() (v4, v6 uint64) {
	all := Coverage{four: slices.Clone(c.four), six: slices.Clone(c.six)}
	nobody := new(Coverage)
	for _, r := range slices.Concat(special4, special6, notGlobal6) {
		if r.prefix.Addr().Is4In6() {
			continue // its addresses are IPv4
		}
		all.Add(r.prefix)
		nobody.Add(r.prefix)
	}
	v4, v6 = all.union()
	n4, n6 := nobody.union()
	return v4 - n4, v6 - n6
}

// notGlobal6 is IPv6 outside of 2000::/3.
var notGlobal6 = []specialRange{special("::/3", "unassigned"), special("4000::/2", "unassigned"), special("8000::/1", "unassigned")}

// union counts addresses and /64 networks. In order, a prefix lies in the one before or
// beyond it.
func (c *Coverage) union() (v4, v6 uint64) {
	c.sort()
	next := uint64(0) // the first address that is not covered yet
	for _, p := range c.four {
		first, size := p>>8, uint64(1)<<(32-p&0xff)
		if first >= next {
			v4 += size
			next = first + size
		}
	}
	covered, last := false, uint64(0)
	for _, p := range c.six {
		if covered && p.hi <= last {
			continue
		}
		covered = true
		switch {
		case p.bits == 0:
			return v4, math.MaxUint64
		case p.bits >= 64:
			last = p.hi
			v6++
		default:
			size := uint64(1) << (64 - p.bits)
			last = p.hi + size - 1
			v6 += size
		}
	}
	return v4, v6
}
