// Package initiator finds out who opened a flow, on what port its service is, and whether it
// was answered, refused or blocked, from what that one record shows: what
// the exporter states, else the TCP flags, else the ports. What follows depends on which
// end is ours.
package initiator

import (
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// What the flags of TCP show.
const (
	opens   uint8 = 1 << iota // SYN without ACK, which begins a connection
	Acks                      // ACK; its place is known to Plain
	Refuses                   // RST, or RST and ACK, and nothing else
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
			all[f] |= Acks
		}
		if f == rst || f == rst|ack {
			all[f] |= Refuses
		}
	}
	return all
}()

// Shows gives what the flags of a TCP flow show: bits such as Acks and Refuses, of flags as
// in the header of TCP. Of other protocols nothing is shown, 0.
func Shows(tcpFlags uint16) uint8 { return tcpShows[tcpFlags&tcpControl] }

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
	0b00_01: byDestination, 0b00_10: byDestination, 0b01_10: byDestination,
	0b01_00: bySource, 0b10_00: bySource, 0b10_01: bySource,
}

// directions are those of a flow by which end is ours and who opened it.
var directions = [4][4]uint8{
	home.Neither:     {row.Transit, row.Transit, row.Transit, row.Transit},
	home.Source:      {row.Unknown, row.Outbound, row.Inbound, row.Unknown},
	home.Destination: {row.Unknown, row.Inbound, row.Outbound, row.Unknown},
}

// answered has the flag of a flow that refuses nothing, by which end is ours, who opened it, and
// whether the source acknowledged something: what the responder sends is an answer, and what
// the end outside acknowledges is an answer to us.
var answered = func() (all [4][4][2]uint8) {
	for us := range all {
		for initiator := range all[us] {
			for acked := range all[us][initiator] {
				if uint8(initiator) == byDestination || home.Side(us) == home.Destination && acked == 1 {
					all[us][initiator][acked] = row.Answered
				}
			}
		}
	}
	return all
}()

// Facts are what a flow shows.
type Facts struct {
	SrcPort, DstPort uint16
	Mark             decode.Mark
	Shows, Back      uint8 // see Shows; Back is of the way back
	TwoWays          bool  // it counts the way back, too
	Us               home.Side
}

// Seen is what follows from it, for a row, with the directions and flags of package row.
// Port is that of the service, 0 where there is none.
type Seen struct {
	Port             uint16
	Direction, Flags uint8
}

// Plain judges a flow without marks and way back that refuses nothing. Most are so, and at
// random in either direction: there are no branches to be predicted.
func Plain(srcPort, dstPort uint16, shows uint8, us home.Side) Seen {
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
	return Seen{port, directions[us&3][initiator&3], answered[us&3][initiator&3][shows>>1&1]}
}

// Judge judges any flow.
func (f *Facts) Judge() (s Seen) {
	refusal := f.Shows&Refuses != 0 || f.Mark&decode.MarkUnreachable != 0
	port, initiator := f.service(refusal)
	s.Port, s.Direction = port, directions[f.Us&3][initiator&3]
	if initiator == nobody && refusal && f.Us == home.Source && f.refuser() {
		s.Direction = row.Inbound // what we refuse was opened by the other end
	}
	if f.Mark&decode.MarkBlocked != 0 {
		s.Flags = row.Blocked // what was dropped is no answer
		return s
	}
	backRefusal := f.Back&Refuses != 0
	switch {
	case f.TwoWays && !backRefusal && (!refusal || initiator == bySource),
		!refusal && (initiator == byDestination || f.Us == home.Destination && f.Shows&Acks != 0):
		s.Flags = row.Answered
	}
	if refusal && initiator != bySource || f.TwoWays && backRefusal && initiator != byDestination {
		s.Flags |= row.Refused
	}
	return s
}

// service gives the port of the service and who opened the flow: as the record shows it, else
// as a refusal does, else as the ports do.
func (f *Facts) service(refusal bool) (port uint16, initiator uint8) {
	switch {
	case f.Mark&decode.MarkSrcOpened != 0:
		initiator = bySource
	case f.Mark&decode.MarkDstOpened != 0:
		initiator = byDestination
	case f.Shows&opens != 0:
		initiator = bySource
	case f.Back&opens != 0:
		initiator = byDestination
	}
	switch {
	case f.SrcPort == 0 || f.DstPort == 0:
		return f.SrcPort | f.DstPort, initiator
	case initiator == bySource:
		return f.DstPort, initiator
	case initiator == byDestination:
		return f.SrcPort, initiator
	}
	initiator = byRanks[rank[f.SrcPort>>10]<<2|rank[f.DstPort>>10]&15]
	if !refusal || !f.refuser() {
		return min(f.SrcPort, f.DstPort), initiator
	}
	if initiator == bySource {
		initiator = nobody
	}
	return f.SrcPort, initiator
}

// refuser reports whether a refusal by itself shows that its sender is the responder: unless
// only that one uses a client's port.
func (f *Facts) refuser() bool { return f.SrcPort < firstEphemeral || f.DstPort >= firstEphemeral }
