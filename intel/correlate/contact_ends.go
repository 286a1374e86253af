package correlate

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// The TCP flags that tell who opened a connection and who has answered.
const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
	// tcpControl are the control bits of RFC 9293 3.1; those of congestion say nothing here.
	tcpControl = 0x3f
)

// The types of ICMP that refuse: destination unreachable (RFC 792, RFC 4443 3.1).
const (
	icmpUnreachable   = 3
	icmpv6Unreachable = 1
)

// The elements of NSEL that count the initiator's side.
const (
	initiatorOctets  = 231
	initiatorPackets = 298
)

// A party is one end of a contact.
type party uint8

const (
	nobody   party = iota // not known
	offender              // the listed end
	local                 // the other one
)

// other gives the opposite end.
func (p party) other() party {
	switch p {
	case offender:
		return local
	case local:
		return offender
	}
	return nobody
}

// ends is a hit seen from its offender: who is at which end.
type ends struct {
	offender, local         netip.Addr
	offenderPort, localPort uint16 // 0 = none
	servicePort             uint16 // set with the key of the contact
	site                    uint16 // of the exporter, and so of the local end
	protocol                uint8
	hasProtocol             bool
	sender                  party
	// initiator is who opened the contact, as far as this record tells.
	initiator party
	// tcpFlags are those of the record, when they belong to this pair, and backFlags those
	// of the way back in a biflow.
	tcpFlags, backFlags uint16
	// refusal is set when the sender did nothing but refuse, backRefusal when the other
	// end did on the way back.
	refusal, backRefusal bool
}

// endsOf reads the ends of a hit. The local end is the inside address where the
// record has one: the source before translation, the destination after it.
func endsOf(h *lookup.Hit) ends {
	r := h.Record
	e := ends{offender: h.Offender, sender: local, site: r.Exporter.Site}
	if h.Side.IsSrc() {
		e.sender = offender
	}
	_, e.offenderPort = endAt(r, h.Side)
	e.local, e.localPort = opposite(r, h.Side)
	e.protocol, e.hasProtocol = r.Protocol, r.Has&flow.HasProtocol != 0
	if h.Side >= flow.SideTunnels {
		e.protocol, e.hasProtocol = 0, false // of the tunnel: it is not told
	} else if innerTransport(r, h.Side) {
		e.protocol, e.hasProtocol = r.InnerProtocol, r.Has&flow.HasInnerProtocol != 0
	} else if e.hasProtocol && e.protocol == flow.ProtocolTCP && r.Has&flow.HasTCPFlags != 0 {
		e.tcpFlags = r.TCPFlags
	}
	if e.hasProtocol && e.protocol == flow.ProtocolTCP && !innerTransport(r, h.Side) && r.Has&flow.HasRevTCPFlags != 0 {
		e.backFlags = r.RevTCPFlags
	}
	e.refusal = isReset(e.tcpFlags) || !innerTransport(r, h.Side) && unreachable(r)
	e.backRefusal = isReset(e.backFlags)
	if !portful(e.protocol, e.hasProtocol) {
		e.offenderPort, e.localPort = 0, 0
	}
	switch e.tellsInitiator(r) {
	case byRecord:
		e.initiator = e.sender
	case byRecordReverse:
		e.initiator = e.sender.other()
	}
	return e
}

// isReset reports whether all that was sent are TCP resets: RST, or RST and ACK.
func isReset(flags uint16) bool {
	flags &= tcpControl
	return flags == tcpRST || flags == tcpRST|tcpACK
}

// unreachable reports whether a record is of ICMP destination unreachable. Without an
// element for them, type and code stand in the destination port, as in v5.
func unreachable(r *flow.Record) bool {
	if r.Has&flow.HasProtocol == 0 {
		return false
	}
	code := r.ICMPTypeCode
	if r.Has&flow.HasICMP == 0 {
		code = r.DstPort
	}
	switch r.Protocol {
	case flow.ProtocolICMP:
		return code>>8 == icmpUnreachable
	case flow.ProtocolICMPv6:
		return code>>8 == icmpv6Unreachable
	}
	return false
}

// What a record says of its initiator.
type telling uint8

const (
	notTold         telling = iota
	byRecord                // its source
	byRecordReverse         // its destination
)

// Values of biflowDirection (RFC 5103 6.3).
const (
	biflowInitiator        = 1
	biflowReverseInitiator = 2
)

// tellsInitiator finds what the record says of its initiator. The reverse counters
// of a biflow alone say nothing: softflowd puts the lower address first. Cisco's
// counters name the initiator in their names, and a SYN without ACK is its first word.
func (e *ends) tellsInitiator(r *flow.Record) telling {
	const counted = flow.HasRespBytes | flow.HasRespPackets
	switch {
	case r.Has&flow.HasBiflowDirection != 0 && r.BiflowDirection == biflowInitiator:
		return byRecord
	case r.Has&flow.HasBiflowDirection != 0 && r.BiflowDirection == biflowReverseInitiator:
		return byRecordReverse
	case r.Has&counted != 0, r.BytesIE == initiatorOctets, r.PacketsIE == initiatorPackets:
		return byRecord
	case e.tcpFlags&(tcpSYN|tcpACK) == tcpSYN:
		return byRecord
	case e.backFlags&(tcpSYN|tcpACK) == tcpSYN:
		return byRecordReverse
	}
	return notTold
}

