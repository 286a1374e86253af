package decode

import (
	"math"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
)

// recordTemplate fills r from the i-th record of a v9 or IPFIX set.
func (s *Set) recordTemplate(i int, r *flow.Record) {
	s.seek(i)
	p := s.plan
	r.Template, r.PENs = p.id, p.pens
	ends := s.addresses(r)
	s.flowNumbers(r, ends)
	s.connection(r)
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
// pair that is not empty is that of an inner packet. Where the record names its IP
// version, a pair of the other one is what an earlier flow left there. It gives the
// number of the pair chosen.
func (s *Set) addresses(r *flow.Record) (chosen int) {
	pairs := s.plan.pairs[groupEnds]
	stale := s.stale()
	chosen = -1
	for i := range pairs {
		if stale.of(pairs[i].v6) {
			continue
		}
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
func (s *Set) stale() (stale family) {
	var named, there family
	for _, n := range s.plan.number(tIPVersion) {
		switch v, _ := s.cur.uint(n.ref); v {
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
		pairs := s.plan.pairs[g]
		for i := range pairs {
			switch src, dst := s.pair(&pairs[i]); {
			case empty(src) && empty(dst):
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
func (s *Set) connection(r *flow.Record) {
	pairs := s.plan.pairs[groupClient]
	if len(pairs) == 0 {
		return
	}
	stale := s.stale()
	for i := range pairs {
		src, dst := s.pair(&pairs[i])
		if stale.of(pairs[i].v6) || empty(src) && empty(dst) {
			continue
		}
		srcPort, _, hasSrc := s.value(tClientPort)
		dstPort, _, hasDst := s.value(tServerPort)
		if v, _, ok := s.value(tBiflowDirection); ok && v == biflowByDestination {
			src, dst = dst, src
			srcPort, hasSrc, dstPort, hasDst = dstPort, hasDst, srcPort, hasSrc
		}
		s.connectionEnds(r, src, dst)
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
func (s *Set) connectionEnds(r *flow.Record, src, dst netip.Addr) {
	switch {
	case empty(r.Src) && empty(r.Dst):
		r.Src, r.Dst = src, dst
	case empty(r.Src) && (empty(src) || r.Dst == dst):
		r.Src = src
	case empty(r.Dst) && (empty(dst) || r.Src == src):
		r.Dst = dst
	case (r.Src == src || empty(src)) && (r.Dst == dst || empty(dst)):
	case r.Src == dst && r.Dst == src: // the flow is the way back
	case empty(r.InnerSrc) && empty(r.InnerDst):
		r.InnerSrc, r.InnerDst = src, dst
	}
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
	var ie uint16
	if r.RevBytes, ie, ok = s.value(tRevBytes); ok {
		r.Has |= flow.HasRevBytes
		r.Totals |= totalOf(ie, flow.TotalRevBytes)
	}
	if r.RevPackets, ie, ok = s.value(tRevPackets); ok {
		r.Has |= flow.HasRevPackets
		r.Totals |= totalOf(ie, flow.TotalRevPackets)
	}
	r.Totals |= totalOf(r.BytesIE, flow.TotalBytes) | totalOf(r.PacketsIE, flow.TotalPackets)
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
	number(tFlowEndReason, flow.HasFlowEndReason, func(v uint64) { r.FlowEndReason = uint8(v) })
	number(tBiflowDirection, flow.HasBiflowDirection, func(v uint64) { r.BiflowDirection = uint8(v) })
	number(tFrameSize, flow.HasFrameSize, func(v uint64) { r.FrameSize = uint32(v) })
	s.icmp(r)
}

// icmp reads type and code of ICMP: by the elements of the flow's own family where the
// template has those of both, of which one is empty then.
func (s *Set) icmp(r *flow.Record) {
	v6 := r.Protocol == flow.ProtocolICMPv6 || r.Protocol != flow.ProtocolICMP && r.Src.Is6()
	if v, ok := s.ofFamily(tICMP, v6); ok {
		r.ICMPTypeCode, r.Has = uint16(v), r.Has|flow.HasICMP
		if s.has(tICMP, v6) || !s.has(tICMPType, v6) {
			return
		}
	}
	if r.Protocol != flow.ProtocolICMP && r.Protocol != flow.ProtocolICMPv6 {
		return
	}
	if v, ok := s.ofFamily(tICMPType, v6); ok {
		r.ICMPTypeCode, r.Has = uint16(v)<<8, r.Has|flow.HasICMP
		if v, ok := s.ofFamily(tICMPCode, v6); ok {
			r.ICMPTypeCode |= uint16(v) & 0xff
		}
	}
}

// familyRank gives the rank of the elements of a family among those of ICMP.
func familyRank(v6 bool) uint8 {
	if v6 {
		return 1
	}
	return 0
}

// has reports whether the template has an element of ICMP of this family.
func (s *Set) has(t target, v6 bool) bool {
	for _, n := range s.plan.number(t) {
		if n.rank == familyRank(v6) {
			return true
		}
	}
	return false
}

// ofFamily reads an element of ICMP: that of the family, else the one that is there.
func (s *Set) ofFamily(t target, v6 bool) (v uint64, ok bool) {
	for _, n := range s.plan.number(t) {
		x, good := s.cur.uint(n.ref)
		if good && n.rank == familyRank(v6) {
			return x, true
		}
		if good && !ok {
			v, ok = x, true
		}
	}
	return v, ok
}

// rate finds the sampling rate: what the record says itself, else what its
// sampler was announced with, in its own domain or in another of the exporter, until the
// end of the datagram that the record came in.
func (s *Set) rate(r *flow.Record) {
	r.Rate = 1
	if rate, told := s.sampled(); told {
		r.Sampling, r.Has = rate, r.Has|flow.HasSampling
		if r.Rate = rate; rate != 0 {
			return
		}
		s.tally.count(reasonSampling)
	}
	if s.stream == nil {
		return
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if s.stream.samplers.Empty() && s.from.samplers.Empty() {
		return
	}
	key := sampling.Of(r)
	if id, _, ok := s.value(tSampler); ok {
		key.Sampler(id)
	}
	if card, _, ok := s.value(tCard); ok {
		key.Card(card)
	}
	if rate, from, ok := sampling.Find(&s.stream.samplers, &s.from.samplers, key); ok {
		r.Rate, r.RateFrom = rate, from
	}
}

// sampled gives the rate that the record at the cursor contains itself.
func (s *Set) sampled() (rate uint32, told bool) {
	var e sampling.Elements
	for _, f := range s.plan.rates {
		b := s.cur.bytes(f)
		if v, ok := number(b); ok {
			e.Add(f.ie, v, len(b))
		}
	}
	return e.Rate()
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
	case 154, 155, 324:
		return ntp(v&^0x7ff, time.Microsecond), width == 8 && v != 0 // the low 11 bits say nothing
	case 156, 157, 325:
		return ntp(v, time.Nanosecond), width == 8 && v != 0
	case 158, 159:
		return time.UnixMilli(s.export).Add(-time.Duration(v) * time.Microsecond), v < 1<<40
	}
	return s.uptimeMoment(v, width)
}

// uptimeMoment turns elements 21 and 22 into a time. In v9 they count against
// the sysUptime of the header, in IPFIX from systemInitTimeMilliseconds (160) of
// the record or of earlier options data; without that nothing can be told. They are 32
// bits wide and begin anew every 49.7 days, which the init time does not: their age
// against the time of export is what they say.
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
		if init = uint64(s.initTime()); init == 0 {
			return time.Time{}, false
		}
	}
	age := s.export - int64(init) - int64(v)
	if age > math.MaxInt32 { // the other way round there is no turn to be missed
		age = int64(int32(uint32(age)))
	}
	return time.UnixMilli(s.export - age), init < 1<<62
}

// initTime gives the time when the exporter started, ms since 1970, as options data
// announced it: for the domain of the record; for domain 0, which stands for the whole of
// the exporting process (RFC 7011 3.1); or for any other domain, as there is only one
// such time of a device. It is 0 when it is not known.
func (s *Set) initTime() int64 {
	if s.stream == nil {
		return 0
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if s.stream.init != 0 {
		return s.stream.init
	}
	key := s.stream.key
	key.domain = 0
	if whole := s.from.streams[key]; whole != nil && whole.init != 0 {
		return whole.init
	}
	if s.from.split {
		return 0 // of whichever process
	}
	return s.from.init
}
