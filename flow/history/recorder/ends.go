package recorder

import (
	"github.com/flowsnitch/flowsnitch/flow"
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
	var o ours
	if h.networks.contains(src) {
		o = source
	}
	if h.networks.contains(dst) {
		o |= destination
	}
	if o != neither || isV4(src) && isV4(dst) {
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
func (h *home) translated(e, post ends) (ends, ours) {
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
		return e, neither
	case !in(e.src) && (in(e.dst) || in(before.dst)):
		return e, destination
	case in(e.src) || in(post.src):
		if !in(e.dst) {
			return e, source
		}
		if before.dst != none && !in(before.dst) {
			return before, source
		}
		return e, both
	}
	s, d := h.carries(e.src) || h.carries(post.src), h.carries(e.dst) || h.carries(before.dst)
	switch {
	case s && !d:
		return e, source
	case d && !s:
		return e, destination
	}
	return e, neither
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
	acks                      // ACK
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

// rank is higher the more likely a port is that of a client.
func rank(port uint16) (n uint8) {
	if port >= firstUnprivileged {
		n++
	}
	if port >= firstEphemeral {
		n++
	}
	return n
}

// directions are those of a flow by which end is ours and which one opened it: nobody knows,
// the source, the destination.
var directions = [4][4]uint8{
	neither:     {row.Transit, row.Transit, row.Transit, row.Transit},
	source:      {row.Unknown, row.Outbound, row.Inbound, row.Unknown},
	destination: {row.Unknown, row.Inbound, row.Outbound, row.Unknown},
}
