package template

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Fill sets what a record of templates contains, apart from its sampling rate and its
// packet sections.
func (f *Reader) Fill(r *flow.Record) {
	p := f.plan
	r.Template, r.PENs = p.ID, p.pens
	ends := f.addresses(r)
	f.flowNumbers(r, ends)
	f.connection(r)
	f.counters(r)
	f.translation(r)
	f.details(r)
	r.Start, r.End = f.Times()
	for _, o := range p.others {
		if a, ok := address(f.bytes(o)); ok && !a.IsUnspecified() {
			r.Other = append(r.Other, a)
		}
	}
}

// addresses finds the ends of the flow: the first pair that is not empty. A
// record may have an IPv4 pair and an IPv6 pair of which one is zero; a second
// pair that is not empty is that of an inner packet. Where the record names its IP
// version, a pair of the other one is what an earlier flow left there. It gives the
// number of the pair chosen.
func (f *Reader) addresses(r *flow.Record) (chosen int) {
	pairs := f.plan.pairs[groupEnds]
	stale := f.stale()
	chosen = -1
	for i := range pairs {
		if stale.of(pairs[i].v6) {
			continue
		}
		src, dst := f.pair(&pairs[i])
		switch {
		case chosen < 0 && !(Empty(src) && Empty(dst)):
			chosen, r.Src, r.Dst = i, src, dst
		case chosen >= 0 && !r.InnerSrc.IsValid() && !r.InnerDst.IsValid() && !(Empty(src) && Empty(dst)):
			r.InnerSrc, r.InnerDst = src, dst
			f.innerNumbers(r, i)
		}
	}
	if chosen < 0 && len(pairs) > 0 {
		r.Src, r.Dst = f.pair(&pairs[0])
		chosen = 0
	}
	return chosen
}

// A family is a set of IP versions.
type family uint8

const (
	family4 family = 1 << iota
	family6
)

// of reports whether a version is in the set.
func (f family) of(v6 bool) bool {
	if v6 {
		return f&family6 != 0
	}
	return f&family4 != 0
}

// stale gives the IP version whose addresses in the record belong to no packet of the
// flow: the one that ipVersion (60) does not name, where there are addresses of the one
// that it does.
func (f *Reader) stale() (stale family) {
	var named, there family
	for _, n := range f.plan.number(tIPVersion) {
		switch v, _ := f.uint(n.ref); v {
		case 4:
			named |= family4
		case 6:
			named |= family6
		}
	}
	if named != family4 && named != family6 {
		return 0
	}
	for _, g := range [...]group{groupEnds, groupClient} {
		pairs := f.plan.pairs[g]
		for i := range pairs {
			switch src, dst := f.pair(&pairs[i]); {
			case Empty(src) && Empty(dst):
			case pairs[i].v6:
				there |= family6
			default:
				there |= family4
			}
		}
	}
	if there&named == 0 {
		return 0
	}
	return (family4 | family6) &^ named
}

// connection reads client and server of a connection (Cisco AVC). They are the ends of
// the flow where it has no others, the client being the source unless the destination
// is named as the initiator.
func (f *Reader) connection(r *flow.Record) {
	pairs := f.plan.pairs[groupClient]
	if len(pairs) == 0 {
		return
	}
	stale := f.stale()
	for i := range pairs {
		src, dst := f.pair(&pairs[i])
		if stale.of(pairs[i].v6) || Empty(src) && Empty(dst) {
			continue
		}
		srcPort, _, hasSrc := f.value(tClientPort)
		dstPort, _, hasDst := f.value(tServerPort)
		if v, _, ok := f.value(tBiflowDirection); ok && v == biflowByDestination {
			src, dst = dst, src
			srcPort, hasSrc, dstPort, hasDst = dstPort, hasDst, srcPort, hasSrc
		}
		f.connectionEnds(r, src, dst)
		if r.Src != src || r.Dst != dst {
			return
		}
		if hasSrc && r.Has&flow.HasSrcPort == 0 {
			r.SrcPort, r.Has = uint16(srcPort), r.Has|flow.HasSrcPort
		}
		if hasDst && r.Has&flow.HasDstPort == 0 {
			r.DstPort, r.Has = uint16(dstPort), r.Has|flow.HasDstPort
		}
		return
	}
}

