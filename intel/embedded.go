package intel

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// An Embedding finds the IPv4 address that an IPv6 address carries: NAT64 (RFC 6052)
// with the well-known prefix 64:ff9b::/96, the prefix for local use 64:ff9b:1::/48
// (RFC 8215) and the operator's own prefixes, 6to4 (RFC 3056), the client of Teredo (RFC
// 4380), ISATAP (RFC 5214), IPv4-compatible addresses (RFC 4291, 2.5.5.1) and
// IPv4-translated ones of SIIT (RFC 2765). IPv4-mapped addresses are another notation of
// IPv4, which the decoder has turned into IPv4 already. The nil Embedding has no prefixes
// of an operator. It never changes.
type Embedding struct{ own []translation }

// A translation is a prefix of an operator's NAT64.
type translation struct {
	addr, mask flow.Addr6
	bits       int
}

// maxTranslations bounds the operator's prefixes, as each is compared with.
const maxTranslations = 64

// CheckNAT64 reports what is wrong with the operator's prefixes for NAT64: RFC 6052, 2.2
// allows IPv6 prefixes of 32, 40, 48, 56, 64 and 96 bits, and bits 64 to 71 must be zero.
func CheckNAT64(prefixes []netip.Prefix) error {
	if len(prefixes) > maxTranslations {
		return fmt.Errorf("nat64: %d prefixes, at most %d are allowed", len(prefixes), maxTranslations)
	}
	for i, p := range prefixes {
		switch {
		case !p.IsValid():
			return fmt.Errorf("nat64[%d]: not a prefix", i)
		case !p.Addr().Is6() || p.Addr().Is4In6():
			return fmt.Errorf("nat64[%d]: %s is not an IPv6 prefix", i, p)
		case !slices.Contains([]int{32, 40, 48, 56, 64, 96}, p.Bits()):
			return fmt.Errorf("nat64[%d]: %s: the length must be 32, 40, 48, 56, 64 or 96", i, p)
		case p.Bits() == 96 && p.Addr().As16()[8] != 0:
			return fmt.Errorf("nat64[%d]: %s: bits 64 to 71 must be zero", i, p)
		}
	}
	return nil
}

// NewEmbedding makes the Embedding of an operator's prefixes for NAT64, which CheckNAT64
// has passed. Of prefixes within each other the longest counts.
func NewEmbedding(nat64 []netip.Prefix) *Embedding {
	e := new(Embedding)
	for _, p := range nat64 {
		t := translation{addr: flow.Addr6Of(p.Masked().Addr()), mask: flow.Addr6{Hi: ^uint64(0) << max(64-p.Bits(), 0)}, bits: p.Bits()}
		if p.Bits() > 64 {
			t.mask.Lo = ^uint64(0) << (128 - p.Bits())
		}
		e.own = append(e.own, t)
	}
	slices.SortStableFunc(e.own, func(t, u translation) int { return cmp.Compare(u.bits, t.bits) })
	return e
}

// IPv4 gives the IPv4 address that a carries, or false when it carries none.
func (e *Embedding) IPv4(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() || a.Is4In6() {
		return netip.Addr{}, false
	}
	v4 := e.Find(flow.Addr6Of(a))
	return flow.Addr4(v4), v4 != 0
}

// The first 32 bits of IPv6 addresses that carry IPv4 addresses, apart from those of
// 6to4, and the upper half of the interface identifiers of ISATAP, with and without the
// universal bit.
const (
	blockZero   = 0x0000_0000
	blockNAT64  = 0x0064_ff9b
	blockTeredo = 0x2001_0000
	first6to4   = 0x2002
	isatap      = 0x0000_5efe
	universal   = 0x0200_0000
)

// Covering gives the operator's prefix that p lies in.
func (e *Embedding) Covering(p netip.Prefix) (by netip.Prefix, ok bool) {
	if e == nil || len(e.own) == 0 || !p.Addr().Is6() {
		return netip.Prefix{}, false
	}
	a := flow.Addr6Of(p.Addr())
	for i := range e.own {
		if t := &e.own[i]; t.has(a) && p.Bits() >= t.bits {
			return netip.PrefixFrom(t.addr.Addr(), t.bits), true
		}
	}
	return netip.Prefix{}, false
}

// NAT64 gives the operator's prefixes.
func (e *Embedding) NAT64() (prefixes []netip.Prefix) {
	if e != nil {
		for i := range e.own {
			prefixes = append(prefixes, netip.PrefixFrom(e.own[i].addr.Addr(), e.own[i].bits))
		}
	}
	return prefixes
}

func (t *translation) has(a flow.Addr6) bool {
	return a.Hi&t.mask.Hi == t.addr.Hi && a.Lo&t.mask.Lo == t.addr.Lo
}

// Find gives the IPv4 address that a carries, 0 when it carries none.
func (e *Embedding) Find(a flow.Addr6) uint32 {
	if e != nil {
		for i := range e.own {
			if t := &e.own[i]; t.has(a) {
				return translated(a, t.bits)
			}
		}
	}
	switch block, id := uint32(a.Hi>>32), uint32(a.Lo>>32); {
	case block == blockNAT64:
		return wellKnown(a)
	case block>>16 == first6to4:
		return uint32(a.Hi >> 16)
	case block == blockTeredo:
		return ^uint32(a.Lo)
	case id&^universal == isatap:
		return uint32(a.Lo)
	case a.Hi == 0 && id == 0xffff_0000: // IPv4-translated
		return uint32(a.Lo)
	case a.Hi == 0 && id == 0 && a.Lo >= 1<<24: // IPv4-compatible, and not ::1
		return uint32(a.Lo)
	}
	return 0
}

