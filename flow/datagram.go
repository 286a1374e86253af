package flow

import (
	"net/netip"
	"time"
)

// A Datagram is one UDP payload as an exporter sent it.
//
// Payload is borrowed: it belongs to the source of the datagram (a socket's
// receive buffer, a capture reader) and is valid only until the source is asked
// for the next datagram. Whoever needs longer copies.
type Datagram struct {
	Payload []byte
	// Source is the sender, its address unmapped (never ::ffff:a.b.c.d).
	Source netip.AddrPort
	// Received is the time of receipt: the wall clock with its monotonic
	// reading when live, read once per batch; the packet's own time in a capture.
	Received time.Time
	// Frame is the number of the frame in a capture, from 1; 0 when live.
	Frame int
}

// Version names an export protocol. The NetFlow and IPFIX values are the version
// numbers on the wire.
type Version uint8

// The protocols that are read.
const (
	V5    Version = 5  // NetFlow v5
	V9    Version = 9  // NetFlow v9, RFC 3954
	IPFIX Version = 10 // RFC 7011
	SFlow Version = 15 // sFlow v5; on the wire it is 5 in four bytes
)

// String gives "v5", "v9", "ipfix" or "sflow", as flags and tables print it.
func (v Version) String() string {
	switch v {
	case V5:
		return "v5"
	case V9:
		return "v9"
	case IPFIX:
		return "ipfix"
	case SFlow:
		return "sflow"
	}
	return "unknown"
}

// Detect returns the protocol of a payload by its first bytes, never by a port:
// exporters are pointed at whatever port is open. ok is false for anything else,
// too short payloads included.
func Detect(payload []byte) (v Version, ok bool) {
	if len(payload) < 4 {
		return 0, false
	}
	switch {
	case payload[0] == 0 && payload[1] == 5:
		return V5, true
	case payload[0] == 0 && payload[1] == 9:
		return V9, true
	case payload[0] == 0 && payload[1] == 10:
		return IPFIX, true
	case payload[0] == 0 && payload[1] == 0 && payload[2] == 0 && payload[3] == 5:
		return SFlow, true
	}
	return 0, false
}
