package nfdump

import (
	"bytes"
	"math"
)

// A column is what a field of a row is.
type column uint8

const (
	ignored column = iota
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

// headers are the names of fields in the first line of csv.
var headers = map[string]column{
	// Up to 1.7.4.
	"ts": first, "te": last, "td": duration, "sa": src, "da": dst, "sp": srcPort, "dp": dstPort, "pr": proto,
	"flg": flags, "fwd": forwarding, "ipkt": packets, "ibyt": octets, "opkt": revPackets, "obyt": revOctets,
	"ra": router, "tr": received,
	// Later.
	"firstSeen": first, "lastSeen": last, "received": received, "duration": duration, "proto": proto,
	"srcAddr": src, "dstAddr": dst, "srcPort": srcPort, "dstPort": dstPort, "packets": packets,
	"inPackets": packets, "bytes": octets, "inBytes": octets, "outPackets": revPackets, "outBytes": revOctets,
	"flags": flags, "fwdStatus": forwarding, "routerIP": router, "event": event,
	"srcXIP": postSrc, "dstXIP": postDst, "srcXPort": postSrcPort, "dstXPort": postDstPort,
	"icmpTYpe": icmpType, "icmpType": icmpType, "icmpCode": icmpCode,
}

// legacy is the first line of all versions up to 1.7.4, which -q leaves out.
const legacy = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,svln,dvln,ismc,odmc,idmc,osmc,mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,cl,sl,al,ra,eng,exid,tr"

// A csvReader reads the rows of one table after the other.
type csvReader struct {
	clock   *clock
	columns []column
	// skip is set from the summary to the next header.
	skip bool
}

// header takes a first line; why is empty when its rows can be imported.
func (r *csvReader) header(line []byte) (why string) {
	r.columns = r.columns[:0]
	has := make(map[column]bool)
	for name := range bytes.SplitSeq(line, []byte{','}) {
		c := headers[string(bytes.TrimSpace(name))]
		r.columns = append(r.columns, c)
		has[c] = true
	}
	r.skip = false
	switch {
	case !has[src] || !has[dst]:
		r.skip = true
		return "its fields have no source and destination address; statistics (-s) and most aggregations (-A) are no flows"
	case !has[first] && !has[last] && !has[received]:
		r.skip = true
		return "its fields have no time"
	}
	return ""
}

// isHeader reports whether a line has the names of fields.
func isHeader(line []byte) bool {
	if len(line) > 0 && line[0] <= '9' {
		return false // quickly: most rows begin with a number
	}
	name, _, more := bytes.Cut(line, []byte{','})
	_, known := headers[string(bytes.TrimSpace(name))]
	return more && (known || bytes.HasPrefix(line, []byte("cnt,")) || bytes.Contains(line, []byte(",srcAddr,")) || bytes.Contains(line, []byte(",sa,")))
}

// row reads one line into f; reason is why it could not.
func (r *csvReader) row(line []byte, f *Flow) (reason string) {
	*f = Flow{}
	p := parser{clock: r.clock, flow: f}
	n := 0
	for field := range bytes.SplitSeq(line, []byte{','}) {
		if n == len(r.columns) {
			n++
			break
		}
		if c := r.columns[n]; c != ignored && !p.set(c, bytes.TrimSpace(field)) {
			return p.reason(c, field)
		}
		n++
	}
	if n != len(r.columns) {
		return "another number of fields than the first line names"
	}
	p.end()
	return ""
}

// A parser sets the fields of one flow.
type parser struct {
	clock          *clock
	flow           *Flow
	duration       int64
	kind, code     uint8
	hasKind        bool
	hasDestination bool
}

// set takes one value; false when it is not of its kind.
func (p *parser) set(c column, b []byte) (ok bool) {
	f := p.flow
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
		f.First, ok = p.clock.time(b, c == firstPlain)
	case last, lastPlain:
		f.Last, ok = p.clock.time(b, c == lastPlain)
	case received:
		f.Received, ok = p.clock.time(b, false)
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

// end sets what several values make together.
func (p *parser) end() {
	f := p.flow
	if f.Last == 0 && f.First != 0 {
		f.Last = f.First + p.duration
	}
	if p.hasKind && !p.hasDestination && icmp(f.Protocol) {
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

// reason is what a value should have been.
func (p *parser) reason(c column, b []byte) string {
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
	return `"` + printable(b[:min(len(b), 40)]) + `" is not a valid ` + what
}
