package decode

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// recordTemplate fills r from the i-th record of a v9 or IPFIX set.
func (s *Set) recordTemplate(i int, r *flow.Record) {
	s.seek(i)
	p := s.plan
	r.Template, r.PENs = p.id, p.pens
	ends := s.addresses(r)
	s.flowNumbers(r, ends)
	s.counters(r)
	s.translation(r)
	s.details(r)
	s.times(r)
	s.rate(r)
	s.fromSection(r)
	for _, o := range p.others {
		if a, ok := address(s.cur.bytes(o)); ok && !a.IsUnspecified() {
			r.Other = append(r.Other, a)
		}
	}
}

// addresses finds the ends of the flow: the first pair that is not empty. A
// record may have an IPv4 pair and an IPv6 pair of which one is zero; a second
// pair that is not empty is that of an inner packet. It gives the number of the
// pair chosen.
func (s *Set) addresses(r *flow.Record) (chosen int) {
	pairs := s.plan.pairs[groupEnds]
	chosen = -1
	for i := range pairs {
		src, dst := s.pair(&pairs[i])
		switch {
		case chosen < 0 && !(empty(src) && empty(dst)):
			chosen, r.Src, r.Dst = i, src, dst
		case chosen >= 0 && !r.InnerSrc.IsValid() && !r.InnerDst.IsValid() && !(empty(src) && empty(dst)):
			r.InnerSrc, r.InnerDst = src, dst
			s.innerNumbers(r, i)
		}
	}
	if chosen < 0 && len(pairs) > 0 {
		r.Src, r.Dst = s.pair(&pairs[0])
		chosen = 0
	}
	return chosen
}

// pair reads a pair of addresses.
func (s *Set) pair(p *pair) (src, dst netip.Addr) {
	if p.hasSrc {
		src, _ = address(s.cur.bytes(p.src))
	}
	if p.hasDst {
		dst, _ = address(s.cur.bytes(p.dst))
	}
	return src, dst
}

// empty reports whether an address is absent or all zero.
func empty(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }

// address reads an address of 4 or 16 bytes, unmapped.
func address(b []byte) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}

// value finds the number of a target: that of the element which comes first in
// rank among those that are there. Where the element is repeated in the record,
// its first value that is not zero counts.
func (s *Set) value(t target) (v uint64, ie uint16, ok bool) {
	for _, n := range s.plan.number(t) {
		if ok && n.ref.ie != ie {
			break
		}
		if x, good := s.cur.uint(n.ref); good && (!ok || v == 0) {
			v, ie, ok = x, n.ref.ie, true
		}
	}
	return v, ie, ok
}

// port finds a port. UDP and TCP ports have elements of their own beside the one
// for all transports, and a record may have them all: the one that is not zero
// counts.
func (s *Set) port(t target) (v uint64, ok bool) {
	for _, n := range s.plan.number(t) {
		if x, good := s.cur.uint(n.ref); good && (!ok || v == 0) {
			v, ok = x, true
		}
	}
	return v, ok
}

// own finds the number of one address pair: when a field stands in the record as
// often as there are pairs, each pair has its own.
func (s *Set) own(t target, pair int) (uint64, bool) {
	refs, pairs := s.plan.number(t), len(s.plan.pairs[groupEnds])
	if pairs > 1 && len(refs) == pairs && pair >= 0 && refs[0].ref.ie == refs[pairs-1].ref.ie {
		return s.cur.uint(refs[pair].ref)
	}
	return 0, false
}

// paired finds a number that belongs to the address pair that was chosen: its own
// or the only one.
func (s *Set) paired(t target, pair int) (uint64, bool) {
	if v, ok := s.own(t, pair); ok {
		return v, true
	}
	return s.port(t)
}

// flowNumbers reads ports and protocol of the pair that was chosen.
func (s *Set) flowNumbers(r *flow.Record, pair int) {
	if v, ok := s.paired(tSrcPort, pair); ok {
		r.SrcPort, r.Has = uint16(v), r.Has|flow.HasSrcPort
	}
	if v, ok := s.paired(tDstPort, pair); ok {
		r.DstPort, r.Has = uint16(v), r.Has|flow.HasDstPort
	}
	if v, ok := s.paired(tProtocol, pair); ok {
		r.Protocol, r.Has = uint8(v), r.Has|flow.HasProtocol
	}
}

