package flow

import (
	"net/netip"
	"time"
)

// An Exporter is the device, and the stream within it, that a record came from.
type Exporter struct {
	// Addr is the UDP source address, unmapped. It names the exporter.
	Addr netip.Addr
	// Port is the UDP source port. It is not part of the exporter's identity:
	// exporters change it when they restart.
	Port    uint16
	Version Version
	// Site is where the operator has put the exporter: the place of its site in the
	// configuration, from 1 on; 0 = at none. A private address is that of a host only
	// together with it.
	Site uint16
	// Domain is the v5 engine id, the v9 source id, the IPFIX observation domain
	// or the sFlow sub-agent id.
	Domain uint32
	// Agent is the sFlow agent address; invalid for the other protocols.
	Agent netip.Addr
}

// Fields are which optional numbers of a Record were exported. Addresses and
// times need no bit: their zero values say that they are absent.
type Fields uint32

// One bit for each number that may be absent.
const (
	HasSrcPort Fields = 1 << iota
	HasDstPort
	HasSampling
	HasProtocol
	HasBytes
	HasPackets
	HasTCPFlags
	HasRevBytes
	HasRevPackets
	HasRevTCPFlags
	HasPostNATPorts
	HasInIf
	HasOutIf
	HasSrcAS
	HasDstAS
	HasDirection
	HasNATEvent
	HasFirewallEvent
	HasICMP
	HasRespBytes
	HasRespPackets
	HasFlowEndReason
	HasDropReason
	HasFrameSize
	HasForwarding
	HasInnerPorts
	HasInnerProtocol
	HasHeaderProtocol
	HasBiflowDirection
)

// Totals are which counters of a Record are running totals: all that was counted since
// the flow began, repeated in each record of it (RFC 7012 3.2.2). They must not be
// added up, as the others are, which count from one record to the next.
type Totals uint8

// One bit for each counter that may be a total.
const (
	TotalBytes Totals = 1 << iota
	TotalPackets
	TotalRevBytes
	TotalRevPackets
)

// A Record is one exported flow, whatever protocol it came in. Numbers are as
// exported, never multiplied by a sampling rate. It holds no reference to the
// datagram, so it may be kept and copied freely.
type Record struct {
	// Exporter is the device and stream that the record came from.
	Exporter Exporter
	// Received is the time of receipt of the datagram.
	Received time.Time
	// Template is the template id of v9 and IPFIX; 0 for v5 and sFlow.
	Template uint16

	// Has are the bits of the optional numbers below that were exported; the others are 0.
	Has Fields

	// Src and Dst are the ends of the flow, unmapped; invalid when the record has
	// none (multicast routing, MPLS, layer 2 records). An exporter may fill an
	// address field with zeros: then it is 0.0.0.0 or ::, as exported, and is
	// never matched.
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // host order
	Protocol         uint8  // IANA protocol number
	TCPFlags         uint16 // tcpControlBits, all flags seen in the flow

	// Bytes and Packets are octets and packets, as exported; BytesIE and PacketsIE name the
	// element they were read from: 1/2, or 85/86 totals, 23/24 outgoing, 231/298 of the initiator, 352/353 of frames.
	Bytes, Packets     uint64
	BytesIE, PacketsIE uint16
	// Totals are those of the counters that are running totals.
	Totals Totals

	// The way back, when one record has both: RFC 5103 (PEN 29305), or the
	// responder's counters of Cisco NSEL (232, 299).
	RevTCPFlags            uint16
	RevBytes, RevPackets   uint64
	RespBytes, RespPackets uint64

	// Start and End of the flow as exported, UTC; zero when they cannot be determined.
	Start, End time.Time

	// Addresses and ports (host order) after translation (225-228, 281, 282).
	PostNATSrc, PostNATDst         netip.Addr
	PostNATSrcPort, PostNATDstPort uint16

	// The second address pair of the record, or that of the packet within a sampled packet
	// (SRv6, IP in IP, VXLAN), with its ports in host order and its IANA protocol number.
	InnerSrc, InnerDst         netip.Addr
	InnerSrcPort, InnerDstPort uint16
	InnerProtocol              uint8
	// Tunnels are the ends of the tunnels between the outer packet and the inner one,
	// where a sampled packet has several, one in the other: sources at even places,
	// destinations at odd ones, invalid where there is none. Nil without such tunnels;
	// what it points to is never changed.
	Tunnels *[2 * MaxTunnels]netip.Addr

	// FromSection is the element (104, 313, 315) whose frame section gave the
	// addresses; 0 when they were fields of their own.
	FromSection uint16

	// Sampling is the rate in the record itself, the v5 header or the sFlow
	// sample: one of Sampling packets was seen. 0 when that place has none.
	Sampling uint32
	// Rate is the rate in force for this record, from wherever it was announced
	// (Sampling, or options data of the exporter): 1 when nobody announced one,
	// 0 when an announced rate is absurd and therefore unknown.
	Rate uint32
	// RateFrom is what the rate was announced for, where that is a part of the exporter
	// only: "interface 10", "template 256, sampler 1". Nil where it is not; what it
	// points to is never changed.
	RateFrom *string

	InIf, OutIf   uint32 // SNMP interface indices
	SrcAS, DstAS  uint32
	Direction     uint8  // flowDirection (61): 0 ingress, 1 egress
	NATEvent      uint8  // natEvent (230)
	FirewallEvent uint8  // firewallEvent (233)
	Forwarding    uint8  // forwardingStatus (89), its low byte
	ICMPTypeCode  uint16 // type * 256 + code
	FlowEndReason uint8  // flowEndReason (136)
	DropReason    uint32 // sFlow discarded packets
	FrameSize     uint32 // of the sampled frame, bytes
	// BiflowDirection (239) is how an exporter of biflows chose the source: 0 by no
	// rule, 1 the initiator, 2 the end that is not the initiator, 3 by perimeter.
	BiflowDirection uint8
	HeaderProtocol  uint8 // sFlow header_protocol

	// Other are further addresses of one end that are neither of the above (the
	// client of a WLAN controller); they are shown, not matched.
	Other []netip.Addr
	// PENs are the private enterprise numbers of the record's template.
	PENs []uint32
}

