package recorder

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// Which ends of a flow are ours.
type ours uint8

const (
	neither ours = iota
	source
	destination
	both
)

// A home has the networks that are ours at one site.
type home struct {
	networks *networks
	all      Home // also knows which IPv4 address an address carries
}

// sides gives which ends of a pair are ours. An end that is ours only by the IPv4 address
// that it carries is ours when the other end is not: strangers choose what their addresses
// carry. Of two such ends neither is.
func (h *home) sides(src, dst flow.Addr6) ours {
	n := h.networks
	if isV4(src) && isV4(dst) {
		s, d := uint32(src.Lo), uint32(dst.Lo)
		sBit, dBit := uint(s>>16&63), uint(d>>16&63)
		some := n.v4.some[s>>22]>>sBit&1 | n.v4.some[d>>22]>>dBit&1<<1
		all := n.v4.all[s>>22]>>sBit&1 | n.v4.all[d>>22]>>dBit&1<<1
		if some == all {
			return ours(all)
		}
	}
	return h.look(src, dst)
}

// look is sides for pairs that need more than their first bits.
func (h *home) look(src, dst flow.Addr6) ours {
	var o ours
	if h.networks.contains(src) {
		o = source
	}
	if h.networks.contains(dst) {
		o |= destination
	}
	if o != neither {
		return o
	}
	s, d := h.carries(src), h.carries(dst)
	switch {
	case s && !d:
		return source
	case d && !s:
		return destination
	}
	return neither
}

// carries reports whether an address that is not in the networks is ours all the same.
func (h *home) carries(a flow.Addr6) bool { return !isV4(a) && h.all.Contains(a.Addr()) }

// ends are both ends of a flow with their ports.
type ends struct {
	src, dst         flow.Addr6
	srcPort, dstPort uint16
}

// translated finds the ends of a flow of which post are the ends after translation, zero
// where there is none, as hits do it: the source is that before translation, the destination
// that after it. Either side of a translation may be what is ours. A flow of ours that is
// redirected to a host of ours, such as a proxy, was for the end outside.
func (h *home) translated(e, post ends) (src, dst flow.Addr6, srcPort, dstPort uint16, us ours) {
	var none flow.Addr6
	if e.src == none {
		e.src, e.srcPort = post.src, or(post.srcPort, e.srcPort)
	}
	before := e
	if post.dst != none {
		e.dst, e.dstPort = post.dst, or(post.dstPort, e.dstPort)
	}
	in := h.networks.contains
	switch {
	case e.src == none || e.dst == none:
		return e.src, e.dst, e.srcPort, e.dstPort, neither
	case !in(e.src) && (in(e.dst) || in(before.dst)):
		return e.src, e.dst, e.srcPort, e.dstPort, destination
	case in(e.src) || in(post.src):
		if !in(e.dst) {
			return e.src, e.dst, e.srcPort, e.dstPort, source
		}
		if before.dst != none && !in(before.dst) {
			return before.src, before.dst, before.srcPort, before.dstPort, source
		}
		return e.src, e.dst, e.srcPort, e.dstPort, both
	}
	s, d := h.carries(e.src) || h.carries(post.src), h.carries(e.dst) || h.carries(before.dst)
	switch {
	case s && !d:
		return e.src, e.dst, e.srcPort, e.dstPort, source
	case d && !s:
		return e.src, e.dst, e.srcPort, e.dstPort, destination
	}
	return e.src, e.dst, e.srcPort, e.dstPort, neither
}

// elsewhere reports whether a flow that was redirected to an end outside was for another one,
// rather than for an IPv6 address that carries that one (NAT64).
func (h *home) elsewhere(before, after flow.Addr6) bool {
	return before != (flow.Addr6{}) && before != after && !h.networks.contains(before) && (isV4(before) || !isV4(after) || uint32(before.Lo) != uint32(after.Lo))
}

// or gives a, or b where a is 0.
func or(a, b uint16) uint16 {
	if a != 0 {
		return a
	}
	return b
}

// The TCP flags by what they show.
const (
	opens   uint8 = 1 << iota // SYN without ACK, the first word of a connection
	acks                      // ACK; its place is known to plain
	refuses                   // RST, or RST and ACK, and nothing else
)

// tcpControl are the control bits of RFC 9293 3.1; those of congestion mean nothing here.
const tcpControl = 0x3f

// tcpShows has what the control bits show.
var tcpShows = func() (all [tcpControl + 1]uint8) {
	const syn, rst, ack = 0x02, 0x04, 0x10
	for f := range all {
		if f&(syn|ack) == syn {
			all[f] |= opens
		}
		if f&ack != 0 {
			all[f] |= acks
		}
		if f == rst || f == rst|ack {
			all[f] |= refuses
		}
	}
	return all
}()

// portful are the protocols that have ports. What exporters put into the port fields of the
// others is zero, or type and code of ICMP.
var portful = func() (all [256]bool) {
	for _, p := range []uint8{flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolDCCP, flow.ProtocolSCTP, flow.ProtocolUDPLite} {
		all[p] = true
	}
	return all
}()