// innerTransport reports whether protocol and ports of a side are those of the inner
// packet. A second address pair without any shares those of the record.
func innerTransport(r *flow.Record, s flow.Side) bool {
	return s >= flow.SideTunnels || s.IsInner() && r.Has&(flow.HasInnerPorts|flow.HasInnerProtocol) != 0
}

// endAt gives the address and the port on one side. A side without a port of its own
// shares that of the same end: a translation that keeps the port, a second pair.
func endAt(r *flow.Record, s flow.Side) (netip.Addr, uint16) {
	addr, port := r.At(s)
	if port != 0 || innerTransport(r, s) {
		return addr, port
	}
	if s.IsSrc() {
		return addr, r.SrcPort
	}
	return addr, r.DstPort
}

// opposite gives the other end: of the inner pair for an inner side, else of the
// outer one, there the inside address first.
func opposite(r *flow.Record, s flow.Side) (netip.Addr, uint16) {
	switch {
	case s.IsInner() && s.IsSrc():
		return endAt(r, s+1)
	case s.IsInner():
		return endAt(r, s-1)
	case s.IsSrc() && r.PostNATDst.IsValid():
		return endAt(r, flow.SidePostNATDst)
	case s.IsSrc():
		return endAt(r, flow.SideDst)
	case !r.Src.IsValid():
		return endAt(r, flow.SidePostNATSrc)
	}
	return endAt(r, flow.SideSrc)
}

// portful reports whether a protocol has ports. What exporters put into the port
// fields of the others is zero, or type and code of ICMP.
func portful(protocol uint8, known bool) bool {
	if !known {
		return true
	}
	switch protocol {
	case flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolDCCP, flow.ProtocolSCTP, flow.ProtocolUDPLite:
		return true
	}
	return false
}

// Where the ports of clients begin: above the well-known ports (RFC 6335), and as
// systems give them out on their own, 32768 in Linux, 49152 elsewhere.
const (
	firstUnprivileged = 1024
	firstEphemeral    = 32768
)

// initiatorBy gives the initiator that the service port gives away: the end that
// uses a client's port when the other one uses the service port.
func (e *ends) initiatorBy(service uint16) party {
	switch {
	case e.offenderPort == e.localPort:
		return nobody
	case service == e.offenderPort:
		return whenClient(service, e.localPort, local)
	}
	return whenClient(service, e.offenderPort, offender)
}

// refuses gives the end that a refusal by itself shows to be the responder: its sender,
// unless only that one uses a client's port.
func (e *ends) refuses() party {
	port, other := e.offenderPort, e.localPort
	if e.sender == local {
		port, other = other, port
	}
	if e.refusal && (port < firstEphemeral || other >= firstEphemeral) {
		return e.sender
	}
	return nobody
}

// whenClient gives p when the ports show that p, who has the other one, is the client.
func whenClient(service, client uint16, p party) party {
	if service < firstUnprivileged && client >= firstUnprivileged ||
		service < firstEphemeral && client >= firstEphemeral {
		return p
	}
	return nobody
}

// homes tells which ends are ours.
type homes struct{ offender, local bool }

// ours gives the end that is ours, the local one when both are or none is.
func (us homes) ours() party {
	if us.offender && !us.local {
		return offender
	}
	return local
}

// direction gives the direction of what the initiator opened, seen from the home networks.
func (us homes) direction(initiator party) event.Direction {
	switch {
	case us.offender && us.local:
		return event.Internal
	case !us.offender && !us.local:
		return event.Transit
	case initiator == us.ours():
		return event.Outbound
	}
	return event.Inbound
}

// homesOf looks at all addresses of the local end, for either side of a translation
// may be ours. The offender is ours when the listed address is, or is what one of
// our own hosts was translated to. An IPv4 address within an IPv6 address of the local end
// counts like the address itself; within the offender it does only when it is what is
// listed, as strangers choose their interface identifiers.
func homesOf(h *lookup.Hit, e *ends, home *sites.Home) homes {
	r := h.Record
	us := homes{offender: home.Contains(e.offender), local: home.Has(e.local)}
	if in := h.Match.Embedded(); in.IsValid() {
		us.offender = us.offender || home.Contains(in)
	}
	switch {
	case h.Side.IsInner():
	case h.Side.IsSrc():
		us.offender = us.offender || h.Side == flow.SidePostNATSrc && home.Has(r.Src)
		us.local = us.local || home.Has(r.Dst)
	default:
		us.local = us.local || home.Has(r.PostNATSrc)
	}
	return us
}

// blocked reports whether the device says that it has dropped the flow: the two top
// bits of forwardingStatus are 10 (RFC 7270, 4.12), or firewallEvent is 3, denied.
func blocked(r *flow.Record) bool {
	return r.Has&flow.HasForwarding != 0 && r.Forwarding>>6 == 0b10 ||
		r.Has&flow.HasFirewallEvent != 0 && r.FirewallEvent == fwDenied
}

// The values of firewallEvent (233).
const (
	fwCreated = 1
	fwDeleted = 2
	fwDenied  = 3
	fwUpdated = 5
)
