package field

import "math"

// A Column is what a field of a row is; 0 = nothing that is read.
type Column uint8

const (
	_ Column = iota
	src
	dst
	srcPort
	dstPort
	proto
	flags
	first
	firstPlain // with milliseconds that have no leading zeros
	last
	lastPlain
	received
	duration
	octets
	packets
	revOctets
	revPackets
	router
	sampled
	forwarding
	event
	postSrc
	postDst
	postSrcPort
	postDstPort
	icmpType
	icmpCode
)

// A Parser sets the fields of one flow, which must be empty at the beginning.
type Parser struct {
	Clock          *Clock
	Flow           *Flow
	duration       int64
	kind, code     uint8
	hasKind        bool
	hasDestination bool
}

// Set takes one value, without white space around it; false when it is not of its kind.
func (p *Parser) Set(c Column, b []byte) (ok bool) {
	f := p.Flow
	switch c {
	case src:
		f.Src, ok = address(b)
	case dst:
		f.Dst, ok = address(b)
	case srcPort:
		f.SrcPort, ok = port(b)
	case dstPort:
		f.DstPort, ok = port(b)
		p.hasDestination = true
	case proto:
		f.Protocol, ok = protocol(b)
	case flags:
		f.TCPFlags, ok = tcpFlags(b)
	case first, firstPlain:
		f.First, ok = p.Clock.time(b, c == firstPlain)
	case last, lastPlain:
		f.Last, ok = p.Clock.time(b, c == lastPlain)
	case received:
		f.Received, ok = p.Clock.time(b, false)
	case duration:
		p.duration, ok = seconds(b)
	case octets:
		f.Bytes, ok = number(b)
	case packets:
		f.Packets, ok = number(b)
	case revOctets:
		f.RevBytes, ok = number(b)
	case revPackets:
		f.RevPackets, ok = number(b)
	case router:
		f.Exporter, ok = hasAddress(b)
	case sampled:
		f.Sampled, ok = len(b) == 1 && b[0] == '1', true
	case forwarding:
		f.ForwardingStatus, ok = small(b)
	case event:
		f.FirewallEvent, ok = firewallEvent(b), true
	case postSrc:
		f.PostNATSrc, ok = hasAddress(b)
	case postDst:
		f.PostNATDst, ok = hasAddress(b)
	case postSrcPort:
		f.PostNATSrcPort, ok = port(b)
	case postDstPort:
		f.PostNATDstPort, ok = port(b)
	case icmpType:
		p.kind, ok = small(b)
		p.hasKind = true
	case icmpCode:
		p.code, ok = small(b)
	default:
		ok = true
	}
	return ok
}

// End sets what several values make together.
func (p *Parser) End() {
	f := p.Flow
	if f.Last == 0 && f.First != 0 {
		f.Last = f.First + p.duration
	}
	if p.hasKind && !p.hasDestination && f.ICMP() {
		f.DstPort = uint16(p.kind)<<8 | uint16(p.code)
	}
}

func small(b []byte) (uint8, bool) {
	n, ok := number(b)
	return uint8(n), ok && n <= math.MaxUint8
}

// firewallEvent reads a number, or the word that nfdump has for it; another word is no event.
func firewallEvent(b []byte) uint8 {
	switch string(b) {
	case "CREATE":
		return 1
	case "DELETE":
		return 2
	case "DENIED":
		return 3
	case "ALERT":
		return 4
	case "UPDATE":
		return 5
	}
	n, _ := small(b)
	return n
}

// Reason is why a value could not be set: what it should have been.
func (c Column) Reason(b []byte) string {
	what := "number"
	switch c {
	case src, dst, router, postSrc, postDst:
		what = "address"
	case first, firstPlain, last, lastPlain, received:
		what = "time"
	case duration:
		what = "duration"
	case proto:
		what = "protocol"
	case flags:
		what = "set of TCP flags"
	case srcPort, dstPort, postSrcPort, postDstPort:
		what = "port"
	}
	return `"` + Printable(b[:min(len(b), 40)], 40) + `" is not a valid ` + what
}