// biflowByDestination is the value of biflowDirection (239) where the destination of the
// flow opened the connection (RFC 5103 6.3: the reverse initiator).
const biflowByDestination = 2

// connectionEnds puts the two ends of a connection where the record has room: they are
// the ends of the flow, or those of a translation or tunnel when the flow has others.
func (f *Reader) connectionEnds(r *flow.Record, src, dst netip.Addr) {
	switch {
	case Empty(r.Src) && Empty(r.Dst):
		r.Src, r.Dst = src, dst
	case Empty(r.Src) && (Empty(src) || r.Dst == dst):
		r.Src = src
	case Empty(r.Dst) && (Empty(dst) || r.Src == src):
		r.Dst = dst
	case (r.Src == src || Empty(src)) && (r.Dst == dst || Empty(dst)):
	case r.Src == dst && r.Dst == src: // the flow is the way back
	case Empty(r.InnerSrc) && Empty(r.InnerDst):
		r.InnerSrc, r.InnerDst = src, dst
	}
}

// pair reads a pair of addresses.
func (f *Reader) pair(p *pair) (src, dst netip.Addr) {
	if p.hasSrc {
		src, _ = address(f.bytes(p.src))
	}
	if p.hasDst {
		dst, _ = address(f.bytes(p.dst))
	}
	return src, dst
}

// Empty reports whether an address is absent or all zero.
func Empty(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }

// address reads an address of 4 or 16 bytes, unmapped.
func address(b []byte) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}

// value finds the number of a target: that of the element which comes first in
// rank among those that are there. Where the element is repeated in the record,
// its first value that is not zero counts.
func (f *Reader) value(t target) (v uint64, ie uint16, ok bool) {
	for _, n := range f.plan.number(t) {
		if ok && n.ref.ie != ie {
			break
		}
		if x, good := f.uint(n.ref); good && (!ok || v == 0) {
			v, ie, ok = x, n.ref.ie, true
		}
	}
	return v, ie, ok
}

// port finds a port. UDP and TCP ports have elements of their own beside the one
// for all transports, and a record may have them all: the one that is not zero
// counts.
func (f *Reader) port(t target) (v uint64, ok bool) {
	for _, n := range f.plan.number(t) {
		if x, good := f.uint(n.ref); good && (!ok || v == 0) {
			v, ok = x, true
		}
	}
	return v, ok
}

// own finds the number of one address pair: when a field stands in the record as
// often as there are pairs, each pair has its own.
func (f *Reader) own(t target, pair int) (uint64, bool) {
	refs, pairs := f.plan.number(t), len(f.plan.pairs[groupEnds])
	if pairs > 1 && len(refs) == pairs && pair >= 0 && refs[0].ref.ie == refs[pairs-1].ref.ie {
		return f.uint(refs[pair].ref)
	}
	return 0, false
}

// paired finds a number that belongs to the address pair that was chosen: its own
// or the only one.
func (f *Reader) paired(t target, pair int) (uint64, bool) {
	if v, ok := f.own(t, pair); ok {
		return v, true
	}
	return f.port(t)
}

// flowNumbers reads ports and protocol of the pair that was chosen.
func (f *Reader) flowNumbers(r *flow.Record, pair int) {
	if v, ok := f.paired(tSrcPort, pair); ok {
		r.SrcPort, r.Has = uint16(v), r.Has|flow.HasSrcPort
	}
	if v, ok := f.paired(tDstPort, pair); ok {
		r.DstPort, r.Has = uint16(v), r.Has|flow.HasDstPort
	}
	if v, ok := f.paired(tProtocol, pair); ok {
		r.Protocol, r.Has = uint8(v), r.Has|flow.HasProtocol
	}
}