// innerNumbers reads ports and protocol of a further pair: only fields that stand
// in the record once for each pair can be told apart.
func (s *Set) innerNumbers(r *flow.Record, pair int) {
	src, hasSrc := s.own(tSrcPort, pair)
	dst, hasDst := s.own(tDstPort, pair)
	if hasSrc && hasDst {
		r.InnerSrcPort, r.InnerDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasInnerPorts
	}
	if v, ok := s.own(tProtocol, pair); ok {
		r.InnerProtocol, r.Has = uint8(v), r.Has|flow.HasInnerProtocol
	}
}

// counters reads bytes, packets and TCP flags, of both ways where they are.
func (s *Set) counters(r *flow.Record) {
	var ok bool
	if r.Bytes, r.BytesIE, ok = s.value(tBytes); ok {
		r.Has |= flow.HasBytes
	}
	if r.Packets, r.PacketsIE, ok = s.value(tPackets); ok {
		r.Has |= flow.HasPackets
	}
	if v, _, ok := s.value(tTCPFlags); ok {
		r.TCPFlags, r.Has = uint16(v), r.Has|flow.HasTCPFlags
	}
	if r.RevBytes, _, ok = s.value(tRevBytes); ok {
		r.Has |= flow.HasRevBytes
	}
	if r.RevPackets, _, ok = s.value(tRevPackets); ok {
		r.Has |= flow.HasRevPackets
	}
	if v, _, ok := s.value(tRevTCPFlags); ok {
		r.RevTCPFlags, r.Has = uint16(v), r.Has|flow.HasRevTCPFlags
	}
	if r.RespBytes, _, ok = s.value(tRespBytes); ok {
		r.Has |= flow.HasRespBytes
	}
	if r.RespPackets, _, ok = s.value(tRespPackets); ok {
		r.Has |= flow.HasRespPackets
	}
}

// translation reads the addresses and ports after NAT, and the inner flow of an
// overlay network.
func (s *Set) translation(r *flow.Record) {
	for i := range s.plan.pairs[groupNAT] {
		src, dst := s.pair(&s.plan.pairs[groupNAT][i])
		if empty(r.PostNATSrc) && src.IsValid() {
			r.PostNATSrc = src
		}
		if empty(r.PostNATDst) && dst.IsValid() {
			r.PostNATDst = dst
		}
	}
	src, _, hasSrc := s.value(tNATSrcPort)
	dst, _, hasDst := s.value(tNATDstPort)
	if hasSrc || hasDst {
		r.PostNATSrcPort, r.PostNATDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasPostNATPorts
	}
	for i := range s.plan.pairs[groupTenant] {
		src, dst := s.pair(&s.plan.pairs[groupTenant][i])
		if empty(r.InnerSrc) && empty(r.InnerDst) && !(empty(src) && empty(dst)) {
			r.InnerSrc, r.InnerDst = src, dst
			s.tenantNumbers(r)
		}
	}
}

func (s *Set) tenantNumbers(r *flow.Record) {
	src, _, hasSrc := s.value(tInnerSrcPort)
	dst, _, hasDst := s.value(tInnerDstPort)
	if hasSrc && hasDst {
		r.InnerSrcPort, r.InnerDstPort, r.Has = uint16(src), uint16(dst), r.Has|flow.HasInnerPorts
	}
	if v, _, ok := s.value(tInnerProtocol); ok {
		r.InnerProtocol, r.Has = uint8(v), r.Has|flow.HasInnerProtocol
	}
}

