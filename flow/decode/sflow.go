package decode

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// sFlow v5 (sflow.org, sflow_version_5.txt): sample and record formats of
// enterprise 0 that are read.
const (
	sampleFlow         = 1
	sampleFlowExpanded = 3
	sampleDiscarded    = 5

	recordRawHeader       = 1
	recordIPv4            = 3
	recordIPv6            = 4
	recordExtendedGateway = 1003
	recordExtendedNAT     = 1007
	recordExtendedNATPort = 1020
)

// Protocols of a raw header.
const (
	headerEthernet = 1
	headerPPP      = 7
	headerIPv4     = 11
	headerIPv6     = 12
	headerMPLS     = 13
)

// A sample is where a flow sample stands in the datagram, and of which format.
type sample struct {
	format uint32
	body   []byte
}

// xdr reads big-endian words off the front of a buffer. After the first read past
// the end everything is zero and bad is set.
type xdr struct {
	b   []byte
	bad bool
}

func (x *xdr) u32() uint32 {
	if len(x.b) < 4 {
		x.b, x.bad = nil, true
		return 0
	}
	v := binary.BigEndian.Uint32(x.b)
	x.b = x.b[4:]
	return v
}

// take gives n bytes, in XDR padded to a multiple of four.
func (x *xdr) take(n uint32) []byte {
	if uint64(n) > uint64(len(x.b)) {
		x.b, x.bad = nil, true
		return nil
	}
	b := x.b[:n]
	x.b = x.b[min(int(n+3)&^3, len(x.b)):]
	return b
}

// addr reads an address with its type in front: 0 unknown, 1 IPv4, 2 IPv6.
func (x *xdr) addr() netip.Addr {
	var a netip.Addr
	switch t := x.u32(); t {
	case 0:
	case 1:
		a, _ = netip.AddrFromSlice(x.take(4))
	case 2:
		a, _ = netip.AddrFromSlice(x.take(16))
	default:
		x.bad = true
	}
	return a.Unmap()
}

// sflow reads an sFlow datagram. Counts in it are never believed: samples and
// records are walked by their lengths, each within the bytes that are there.
func (d *Decoder) sflow(e *exporter, dg *flow.Datagram) {
	x := xdr{b: dg.Payload[4:]}
	agent := x.addr()
	sub, number, uptime, count := x.u32(), x.u32(), x.u32(), x.u32()
	if x.bad {
		d.count(reasonShort)
		return
	}
	s := &d.set
	s.reset()
	s.begin(dg, flow.Exporter{Version: flow.SFlow, Domain: sub, Agent: agent})
	s.from = e
	s.stream = d.enter(e, streamKey{version: flow.SFlow, domain: sub, agent: agent}, dg)
	d.follow(e, s.stream, dg, numbering{number: number, records: 1, uptime: uptime})
	for range count {
		format := x.u32()
		body := x.take(x.u32())
		if x.bad { // also when the count lies
			d.count(reasonSFlow)
			break
		}
		if format == sampleFlow || format == sampleFlowExpanded || format == sampleDiscarded {
			d.flowSample(s, sample{format, body})
		}
	}
	if !x.bad && !allZero(x.b) { // more than the count announces
		d.count(reasonSFlow)
	}
	if s.n > 0 {
		d.took(e, s.stream, s.n, dg.Received)
	}
}

// flowSample adds one sample to the set: its addresses behind the columns.
func (d *Decoder) flowSample(s *Set, sm sample) {
	var f flowSample
	if !f.read(sm) {
		d.count(reasonSFlow)
		if !f.head {
			return
		}
	}
	if sm.format != sampleDiscarded && (f.rate == 0 || f.rate > maxRate) {
		d.count(reasonSampling)
	}
	row := s.n
	s.samples = append(s.samples, sm)
	s.n++
	if f.packets.tunnelled() {
		if !s.shared.tunnels {
			f.packets.cut(1)
		}
		s.ownTunnels(&f.packets)
	}
	found := s.loosePackets(&f.packets, row)
	for _, a := range []netip.Addr{f.natSrc, f.natDst} {
		s.looseAddr(a, row)
	}
	if !found {
		s.withoutAddress++
	}
	if s.stream != nil {
		if f.rate != 0 && f.rate <= maxRate {
			s.stream.rate = f.rate
		}
		d.exporters.drops(s.from, s.stream, f.dropsKey(sm.format), f.drops)
	}
}

