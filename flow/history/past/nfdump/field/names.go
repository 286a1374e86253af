package field

import "slices"

// headers are the names of fields in the first line of csv.
var headers = map[string]Column{
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

// FromCSV gives the column that a name in the first line of csv stands for; false = it is not known.
func FromCSV(name []byte) (Column, bool) {
	c, known := headers[string(name)]
	return c, known
}

// keys are the names of members in JSON.
var keys = map[string]Column{
	"first": first, "last": last, "received": received, "t_first": firstPlain, "t_last": lastPlain, "t_received": received,
	"proto": proto, "tcp_flags": flags, "src_port": srcPort, "dst_port": dstPort, "icmp_type": icmpType, "icmp_code": icmpCode,
	"in_packets": packets, "in_bytes": octets, "out_packets": revPackets, "out_bytes": revOctets,
	"src4_addr": src, "dst4_addr": dst, "src6_addr": src, "dst6_addr": dst,
	"ip4_router": router, "ip6_router": router, "sampled": sampled, "fwd_status": forwarding,
	"event_id": event, "event": event, "src4_xlt_ip": postSrc, "dst4_xlt_ip": postDst,
	"src6_xlt_ip": postSrc, "dst6_xlt_ip": postDst, "src_xlt_port": postSrcPort, "dst_xlt_port": postDstPort,
}

// FromJSON gives the column that the name of a member of JSON stands for; false = it is not known.
func FromJSON(name []byte) (Column, bool) {
	c, known := keys[string(name)]
	return c, known
}

// Lacks is why rows with these columns are no flows, or have no time; empty = they can be read.
func Lacks(columns []Column) string {
	has := func(c Column) bool { return slices.Contains(columns, c) }
	switch {
	case !has(src) || !has(dst):
		return "its fields have no source and destination address; statistics (-s) and most aggregations (-A) are no flows"
	case !has(first) && !has(last) && !has(received):
		return "its fields have no time"
	}
	return ""
}
