package nfdump

import "bytes"

// keys are the names of members in JSON.
var keys = map[string]column{
	"first": first, "last": last, "received": received, "t_first": firstPlain, "t_last": lastPlain, "t_received": received,
	"proto": proto, "tcp_flags": flags, "src_port": srcPort, "dst_port": dstPort, "icmp_type": icmpType, "icmp_code": icmpCode,
	"in_packets": packets, "in_bytes": octets, "out_packets": revPackets, "out_bytes": revOctets,
	"src4_addr": src, "dst4_addr": dst, "src6_addr": src, "dst6_addr": dst,
	"ip4_router": router, "ip6_router": router, "sampled": sampled, "fwd_status": forwarding,
	"event_id": event, "event": event, "src4_xlt_ip": postSrc, "dst4_xlt_ip": postDst,
	"src6_xlt_ip": postSrc, "dst6_xlt_ip": postDst, "src_xlt_port": postSrcPort, "dst_xlt_port": postDstPort,
}

// object reads one object, whose braces were found, into f. Its members may be strings or
// numbers; deeper ones are skipped.
func object(b []byte, c *clock, f *Flow) (reason string) {
	*f = Flow{}
	p := parser{clock: c, flow: f}
	b = b[1 : len(b)-1]
	for {
		b = space(b, ',')
		if len(b) == 0 {
			p.end()
			return ""
		}
		key, rest, ok := quoted(b)
		if !ok {
			return "a member without a name"
		}
		rest = space(rest, ' ')
		if len(rest) == 0 || rest[0] != ':' {
			return "a member without a value"
		}
		rest = space(rest[1:], ' ')
		v, rest, ok := value(rest)
		if !ok {
			return "a value that does not end"
		}
		if col, known := keys[string(key)]; known && !p.set(col, v) {
			return string(key) + ": " + p.reason(col, v)
		}
		b = rest
	}
}

// space steps over white space and one further character.
func space(b []byte, further byte) []byte {
	for i, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != further {
			return b[i:]
		}
	}
	return nil
}

// quoted reads a string up to its closing quote. nfdump escapes nothing; what others have
// escaped stays as it is.
func quoted(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], b[i+1:], true
		}
	}
	return nil, nil, false
}

// value reads a string, a number or word, or steps over an object or array, which gives nothing.
func value(b []byte) (v, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	switch b[0] {
	case '"':
		return quoted(b)
	case '{', '[':
		n, ended := closing(b)
		if !ended {
			return nil, nil, false
		}
		return nil, b[n:], true
	}
	n := 0
	for n < len(b) && b[n] != ',' && b[n] != '\n' {
		n++
	}
	return bytes.TrimSpace(b[:n]), b[n:], true
}

// closing finds the end of the object or array that b begins with: the number of bytes up to
// and including its bracket. Brackets in strings do not count.
func closing(b []byte) (n int, ended bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b[i+1:])
			if end < 0 {
				return 0, false
			}
			i += end + 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return 0, false
}

// stringEnd finds the closing quote; -1 = it is not in b.
func stringEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return -1
		}
		at += i
		escapes := 0
		for at-escapes > 0 && b[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
		at++
	}
}