// details reads the numbers that are only shown or that judge the flow.
func (s *Set) details(r *flow.Record) {
	number := func(t target, has flow.Fields, set func(uint64)) {
		if v, _, ok := s.value(t); ok {
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
	number(tICMP, flow.HasICMP, func(v uint64) { r.ICMPTypeCode = uint16(v) })
	number(tFlowEndReason, flow.HasFlowEndReason, func(v uint64) { r.FlowEndReason = uint8(v) })
	number(tBiflowDirection, flow.HasBiflowDirection, func(v uint64) { r.BiflowDirection = uint8(v) })
	number(tFrameSize, flow.HasFrameSize, func(v uint64) { r.FrameSize = uint32(v) })
	if r.Has&flow.HasICMP == 0 && (r.Protocol == protoICMP || r.Protocol == protoICMPv6) {
		number(tICMPType, flow.HasICMP, func(v uint64) { r.ICMPTypeCode = uint16(v) << 8 })
		number(tICMPCode, 0, func(v uint64) { r.ICMPTypeCode |= uint16(v) & 0xff })
	}
}

// rate finds the sampling rate: what the record says itself, else what its
// sampler was announced with, in its own domain or in another of the exporter.
func (s *Set) rate(r *flow.Record) {
	var rates rateElements
	for _, f := range s.plan.rates {
		rates.add(f.ie, s.cur.bytes(f))
	}
	r.Rate = 1
	if rate, told := rates.rate(); told {
		r.Sampling, r.Has = rate, r.Has|flow.HasSampling
		if r.Rate = rate; rate != 0 {
			return
		}
		s.tally.count(reasonSampling)
	}
	id, _, hasID := s.value(tSampler)
	if s.stream == nil {
		return
	}
	if rate, ok := s.stream.samplers.rate(id, hasID); ok {
		r.Rate = rate
		return
	}
	if rate, ok := s.from.samplers.rate(id, hasID); ok {
		r.Rate = rate
	}
}

// times finds start and end of the flow, each by the best element that is there;
// a record with the time of an event only gets that for both.
func (s *Set) times(r *flow.Record) {
	r.Start, r.End = s.time(tStart), s.time(tEnd)
	if r.Start.IsZero() && r.End.IsZero() {
		r.Start = s.time(tEvent)
		r.End = r.Start
	}
}

// time reads the first time of a target that is there.
func (s *Set) time(t target) time.Time {
	for _, n := range s.plan.number(t) {
		b := s.cur.bytes(n.ref)
		if v, ok := number(b); ok {
			if at, ok := s.moment(n.ref.ie, v, len(b)); ok {
				return at
			}
		}
	}
	return time.Time{}
}

// moment turns the value of a time element into a time (RFC 7011 6.1.7-6.1.10).
func (s *Set) moment(ie uint16, v uint64, width int) (time.Time, bool) {
	switch ie {
	case 152, 153, 323:
		return time.UnixMilli(int64(v)), v != 0 && v < 1<<62
	case 150, 151, 322:
		return time.Unix(int64(v), 0), v != 0 && v < 1<<40
	case 154, 155:
		return ntp(v &^ 0x7ff), width == 8 && v != 0 // the low 11 bits say nothing
	case 156, 157:
		return ntp(v), width == 8 && v != 0
	case 158, 159:
		return time.UnixMilli(s.export).Add(-time.Duration(v) * time.Microsecond), v < 1<<40
	}
	return s.uptimeMoment(v, width)
}

// uptimeMoment turns elements 21 and 22 into a time. In v9 they count against
// the sysUptime of the header, in IPFIX from systemInitTimeMilliseconds (160) of
// the record or of earlier options data; without that nothing can be told.
func (s *Set) uptimeMoment(v uint64, width int) (time.Time, bool) {
	if width > 4 && v > 1<<32 {
		// NX-OS has 8 bytes there, and in them ms since 1970.
		return time.UnixMilli(int64(v)), v < 1<<62
	}
	if s.exporter.Version == flow.V9 {
		return s.switched(v), true
	}
	init, _, ok := s.value(tInit)
	if !ok || init == 0 {
		if s.stream == nil || s.stream.init == 0 {
			return time.Time{}, false
		}
		init = uint64(s.stream.init)
	}
	return time.UnixMilli(int64(init + v)), init < 1<<62
}