func (s *Set) looseAddr(a netip.Addr, row int) {
	switch {
	case a.Is4():
		b := a.As4()
		s.loose4(binary.BigEndian.Uint32(b[:]), row)
	case a.Is6():
		b := a.As16()
		s.loose6(addr6(b[:]), row)
	}
}

// A flowSample is a sample that has been read.
type flowSample struct {
	head                       bool // the head of the sample was whole
	source, sourceClass, drops uint32
	rate, in, out, reason      uint32
	packets                    packets
	hasHeader                  bool
	headerProtocol, length     uint32
	hasLength                  bool
	natSrc, natDst             netip.Addr
	natSrcPort, natDstPort     uint32
	hasNATPorts                bool
	srcAS, dstAS               uint32
	hasAS                      bool
}

// dropsKey names the counter of dropped samples: each data source has one, and
// another for its discarded packets. The class of a source has 8 bits.
func (f *flowSample) dropsKey(format uint32) uint64 {
	if format == sampleDiscarded {
		return 1<<63 | uint64(f.sourceClass)<<32 | uint64(f.source)
	}
	return uint64(f.sourceClass)<<32 | uint64(f.source)
}

// read takes a sample apart. It reports false when a length in it lies, or when there is
// more in it than it announces; what came before is kept.
func (f *flowSample) read(sm sample) bool {
	x := xdr{b: sm.body}
	x.u32() // sequence number of the sample
	switch sm.format {
	case sampleFlow:
		f.source = x.u32()
		f.rate = x.u32()
		x.u32() // sample pool
		f.drops, f.in, f.out = x.u32(), x.u32(), x.u32()
	case sampleFlowExpanded:
		f.sourceClass, f.source = x.u32(), x.u32()
		f.rate = x.u32()
		x.u32()
		f.drops = x.u32()
		f.in, f.out = expandedInterface(&x), expandedInterface(&x)
	case sampleDiscarded:
		f.sourceClass, f.source = x.u32(), x.u32()
		f.drops, f.in, f.out, f.reason = x.u32(), x.u32(), x.u32(), x.u32()
	}
	count := x.u32()
	if f.head = !x.bad; !f.head {
		return false
	}
	for range count {
		format := x.u32()
		body := x.take(x.u32())
		if x.bad { // also when the count lies
			return false
		}
		f.record(format, body)
	}
	return allZero(x.b)
}

// expandedInterface reads format and value of an interface: 0 an index, 1 a
// discard reason, 2 several. It is put the way that the short form has it.
func expandedInterface(x *xdr) uint32 {
	format, value := x.u32(), x.u32()
	if format == 0 {
		return value
	}
	return format<<30 | value&0x3fffffff
}

// record reads one flow record of a sample.
func (f *flowSample) record(format uint32, body []byte) {
	x := xdr{b: body}
	switch format {
	case recordRawHeader:
		f.rawHeader(&x)
	case recordIPv4:
		f.sampledIP(&x, 4)
	case recordIPv6:
		f.sampledIP(&x, 16)
	case recordExtendedGateway:
		f.gateway(&x)
	case recordExtendedNAT:
		if src, dst := x.addr(), x.addr(); !x.bad {
			f.natSrc, f.natDst = src, dst
		}
	case recordExtendedNATPort:
		if src, dst := x.u32(), x.u32(); !x.bad {
			f.natSrcPort, f.natDstPort, f.hasNATPorts = src, dst, true
		}
	}
}

// rawHeader reads the first bytes of the sampled packet.
func (f *flowSample) rawHeader(x *xdr) {
	protocol, length := x.u32(), x.u32()
	x.u32() // bytes stripped
	n := x.u32()
	if x.bad || f.hasHeader {
		return
	}
	b := x.b[:min(uint64(n), uint64(len(x.b)))]
	f.hasHeader, f.headerProtocol, f.length, f.hasLength = true, protocol, length, true
	sampled := f.packets.p[0] // what a record for sampled IP said
	p := &f.packets
	p.p[0] = packet{}
	switch protocol {
	case headerEthernet:
		p.frame(b)
	case headerIPv4, headerIPv6:
		p.network(b, 0)
	case headerMPLS:
		p.mpls(b, 0)
	case headerPPP:
		p.ppp(b)
	}
	if !p.any() {
		p.p[0] = sampled
	}
}