// innerNumbers reads ports and protocol of a further pair: only fields that stand
// in the record once for each pair can be determined apart.
func (f *Reader) innerNumbers(r *flow.Record, pair int) {
	src, hasSrc := f.own(tSrcPort, pair)
	dst, hasDst := f.own(tDstPort, pair)
	if hasSrc && hasDst {
		r.InnerSrcPort, r.InnerDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasInnerPorts
	}
	if v, ok := f.own(tProtocol, pair); ok {
		r.InnerProtocol, r.Has = uint8(v), r.Has|flow.HasInnerProtocol
	}
}

// counters reads bytes, packets and TCP flags, of both ways where they are.
func (f *Reader) counters(r *flow.Record) {
	var ok bool
	if r.Bytes, r.BytesIE, ok = f.value(tBytes); ok {
		r.Has |= flow.HasBytes
	}
	if r.Packets, r.PacketsIE, ok = f.value(tPackets); ok {
		r.Has |= flow.HasPackets
	}
	if v, _, ok := f.value(tTCPFlags); ok {
		r.TCPFlags, r.Has = uint16(v), r.Has|flow.HasTCPFlags
	}
	var ie uint16
	if r.RevBytes, ie, ok = f.value(tRevBytes); ok {
		r.Has |= flow.HasRevBytes
		r.Totals |= totalOf(ie, flow.TotalRevBytes)
	}
	if r.RevPackets, ie, ok = f.value(tRevPackets); ok {
		r.Has |= flow.HasRevPackets
		r.Totals |= totalOf(ie, flow.TotalRevPackets)
	}
	r.Totals |= totalOf(r.BytesIE, flow.TotalBytes) | totalOf(r.PacketsIE, flow.TotalPackets)
	if v, _, ok := f.value(tRevTCPFlags); ok {
		r.RevTCPFlags, r.Has = uint16(v), r.Has|flow.HasRevTCPFlags
	}
	if r.RespBytes, _, ok = f.value(tRespBytes); ok {
		r.Has |= flow.HasRespBytes
	}
	if r.RespPackets, _, ok = f.value(tRespPackets); ok {
		r.Has |= flow.HasRespPackets
	}
}

// totalOf gives the bit when an element is a total counter.
func totalOf(ie uint16, bit flow.Totals) flow.Totals {
	switch ie {
	case 85, 86, 353:
		return bit
	}
	return 0
}

// translation reads the addresses and ports after NAT, and the inner flow of an
// overlay network.
func (f *Reader) translation(r *flow.Record) {
	for i := range f.plan.pairs[groupNAT] {
		src, dst := f.pair(&f.plan.pairs[groupNAT][i])
		if Empty(r.PostNATSrc) && src.IsValid() {
			r.PostNATSrc = src
		}
		if Empty(r.PostNATDst) && dst.IsValid() {
			r.PostNATDst = dst
		}
	}
	src, _, hasSrc := f.value(tNATSrcPort)
	dst, _, hasDst := f.value(tNATDstPort)
	if hasSrc || hasDst {
		r.PostNATSrcPort, r.PostNATDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasPostNATPorts
	}
	for i := range f.plan.pairs[groupTenant] {
		src, dst := f.pair(&f.plan.pairs[groupTenant][i])
		if Empty(r.InnerSrc) && Empty(r.InnerDst) && !(Empty(src) && Empty(dst)) {
			r.InnerSrc, r.InnerDst = src, dst
			f.tenantNumbers(r)
		}
	}
}

func (f *Reader) tenantNumbers(r *flow.Record) {
	src, _, hasSrc := f.value(tInnerSrcPort)
	dst, _, hasDst := f.value(tInnerDstPort)
	if hasSrc && hasDst {
		r.InnerSrcPort, r.InnerDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasInnerPorts
	}
	if v, _, ok := f.value(tInnerProtocol); ok {
		r.InnerProtocol, r.Has = uint8(v), r.Has|flow.HasInnerProtocol
	}
}