// Carriers yields ranges, both ends included, in which are the IPv6 addresses that carry an
// IPv4 address of from to to in a place that makes a range of them: all but those of Teredo
// and ISATAP, those of 64:ff9b:1::/48 with a prefix of 96 bits that is not configured, and
// those with anything in bits 64 to 71, which must be zero. Other addresses may be among them,
// which Find sorts out. Ranges may overlap.
func (e *Embedding) Carriers(from, to uint32) iter.Seq2[flow.Addr6, flow.Addr6] {
	forms := []translation{
		{addr: flow.Addr6{Hi: blockNAT64 << 32}, bits: 96}, {addr: flow.Addr6{Lo: 0xffff_0000 << 32}, bits: 96}, {bits: 96},
		{addr: flow.Addr6{Hi: blockNAT64<<32 | 1<<16}, bits: 48}, {addr: flow.Addr6{Hi: blockNAT64<<32 | 1<<16}, bits: 56}, {addr: flow.Addr6{Hi: blockNAT64<<32 | 1<<16}, bits: 64},
	}
	if e != nil {
		forms = append(forms, e.own...)
	}
	return func(yield func(flow.Addr6, flow.Addr6) bool) {
		const to4 = first6to4 << 48
		if !yield(flow.Addr6{Hi: to4 | uint64(from)<<16}, flow.Addr6{Hi: to4 | uint64(to)<<16 | 0xffff, Lo: ^uint64(0)}) {
			return
		}
		for _, f := range forms {
			first, _ := f.carrier(from)
			last, suffix := f.carrier(to)
			if last.Lo |= suffix; !yield(first, last) {
				return
			}
		}
	}
}

// carrier gives the address that carries v4, and the bits behind it. It is the reverse of
// translated.
func (t *translation) carrier(v4 uint32) (a flow.Addr6, suffix uint64) {
	a, v := t.addr, uint64(v4)
	switch t.bits {
	case 32:
		return flow.Addr6{Hi: a.Hi | v, Lo: a.Lo}, ^uint64(0)
	case 40:
		return flow.Addr6{Hi: a.Hi | v>>8, Lo: v & 0xff << 48}, 1<<48 - 1
	case 48:
		return flow.Addr6{Hi: a.Hi | v>>16, Lo: v & 0xffff << 40}, 1<<40 - 1
	case 56:
		return flow.Addr6{Hi: a.Hi | v>>24, Lo: v & 0xff_ffff << 32}, 1<<32 - 1
	case 64:
		return flow.Addr6{Hi: a.Hi, Lo: v << 24}, 1<<24 - 1
	}
	return flow.Addr6{Hi: a.Hi, Lo: a.Lo | v}, 0
}

// translated reads the IPv4 address behind a prefix of NAT64. It leaves out bits 64 to
// 71 whatever they are, as translators do (RFC 6052, 2.3).
func translated(a flow.Addr6, bits int) uint32 {
	switch bits {
	case 32:
		return uint32(a.Hi)
	case 40:
		return uint32(a.Hi)<<8 | uint32(a.Lo>>48)&0xff
	case 48:
		return uint32(a.Hi)<<16 | uint32(a.Lo>>40)&0xffff
	case 56:
		return uint32(a.Hi)<<24 | uint32(a.Lo>>32)&0xff_ffff
	case 64:
		return uint32(a.Lo >> 24)
	}
	return uint32(a.Lo)
}

// wellKnown reads an address of 64:ff9b::/32: of 64:ff9b::/96, or of 64:ff9b:1::/48. An
// operator may use any prefix of 48 bits or more in the latter. When it is not
// configured, the bits behind the IPv4 address show its length: they are zero. Addresses
// of 0.0.0.0/8 are nobody's, so they are not what was meant.
func wellKnown(a flow.Addr6) uint32 {
	if a.Hi == blockNAT64<<32 && a.Lo>>32 == 0 {
		return uint32(a.Lo)
	}
	if a.Hi>>16 != blockNAT64<<16|1 {
		return 0
	}
	if a.Lo>>56 == 0 {
		for _, l := range [...]struct{ bits, suffix int }{{48, 40}, {56, 32}, {64, 24}} {
			if v4 := translated(a, l.bits); a.Lo<<(64-l.suffix) == 0 && v4>>24 != 0 {
				return v4
			}
		}
	}
	return uint32(a.Lo)
}

// Blocks yields the first 32 bits of all that may carry an IPv4 address, apart from 6to4
// and ISATAP, see MayEmbed.
func (e *Embedding) Blocks(yield func(uint32) bool) {
	for _, b := range [...]uint32{blockZero, blockNAT64, blockTeredo} {
		if !yield(b) {
			return
		}
	}
	if e == nil {
		return
	}
	for i := range e.own {
		if !yield(uint32(e.own[i].addr.Hi >> 32)) {
			return
		}
	}
}

// MayEmbed gives 1 for an address of 6to4 or ISATAP, else 0, without a branch: both
// factors have less than 32 bits, so the product is zero when either is.
func MayEmbed(a flow.Addr6) uint64 {
	return ((a.Hi>>48^first6to4)*(a.Lo>>32&^universal^isatap) - 1) >> 63
}

// Equal reports whether both have the same prefixes.
func (e *Embedding) Equal(o *Embedding) bool {
	if e == nil || o == nil {
		return e == o
	}
	return slices.Equal(e.own, o.own)
}
