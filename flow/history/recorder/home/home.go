// Package home decides which ends of a flow are ours. It asks for two addresses at once, as
// flows have them, and answers for most pairs of IPv4 addresses by a table of two bits for
// each 16 bits that an address may begin with. It also chooses the ends of a flow that was
// translated, and looks up excluded networks in the same kind of table.
package home

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Side is which ends of a flow are ours: bit 0 is the source, bit 1 the destination.
type Side uint8

// The sides.
const (
	Neither Side = iota
	Source
	Destination
	Both
)

// A Home has the networks that are ours at one site. It never changes.
type Home struct {
	networks *Networks
	carried  func(netip.Addr) bool
}

// New makes a home of networks, which several may share. What carried reports is ours, too, as it carries an IPv4
// address that is (NAT64 and the like); it is called by all workers at once, for IPv6
// addresses that are in none of the networks. nil = there are none.
func New(networks *Networks, carried func(netip.Addr) bool) Home { return Home{networks, carried} }

// Sides gives which ends of a pair are ours. An end that is ours only by the IPv4 address
// that it carries is ours when the other end is not: strangers choose what their addresses
// carry. Of two such ends neither is.
func (h *Home) Sides(src, dst flow.Addr6) Side {
	n := h.networks
	if src.Is4() && dst.Is4() {
		s, d := uint32(src.Lo), uint32(dst.Lo)
		sBit, dBit := uint(s>>16&63), uint(d>>16&63)
		some := n.v4.some[s>>22]>>sBit&1 | n.v4.some[d>>22]>>dBit&1<<1
		all := n.v4.all[s>>22]>>sBit&1 | n.v4.all[d>>22]>>dBit&1<<1
		if some == all {
			return Side(all)
		}
	}
	return h.look(src, dst)
}

// look is Sides for pairs that need more than their first bits.
func (h *Home) look(src, dst flow.Addr6) Side {
	var o Side
	if h.networks.Contains(src) {
		o = Source
	}
	if h.networks.Contains(dst) {
		o |= Destination
	}
	if o != Neither {
		return o
	}
	s, d := h.carries(src), h.carries(dst)
	switch {
	case s && !d:
		return Source
	case d && !s:
		return Destination
	}
	return Neither
}

// carries reports whether an address that is not in the networks is ours all the same.
func (h *Home) carries(a flow.Addr6) bool { return !a.Is4() && h.carried != nil && h.carried(a.Addr()) }

// Ends are both ends of a flow with their ports.
type Ends struct {
	Src, Dst         flow.Addr6
	SrcPort, DstPort uint16
}

// Translated finds the ends of a flow of which post are the ends after translation, zero
// where there is none, as hits do it: the source is that before translation, the destination
// that after it. Either side of a translation may be what is ours. A flow of ours that is
// redirected to a host of ours, such as a proxy, was for the end outside.
func (h *Home) Translated(e, post Ends) (src, dst flow.Addr6, srcPort, dstPort uint16, us Side) {
	var none flow.Addr6
	if e.Src == none {
		e.Src, e.SrcPort = post.Src, cmp.Or(post.SrcPort, e.SrcPort)
	}
	before := e
	if post.Dst != none {
		e.Dst, e.DstPort = post.Dst, cmp.Or(post.DstPort, e.DstPort)
	}
	in := h.networks.Contains
	switch {
	case e.Src == none || e.Dst == none:
		return e.Src, e.Dst, e.SrcPort, e.DstPort, Neither
	case !in(e.Src) && (in(e.Dst) || in(before.Dst)):
		return e.Src, e.Dst, e.SrcPort, e.DstPort, Destination
	case in(e.Src) || in(post.Src):
		if !in(e.Dst) {
			return e.Src, e.Dst, e.SrcPort, e.DstPort, Source
		}
		if before.Dst != none && !in(before.Dst) {
			return before.Src, before.Dst, before.SrcPort, before.DstPort, Source
		}
		return e.Src, e.Dst, e.SrcPort, e.DstPort, Both
	}
	s, d := h.carries(e.Src) || h.carries(post.Src), h.carries(e.Dst) || h.carries(before.Dst)
	switch {
	case s && !d:
		return e.Src, e.Dst, e.SrcPort, e.DstPort, Source
	case d && !s:
		return e.Src, e.Dst, e.SrcPort, e.DstPort, Destination
	}
	return e.Src, e.Dst, e.SrcPort, e.DstPort, Neither
}

// Elsewhere reports whether a flow that was redirected to an end outside was for another one,
// rather than for an IPv6 address that carries that one (NAT64).
func (h *Home) Elsewhere(before, after flow.Addr6) bool {
	return before != (flow.Addr6{}) && before != after && !h.networks.Contains(before) && (before.Is4() || !after.Is4() || uint32(before.Lo) != uint32(after.Lo))
}
