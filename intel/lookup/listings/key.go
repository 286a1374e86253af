package listings

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A key is the place of an entry in the order of a set. An IPv4 prefix stands
// in ::ffff:0:0/96, so that both families sort alike.
type key struct {
	addr  flow.Addr6
	entry uint32
	bits  uint8
}

// keyOf gives the key of an unmapped prefix.
func keyOf(p netip.Prefix, entry uint32) key {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return key{addr: flow.Addr6Of(p.Addr()), entry: entry, bits: uint8(bits)}
}

// is4 reports whether the key is of an IPv4 prefix: no IPv6 prefix of a set begins in
// the IPv4-mapped space, see intel.Canonical.
func (k *key) is4() bool { return k.addr.Hi == 0 && k.addr.Lo>>32 == 0xffff }

// prefix gives back the prefix of the key.
func (k *key) prefix() netip.Prefix {
	if k.is4() {
		return netip.PrefixFrom(flow.Addr4(uint32(k.addr.Lo)), int(k.bits)-96)
	}
	return netip.PrefixFrom(k.addr.Addr(), int(k.bits))
}

// same reports whether both keys are of the same prefix.
func (k *key) same(o *key) bool { return k.addr == o.addr && k.bits == o.bits }

func (k *key) compare(o *key) int {
	switch {
	case k.addr.Hi != o.addr.Hi:
		return cmp.Compare(k.addr.Hi, o.addr.Hi)
	case k.addr.Lo != o.addr.Lo:
		return cmp.Compare(k.addr.Lo, o.addr.Lo)
	}
	return cmp.Compare(k.bits, o.bits)
}