// ppp reads a PPP frame, with or without address and control bytes.
func (p *packets) ppp(b []byte) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		return
	}
	switch binary.BigEndian.Uint16(b) {
	case 0x0021, 0x0057:
		p.network(b[2:], 0)
	case 0x0281, 0x0283:
		p.mpls(b[2:], 0)
	}
}

// sampledIP reads the record of a packet whose headers the agent has read itself.
func (f *flowSample) sampledIP(x *xdr, width uint32) {
	length, protocol := x.u32(), x.u32()
	src, dst := x.take(width), x.take(width)
	srcPort, dstPort, flags := x.u32(), x.u32(), x.u32()
	if x.bad || f.packets.any() {
		return
	}
	f.length, f.hasLength = length, true
	q := &f.packets.p[0]
	*q = packet{ip: true, v6: width == 16, protocol: uint8(protocol)}
	if q.v6 {
		q.src6, q.dst6 = addr6(src), addr6(dst)
	} else {
		q.src4, q.dst4 = binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(dst)
	}
	switch q.protocol {
	case flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolSCTP:
		q.ports, q.srcPort, q.dstPort = true, uint16(srcPort), uint16(dstPort)
	}
	if q.protocol == flow.ProtocolTCP {
		q.flags, q.tcpFlags = true, uint8(flags)
	}
}

// gateway reads the AS numbers: the source's own, and the last of the path to the
// destination.
func (f *flowSample) gateway(x *xdr) {
	x.addr() // next hop
	x.u32()  // AS of the router
	src := x.u32()
	x.u32() // AS of the source's peer
	dst := uint32(0)
	for range x.u32() { // path segments
		if len(x.b) == 0 {
			return
		}
		x.u32() // set or sequence
		for range x.u32() {
			if len(x.b) == 0 {
				return
			}
			dst = x.u32()
		}
	}
	if !x.bad {
		f.srcAS, f.dstAS, f.hasAS = src, dst, true
	}
}

// recordSFlow fills r from the i-th sample.
func (s *Set) recordSFlow(i int, r *flow.Record) {
	var f flowSample
	f.read(s.samples[i])
	if f.packets.any() {
		f.packets.p[0].fill(r)
	}
	if s.skipForeign(&f.packets); f.packets.tunnelled() && s.shared.tunnels {
		f.packets.fillInner(r)
	}
	r.Packets, r.PacketsIE, r.Has = 1, 2, r.Has|flow.HasPackets
	if f.hasLength {
		r.Bytes, r.BytesIE, r.Has = uint64(f.length), 1, r.Has|flow.HasBytes
	}
	if f.hasHeader {
		r.HeaderProtocol, r.Has = uint8(f.headerProtocol), r.Has|flow.HasHeaderProtocol
	}
	r.InIf, r.OutIf, r.Has = f.in, f.out, r.Has|flow.HasInIf|flow.HasOutIf
	r.PostNATSrc, r.PostNATDst = f.natSrc, f.natDst
	if f.hasNATPorts {
		r.PostNATSrcPort, r.PostNATDstPort = uint16(f.natSrcPort), uint16(f.natDstPort)
		r.Has |= flow.HasPostNATPorts
	}
	if f.hasAS {
		r.SrcAS, r.DstAS, r.Has = f.srcAS, f.dstAS, r.Has|flow.HasSrcAS|flow.HasDstAS
	}
	if s.samples[i].format == sampleDiscarded {
		r.DropReason, r.Has = f.reason, r.Has|flow.HasDropReason
		r.Rate = 1
		return
	}
	r.Sampling, r.Has = f.rate, r.Has|flow.HasSampling
	if r.Rate = f.rate; f.rate > maxRate {
		r.Rate = 0
	}
}
