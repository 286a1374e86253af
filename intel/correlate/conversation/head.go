package conversation

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A head is the flow that stands for a contact in its events.
type head struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	icmp             uint16 // type * 256 + code
	tcpFlags         uint16
	protocol         uint8
	hasPorts         bool
	hasProtocol      bool
	hasICMP          bool
	hasIf            bool
	role             flow.Side
	version          flow.Version
	exporter         netip.Addr
	known            *sites.Exporter // what the operator configures about the exporter, or nil
	domain           uint32
	inIf, outIf      uint32
	more             moreAddrs
}

// moreAddrs are the addresses that few flows have.
type moreAddrs struct {
	natSrc, natDst         netip.Addr
	natSrcPort, natDstPort uint16
	innerSrc, innerDst     netip.Addr
}

func headOf(h *lookup.Hit, known *sites.Exporter) head {
	r := h.Record
	has := func(f flow.Fields) bool { return r.Has&f != 0 }
	d := head{
		src: r.Src, dst: r.Dst,
		protocol: r.Protocol, hasProtocol: has(flow.HasProtocol),
		icmp: r.ICMPTypeCode, hasICMP: has(flow.HasICMP),
		role:     roleOf(h.Side),
		version:  r.Exporter.Version,
		exporter: r.Exporter.Addr, known: known, domain: r.Exporter.Domain,
		inIf: r.InIf, outIf: r.OutIf, hasIf: has(flow.HasInIf | flow.HasOutIf),
		more: moreOf(r, h.Side),
	}
	if has(flow.HasTCPFlags) {
		d.tcpFlags = r.TCPFlags
	}
	if has(flow.HasSrcPort | flow.HasDstPort) { // as exported: for ICMP type and code may stand there
		d.srcPort, d.dstPort, d.hasPorts = r.SrcPort, r.DstPort, true
	}
	return d
}

// roleOf gives the side that an event names: the ends of a tunnel within another are
// inner ones.
func roleOf(s flow.Side) flow.Side {
	if s >= flow.SideTunnels {
		return flow.SideInnerSrc + s%2
	}
	return s
}

// moreOf gives the addresses beside the ends, for a hit at a side. Where a tunnel within
// another was hit, that tunnel is the inner pair, and not what it carries.
func moreOf(r *flow.Record, s flow.Side) moreAddrs {
	m := moreAddrs{
		natSrc: r.PostNATSrc, natDst: r.PostNATDst,
		natSrcPort: r.PostNATSrcPort, natDstPort: r.PostNATDstPort,
		innerSrc: r.InnerSrc, innerDst: r.InnerDst,
	}
	if s >= flow.SideTunnels {
		m.innerSrc, _ = r.At(s - s%2)
		m.innerDst, _ = r.At(s - s%2 + 1)
	}
	return m
}

// communityID gives the Community ID of the flow as exported, empty without a
// protocol. ICMP has type and code in place of ports.
func (d *head) communityID() string {
	switch {
	case !d.hasProtocol:
		return ""
	case d.protocol != flow.ProtocolICMP && d.protocol != flow.ProtocolICMPv6:
		return event.CommunityID(d.src, d.dst, d.srcPort, d.dstPort, d.protocol)
	case !d.hasICMP:
		return ""
	}
	return event.CommunityID(d.src, d.dst, d.icmp>>8, d.icmp&0xff, d.protocol)
}

// A packedHead is a head. The name of the exporter is in the configuration.
type packedHead struct {
	src, dst         packed.Addr
	srcPort, dstPort uint16
	icmp             uint16
	tcpFlags         uint16
	protocol         uint8
	hasPorts         bool
	hasProtocol      bool
	hasICMP          bool
	hasIf            bool
	role             flow.Side
	version          flow.Version
	exporter         packed.Addr
	domain           uint32
	inIf, outIf      uint32
	known            *sites.Exporter
	more             *packedMore // nil for most flows
}

// packedMore are the addresses that few flows have.
type packedMore struct {
	natSrc, natDst         packed.Addr
	innerSrc, innerDst     packed.Addr
	natSrcPort, natDstPort uint16
}

func (d *head) pack() packedHead {
	p := packedHead{
		src: packed.Of(d.src), dst: packed.Of(d.dst), srcPort: d.srcPort, dstPort: d.dstPort,
		icmp: d.icmp, tcpFlags: d.tcpFlags, protocol: d.protocol,
		hasPorts: d.hasPorts, hasProtocol: d.hasProtocol, hasICMP: d.hasICMP, hasIf: d.hasIf,
		role: d.role, version: d.version, exporter: packed.Of(d.exporter), known: d.known, domain: d.domain,
		inIf: d.inIf, outIf: d.outIf,
	}
	if m := &d.more; *m != (moreAddrs{}) {
		p.more = &packedMore{packed.Of(m.natSrc), packed.Of(m.natDst), packed.Of(m.innerSrc), packed.Of(m.innerDst), m.natSrcPort, m.natDstPort}
	}
	return p
}

func (p *packedHead) unpack() head {
	d := head{
		src: p.src.Addr(), dst: p.dst.Addr(), srcPort: p.srcPort, dstPort: p.dstPort,
		icmp: p.icmp, tcpFlags: p.tcpFlags, protocol: p.protocol,
		hasPorts: p.hasPorts, hasProtocol: p.hasProtocol, hasICMP: p.hasICMP, hasIf: p.hasIf,
		role: p.role, version: p.version, exporter: p.exporter.Addr(), known: p.known, domain: p.domain,
		inIf: p.inIf, outIf: p.outIf,
	}
	if m := p.more; m != nil {
		d.more = moreAddrs{m.natSrc.Addr(), m.natDst.Addr(), m.natSrcPort, m.natDstPort, m.innerSrc.Addr(), m.innerDst.Addr()}
	}
	return d
}

// fill copies the flow as exported.
func (d *head) fill(ev *event.Event) {
	ev.Src, ev.Dst = d.src, d.dst
	ev.SrcPort, ev.DstPort, ev.HasPorts = d.srcPort, d.dstPort, d.hasPorts
	ev.CommunityID = d.communityID()
	ev.Protocol, ev.HasProtocol = d.protocol, d.hasProtocol
	ev.Role = d.role
	ev.Exporter = d.exporter
	if d.known != nil {
		ev.ExporterName = d.known.Name
	}
	ev.Domain, ev.Version = d.domain, d.version
	ev.InIf, ev.OutIf, ev.HasIf = d.inIf, d.outIf, d.hasIf
	m := &d.more
	ev.NATSrc, ev.NATDst = m.natSrc, m.natDst
	ev.NATSrcPort, ev.NATDstPort = m.natSrcPort, m.natDstPort
	ev.InnerSrc, ev.InnerDst = m.innerSrc, m.innerDst
}