// details reads the numbers that are only shown or that judge the flow.
func (f *Reader) details(r *flow.Record) {
	number := func(t target, has flow.Fields, set func(uint64)) {
		if v, _, ok := f.value(t); ok {
			set(v)
			r.Has |= has
		}
	}
	number(tInIf, flow.HasInIf, func(v uint64) { r.InIf = uint32(v) })
	number(tOutIf, flow.HasOutIf, func(v uint64) { r.OutIf = uint32(v) })
	number(tSrcAS, flow.HasSrcAS, func(v uint64) { r.SrcAS = uint32(v) })
	number(tDstAS, flow.HasDstAS, func(v uint64) { r.DstAS = uint32(v) })
	number(tDirection, flow.HasDirection, func(v uint64) { r.Direction = uint8(v) })
	number(tNATEvent, flow.HasNATEvent, func(v uint64) { r.NATEvent = uint8(v) })
	number(tFirewallEvent, flow.HasFirewallEvent, func(v uint64) { r.FirewallEvent = uint8(v) })
	number(tForwarding, flow.HasForwarding, func(v uint64) { r.Forwarding = uint8(v) })
	number(tFlowEndReason, flow.HasFlowEndReason, func(v uint64) { r.FlowEndReason = uint8(v) })
	number(tBiflowDirection, flow.HasBiflowDirection, func(v uint64) { r.BiflowDirection = uint8(v) })
	number(tFrameSize, flow.HasFrameSize, func(v uint64) { r.FrameSize = uint32(v) })
	f.icmp(r)
}

// icmp reads type and code of ICMP: by the elements of the flow's own family where the
// template has those of both, of which one is empty then.
func (f *Reader) icmp(r *flow.Record) {
	v6 := r.Protocol == flow.ProtocolICMPv6 || r.Protocol != flow.ProtocolICMP && r.Src.Is6()
	if v, ok := f.icmpOf(r.Protocol, v6); ok {
		r.ICMPTypeCode, r.Has = v, r.Has|flow.HasICMP
	}
}

// ICMP gives type * 256 + code of a record of ICMP or ICMPv6.
func (f *Reader) ICMP(protocol uint8) (code uint16, ok bool) {
	return f.icmpOf(protocol, protocol == flow.ProtocolICMPv6)
}

func (f *Reader) icmpOf(protocol uint8, v6 bool) (code uint16, ok bool) {
	if v, good := f.ofFamily(tICMP, v6); good {
		code, ok = uint16(v), true
		if f.has(tICMP, v6) || !f.has(tICMPType, v6) {
			return code, true
		}
	}
	if protocol != flow.ProtocolICMP && protocol != flow.ProtocolICMPv6 {
		return code, ok
	}
	if v, good := f.ofFamily(tICMPType, v6); good {
		code, ok = uint16(v)<<8, true
		if v, good := f.ofFamily(tICMPCode, v6); good {
			code |= uint16(v) & 0xff
		}
	}
	return code, ok
}

// familyRank gives the rank of the elements of a family among those of ICMP.
func familyRank(v6 bool) uint8 {
	if v6 {
		return 1
	}
	return 0
}

// has reports whether the template has an element of ICMP of this family.
func (f *Reader) has(t target, v6 bool) bool {
	for _, n := range f.plan.number(t) {
		if n.rank == familyRank(v6) {
			return true
		}
	}
	return false
}

// ofFamily reads an element of ICMP: that of the family, else the one that is there.
func (f *Reader) ofFamily(t target, v6 bool) (v uint64, ok bool) {
	for _, n := range f.plan.number(t) {
		x, good := f.uint(n.ref)
		if good && n.rank == familyRank(v6) {
			return x, true
		}
		if good && !ok {
			v, ok = x, true
		}
	}
	return v, ok
}
