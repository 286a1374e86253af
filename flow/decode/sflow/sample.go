// Package sflow reads sFlow v5 (sflow.org, sflow_version_5.txt): the samples of a datagram,
// and the headers and records of each sample. It owns no state and believes no count:
// samples and records are walked by their lengths, each within the bytes that are there.
// Package decode calls it.
package sflow

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
)

// Sample formats of enterprise 0 that are read.
const (
	sampleFlow         = 1
	sampleFlowExpanded = 3
	sampleDiscarded    = 5
)

// Record formats of enterprise 0 that are read.
const (
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

// A Datagram is the header of a datagram, and the samples that have not been read yet.
type Datagram struct {
	Agent    netip.Addr
	SubAgent uint32
	Number   uint32 // sequence number
	Uptime   uint32 // of the agent, ms
	Damaged  bool   // a length or a count does not fit the datagram

	samples uint32
	rest    xdr
}

// Read reads the header of a datagram, version included. It reports whether it is whole.
func Read(b []byte) (d Datagram, ok bool) {
	x := xdr{b: b[4:]}
	d.Agent = x.addr()
	d.SubAgent, d.Number, d.Uptime, d.samples = x.u32(), x.u32(), x.u32(), x.u32()
	d.rest = x
	return d, !x.bad
}

// Next gives the next flow sample or discarded packet; samples of counters are passed
// over. At the end it reports false; from then on Damaged is valid.
func (d *Datagram) Next() (s Sample, ok bool) {
	x := &d.rest
	for ; d.samples > 0; d.samples-- {
		format := x.u32()
		body := x.take(x.u32())
		if x.bad { // also when the count lies
			d.Damaged = true
			return s, false
		}
		if format == sampleFlow || format == sampleFlowExpanded || format == sampleDiscarded {
			d.samples--
			return Sample{format, body}, true
		}
	}
	d.Damaged = !packet.AllZero(x.b) // more than the count announces
	return s, false
}

// A Sample is where a flow sample stands in the datagram, and of which format.
type Sample struct {
	format uint32
	body   []byte
}

// Discarded reports whether it is a packet that was dropped, which has a reason and no
// sampling rate.
func (s *Sample) Discarded() bool { return s.format == sampleDiscarded }

// A Flow is a flow sample that has been read.
type Flow struct {
	Whole          bool   // the head of the sample was all there
	Rate           uint32 // one of Rate packets is sampled
	Drops          uint32 // samples that the agent had no resources for, so far
	NATSrc, NATDst netip.Addr
	Packets        packet.Stack

	source, sourceClass    uint32
	in, out, reason        uint32
	hasHeader              bool
	headerProtocol, length uint32
	hasLength              bool
	natSrcPort, natDstPort uint32
	hasNATPorts            bool
	srcAS, dstAS           uint32
	hasAS                  bool
}

// Source names the counter of dropped samples: each data source has one, and
// another for its discarded packets. The class of a source has 8 bits.
func (f *Flow) Source(sm Sample) uint64 {
	if sm.format == sampleDiscarded {
		return 1<<63 | uint64(f.sourceClass)<<32 | uint64(f.source)
	}
	return uint64(f.sourceClass)<<32 | uint64(f.source)
}

// Read takes a sample apart. It reports false when a length in it lies, or when there is
// more in it than it announces; what came before is kept.
func (f *Flow) Read(sm Sample) bool {
	x := xdr{b: sm.body}
	x.u32() // sequence number of the sample
	switch sm.format {
	case sampleFlow:
		f.source = x.u32()
		f.Rate = x.u32()
		x.u32() // sample pool
		f.Drops, f.in, f.out = x.u32(), x.u32(), x.u32()
	case sampleFlowExpanded:
		f.sourceClass, f.source = x.u32(), x.u32()
		f.Rate = x.u32()
		x.u32()
		f.Drops = x.u32()
		f.in, f.out = expandedInterface(&x), expandedInterface(&x)
	case sampleDiscarded:
		f.sourceClass, f.source = x.u32(), x.u32()
		f.Drops, f.in, f.out, f.reason = x.u32(), x.u32(), x.u32(), x.u32()
	}
	count := x.u32()
	if f.Whole = !x.bad; !f.Whole {
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
	return packet.AllZero(x.b)
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
func (f *Flow) record(format uint32, body []byte) {
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
			f.NATSrc, f.NATDst = src, dst
		}
	case recordExtendedNATPort:
		if src, dst := x.u32(), x.u32(); !x.bad {
			f.natSrcPort, f.natDstPort, f.hasNATPorts = src, dst, true
		}
	}
}

// rawHeader reads the first bytes of the sampled packet.
func (f *Flow) rawHeader(x *xdr) {
	protocol, length := x.u32(), x.u32()
	x.u32() // bytes stripped
	n := x.u32()
	if x.bad || f.hasHeader {
		return
	}
	b := x.b[:min(uint64(n), uint64(len(x.b)))]
	f.hasHeader, f.headerProtocol, f.length, f.hasLength = true, protocol, length, true
	sampled := f.Packets.Packets[0] // from a record for sampled IP
	p := &f.Packets
	p.Packets[0] = packet.Header{}
	switch protocol {
	case headerEthernet:
		p.Frame(b)
	case headerIPv4, headerIPv6:
		p.IP(b)
	case headerMPLS:
		p.MPLS(b)
	case headerPPP:
		p.PPP(b)
	}
	if !p.Any() {
		p.Packets[0] = sampled
	}
}

// sampledIP reads the record of a packet whose headers the agent has read itself.
func (f *Flow) sampledIP(x *xdr, width uint32) {
	length, protocol := x.u32(), x.u32()
	src, dst := x.take(width), x.take(width)
	srcPort, dstPort, flags := x.u32(), x.u32(), x.u32()
	if x.bad || f.Packets.Any() {
		return
	}
	f.length, f.hasLength = length, true
	q := &f.Packets.Packets[0]
	*q = packet.Header{IP: true, V6: width == 16, Protocol: uint8(protocol)}
	if q.V6 {
		q.Src6, q.Dst6 = flow.ReadAddr6(src), flow.ReadAddr6(dst)
	} else {
		q.Src4, q.Dst4 = binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(dst)
	}
	switch q.Protocol {
	case flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolSCTP:
		q.HasPorts, q.SrcPort, q.DstPort = true, uint16(srcPort), uint16(dstPort)
	}
	if q.Protocol == flow.ProtocolTCP {
		q.HasFlags, q.TCPFlags = true, uint8(flags)
	}
}

// gateway reads the AS numbers: the source's own, and the last of the path to the
// destination.
func (f *Flow) gateway(x *xdr) {
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

// Fill sets what a sample has of a record, apart from the packets within a tunnel and the
// rate that counts.
func (f *Flow) Fill(sm Sample, r *flow.Record) {
	if f.Packets.Any() {
		f.Packets.Fill(r)
	}
	r.Packets, r.PacketsIE, r.Has = 1, 2, r.Has|flow.HasPackets
	if f.hasLength {
		r.Bytes, r.BytesIE, r.Has = uint64(f.length), 1, r.Has|flow.HasBytes
	}
	if f.hasHeader {
		r.HeaderProtocol, r.Has = uint8(f.headerProtocol), r.Has|flow.HasHeaderProtocol
	}
	r.InIf, r.OutIf, r.Has = f.in, f.out, r.Has|flow.HasInIf|flow.HasOutIf
	r.PostNATSrc, r.PostNATDst = f.NATSrc, f.NATDst
	if f.hasNATPorts {
		r.PostNATSrcPort, r.PostNATDstPort = uint16(f.natSrcPort), uint16(f.natDstPort)
		r.Has |= flow.HasPostNATPorts
	}
	if f.hasAS {
		r.SrcAS, r.DstAS, r.Has = f.srcAS, f.dstAS, r.Has|flow.HasSrcAS|flow.HasDstAS
	}
	if sm.Discarded() {
		r.DropReason, r.Has = f.reason, r.Has|flow.HasDropReason
	} else {
		r.Sampling, r.Has = f.Rate, r.Has|flow.HasSampling
	}
}

// Bytes is the length of the sampled frame, 0 when it is not known.
func (f *Flow) Bytes() uint64 { return uint64(f.length) }

// NATPorts gives the ports after translation, 0 when they are not known.
func (f *Flow) NATPorts() (src, dst uint16) { return uint16(f.natSrcPort), uint16(f.natDstPort) }

// Has gives the bits of the numbers of ends and counters that Fill sets.
func (f *Flow) Has() flow.Fields {
	has, q := flow.HasPackets, &f.Packets.Packets[0]
	if f.hasLength {
		has |= flow.HasBytes
	}
	if q.IP {
		has |= flow.HasProtocol
	}
	if q.HasPorts {
		has |= flow.HasSrcPort | flow.HasDstPort
	}
	if q.HasFlags {
		has |= flow.HasTCPFlags
	}
	return has
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
