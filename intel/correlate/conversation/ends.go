package conversation

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// The TCP flags that show who opened a connection and who has answered.
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

// A Party is one end of a conversation.
type Party uint8

// The parties. What is kept for each direction has index 0 for what the offender sends,
// and 1 for what the local end sends.
const (
	Nobody   Party = iota // not known
	Offender              // the listed end
	Local                 // the other one
)

// Way gives the index of the direction in which p sends.
func (p Party) Way() int {
	if p == Offender {
		return 0
	}
	return 1
}

// other gives the opposite end.
func (p Party) other() Party {
	switch p {
	case Offender:
		return Local
	case Local:
		return Offender
	}
	return Nobody
}

// Ends is a hit seen from its offender: who is at which end.
type Ends struct {
	Offender, Local         netip.Addr
	OffenderPort, LocalPort uint16 // 0 = none
	ServicePort             uint16 // see Serve
	Site                    uint16 // of the exporter, and so of the local end
	Protocol                uint8
	HasProtocol             bool
	Sender                  Party
	// Initiator is who opened the contact, as far as this record shows.
	Initiator Party
	// tcpFlags are those of the record, when they belong to this pair, and backFlags those
	// of the way back in a biflow.
	tcpFlags, backFlags uint16
	// refusal is set when the sender did nothing but refuse, backRefusal when the other
	// end did on the way back.
	refusal, backRefusal bool
}

// EndsOf reads the ends of a hit. The local end is the inside address where the
// record has one: the source before translation, the destination after it.
func EndsOf(h *lookup.Hit) Ends {
	r := h.Record
	e := Ends{Offender: h.Offender, Sender: Local, Site: r.Exporter.Site}
	if h.Side.IsSrc() {
		e.Sender = Offender
	}
	_, e.OffenderPort = endAt(r, h.Side)
	e.Local, e.LocalPort = opposite(r, h.Side)
	e.Protocol, e.HasProtocol = r.Protocol, r.Has&flow.HasProtocol != 0
	if h.Side >= flow.SideTunnels {
		e.Protocol, e.HasProtocol = 0, false // of the tunnel: it is not known
	} else if innerTransport(r, h.Side) {
		e.Protocol, e.HasProtocol = r.InnerProtocol, r.Has&flow.HasInnerProtocol != 0
	} else if e.HasProtocol && e.Protocol == flow.ProtocolTCP && r.Has&flow.HasTCPFlags != 0 {
		e.tcpFlags = r.TCPFlags
	}
	if e.HasProtocol && e.Protocol == flow.ProtocolTCP && !innerTransport(r, h.Side) && r.Has&flow.HasRevTCPFlags != 0 {
		e.backFlags = r.RevTCPFlags
	}
	e.refusal = isReset(e.tcpFlags) || !innerTransport(r, h.Side) && unreachable(r)
	e.backRefusal = isReset(e.backFlags)
	if !portful(e.Protocol, e.HasProtocol) {
		e.OffenderPort, e.LocalPort = 0, 0
	}
	switch e.initiatorOf(r) {
	case byRecord:
		e.Initiator = e.Sender
	case byRecordReverse:
		e.Initiator = e.Sender.other()
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

// What a record has about its initiator.
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

// initiatorOf finds what the record has about its initiator. The reverse counters
// of a biflow alone say nothing: softflowd puts the lower address first. Cisco's
// counters name the initiator in their names, and a SYN without ACK is its first word.
func (e *Ends) initiatorOf(r *flow.Record) telling {
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

// portful reports whether the ports of a record are any, as far as its protocol is known.
func portful(protocol uint8, known bool) bool { return !known || flow.HasPorts(protocol) }

// Where the ports of clients begin: above the well-known ports (RFC 6335), and as
// systems give them out on their own, 32768 in Linux, 49152 elsewhere.
const (
	firstUnprivileged = 1024
	firstEphemeral    = 32768
)

// initiatorBy gives the initiator that the service port gives away: the end that
// uses a client's port when the other one uses the service port.
func (e *Ends) initiatorBy(service uint16) Party {
	switch {
	case e.OffenderPort == e.LocalPort:
		return Nobody
	case service == e.OffenderPort:
		return whenClient(service, e.LocalPort, Local)
	}
	return whenClient(service, e.OffenderPort, Offender)
}

// Serve sets the service port, and the initiator that it gives away if the record shows
// none.
func (e *Ends) Serve(port uint16) {
	e.ServicePort = port
	if e.Initiator == Nobody {
		e.Initiator = e.initiatorBy(port)
	}
}

// Refuses gives the end that a refusal by itself shows to be the responder: its sender,
// unless only that one uses a client's port.
func (e *Ends) Refuses() Party {
	port, other := e.OffenderPort, e.LocalPort
	if e.Sender == Local {
		port, other = other, port
	}
	if e.refusal && (port < firstEphemeral || other >= firstEphemeral) {
		return e.Sender
	}
	return Nobody
}

// whenClient gives p when the ports show that p, who has the other one, is the client.
func whenClient(service, client uint16, p Party) Party {
	if service < firstUnprivileged && client >= firstUnprivileged ||
		service < firstEphemeral && client >= firstEphemeral {
		return p
	}
	return Nobody
}

// isAnswer reports whether the flow by itself shows that both ends talk; back reports
// that it counts the way back too. A refusal is no answer, whoever sends it.
func (e *Ends) isAnswer(back bool) bool {
	if back && !e.backRefusal && (!e.refusal || e.Initiator == e.Sender) {
		return true
	}
	if e.refusal {
		return false
	}
	if e.Initiator != Nobody && e.Initiator != e.Sender {
		return true
	}
	return e.Sender == Offender && e.tcpFlags&tcpACK != 0
}

// oneSided reports whether the flow shows nothing that the local end has sent but refusals:
// then all that it has may be forged by the offender, or in its name; back means that it
// counts the way back too.
func (e *Ends) oneSided(back bool) bool {
	if e.Sender == Local {
		return e.refusal
	}
	return !back || e.backRefusal
}

// opener gives the initiator, where it is not known the one that is taken for it: the
// sender, but not of our refusal. What refuses us may be the echo of forged packets.
func (e *Ends) opener() Party {
	switch {
	case e.Initiator != Nobody:
		return e.Initiator
	case e.Refuses() == Local:
		return Offender
	}
	return e.Sender
}