// A Side names the place of an address in a record.
type Side uint8

// The places that are matched, in the order in which they are looked at.
const (
	SideSrc Side = iota
	SideDst
	SidePostNATSrc
	SidePostNATDst
	SideInnerSrc
	SideInnerDst
	SideTunnels // the first of Tunnels
	NumSides    = SideTunnels + 2*MaxTunnels
)

// MaxTunnels is the number of tunnels between the outer and the inner packet of a record.
const MaxTunnels = 3

// IsSrc reports whether the side belongs to the sending end.
func (s Side) IsSrc() bool { return s < NumSides && s%2 == 0 }

// IsInner reports whether the side belongs to a packet within another: the inner pair, or
// that of a tunnel on the way to it.
func (s Side) IsInner() bool { return s >= SideInnerSrc && s < NumSides }

// String gives src, dst, nat_src, nat_dst, inner_src or inner_dst, the words
// that events use for the role of an address.
func (s Side) String() string {
	if s >= SideTunnels && s < NumSides { // there are no further words for these
		s = SideInnerSrc + s%2
	}
	return [...]string{"src", "dst", "nat_src", "nat_dst", "inner_src", "inner_dst", "unknown"}[min(s, SideTunnels)]
}

// At gives the address and the port on one side of the record. The address is
// invalid when that side is absent; the port is 0 when there is none.
func (r *Record) At(s Side) (netip.Addr, uint16) {
	switch s {
	case SideSrc:
		return r.Src, r.SrcPort
	case SideDst:
		return r.Dst, r.DstPort
	case SidePostNATSrc:
		return r.PostNATSrc, r.PostNATSrcPort
	case SidePostNATDst:
		return r.PostNATDst, r.PostNATDstPort
	case SideInnerSrc:
		return r.InnerSrc, r.InnerSrcPort
	case SideInnerDst:
		return r.InnerDst, r.InnerDstPort
	}
	if s >= SideTunnels && s < NumSides && r.Tunnels != nil {
		return r.Tunnels[s-SideTunnels], 0
	}
	return netip.Addr{}, 0
}