// Where the ports of clients begin: above the well-known ports (RFC 6335), and as systems
// give them out on their own, 32768 in Linux, 49152 elsewhere.
const (
	firstUnprivileged = 1024
	firstEphemeral    = 32768
)

// rank is higher the more likely a port is that of a client. It is by the first 6 bits.
var rank = func() (all [64]uint8) {
	for i := range all {
		switch port := i << 10; {
		case port >= firstEphemeral:
			all[i] = 2
		case port >= firstUnprivileged:
			all[i] = 1
		}
	}
	return all
}()

// Who opened a flow.
const (
	nobody uint8 = iota // nobody knows
	bySource
	byDestination
)

// byRanks has who opened a flow by the ranks of both ports, that of the source first.
var byRanks = [16]uint8{
	0<<2 | 1: byDestination, 0<<2 | 2: byDestination, 1<<2 | 2: byDestination,
	1<<2 | 0: bySource, 2<<2 | 0: bySource, 2<<2 | 1: bySource,
}

// directions are those of a flow by which end is ours and who opened it.
var directions = [4][4]uint8{
	neither:     {row.Transit, row.Transit, row.Transit, row.Transit},
	source:      {row.Unknown, row.Outbound, row.Inbound, row.Unknown},
	destination: {row.Unknown, row.Inbound, row.Outbound, row.Unknown},
}

// answered has the flag of a flow that refuses nothing, by which end is ours, who opened it, and
// whether the source acknowledged something: what the responder sends is an answer, and what
// the end outside acknowledges is an answer to us.
var answered = func() (all [4][4][2]uint8) {
	for us := range all {
		for initiator := range all[us] {
			for acked := range all[us][initiator] {
				if uint8(initiator) == byDestination || ours(us) == destination && acked == 1 {
					all[us][initiator][acked] = row.Answered
				}
			}
		}
	}
	return all
}()

// facts are what a flow shows.
type facts struct {
	srcPort, dstPort uint16
	mark             decode.Mark
	shows, back      uint8 // see tcpShows; back is of the way back
	twoWays          bool  // it counts the way back, too
	us               ours
}

// seen is what follows from it, for a row.
type seen struct {
	port             uint16
	direction, flags uint8
}

// plain judges a flow without marks and way back that refuses nothing. Most are so, and at
// random in either direction: there are no branches to be predicted.
func plain(srcPort, dstPort uint16, shows uint8, us ours) seen {
	initiator := byRanks[rank[srcPort>>10]<<2|rank[dstPort>>10]&15]
	port := min(srcPort, dstPort)
	if shows&opens != 0 {
		initiator, port = bySource, dstPort
	}
	if srcPort == 0 || dstPort == 0 {
		port = srcPort | dstPort
		if shows&opens == 0 {
			initiator = nobody
		}
	}
	return seen{port, directions[us&3][initiator&3], answered[us&3][initiator&3][shows>>1&1]}
}

// judge judges any flow.
func (f *facts) judge() (s seen) {
	refusal := f.shows&refuses != 0 || f.mark&decode.MarkUnreachable != 0
	port, initiator := f.service(refusal)
	s.port, s.direction = port, directions[f.us&3][initiator&3]
	if initiator == nobody && refusal && f.us == source && f.refuser() {
		s.direction = row.Inbound // what we refuse was opened by the other end
	}
	if f.mark&decode.MarkBlocked != 0 {
		s.flags = row.Blocked // what was dropped answers nobody
		return s
	}
	backRefusal := f.back&refuses != 0
	switch {
	case f.twoWays && !backRefusal && (!refusal || initiator == bySource),
		!refusal && (initiator == byDestination || f.us == destination && f.shows&acks != 0):
		s.flags = row.Answered
	}
	if refusal && initiator != bySource || f.twoWays && backRefusal && initiator != byDestination {
		s.flags |= row.Refused
	}
	return s
}

// service gives the port of the service and who opened the flow: as the record shows it, else
// as a refusal does, else as the ports do.
func (f *facts) service(refusal bool) (port uint16, initiator uint8) {
	switch {
	case f.mark&decode.MarkSrcOpened != 0:
		initiator = bySource
	case f.mark&decode.MarkDstOpened != 0:
		initiator = byDestination
	case f.shows&opens != 0:
		initiator = bySource
	case f.back&opens != 0:
		initiator = byDestination
	}
	switch {
	case f.srcPort == 0 || f.dstPort == 0:
		return f.srcPort | f.dstPort, initiator
	case initiator == bySource:
		return f.dstPort, initiator
	case initiator == byDestination:
		return f.srcPort, initiator
	}
	initiator = byRanks[rank[f.srcPort>>10]<<2|rank[f.dstPort>>10]&15]
	if !refusal || !f.refuser() {
		return min(f.srcPort, f.dstPort), initiator
	}
	if initiator == bySource {
		initiator = nobody
	}
	return f.srcPort, initiator
}

// refuser reports whether a refusal by itself shows that its sender is the responder: unless
// only that one uses a client's port.
func (f *facts) refuser() bool { return f.srcPort < firstEphemeral || f.dstPort >= firstEphemeral }
