package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/capture/file"
)

// The link types that are read, by their numbers in files.
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRaw12    = 12 // DLT_RAW of most systems
	linkRaw14    = 14 // DLT_RAW of OpenBSD
	linkPPPHDLC  = 50
	linkPPPoE    = 51
	linkRaw      = 101
	linkHDLC     = 104
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// linkNames lists them for an error.
func linkNames() string {
	return strings.Join([]string{
		"0 NULL", "1 ETHERNET", "9 PPP", "12, 14 and 101 RAW", "50 PPP_HDLC", "51 PPP_ETHER",
		"104 C_HDLC", "108 LOOP", "113 LINUX_SLL", "228 IPV4", "229 IPV6", "276 LINUX_SLL2",
	}, ", ")
}

// checkLink refuses a link type whose frames are not read.
func checkLink(link uint16) error {
	switch link {
	case linkNull, linkEthernet, linkPPP, linkRaw12, linkRaw14, linkPPPHDLC, linkPPPoE,
		linkRaw, linkHDLC, linkLoop, linkSLL, linkIPv4, linkIPv6, linkSLL2:
		return nil
	}
	return fmt.Errorf("link type %d is not supported (supported: %s)", link, linkNames())
}

// The EtherTypes on the way to IP.
const (
	etherLLC     = 0x0600 // less than this is no type, and an LLC header follows
	etherIPv4    = 0x0800
	etherVLAN    = 0x8100 // 802.1Q
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848 // upstream-assigned labels, once multicast
	etherPPPoE   = 0x8864
	etherQinQ    = 0x88a8 // 802.1ad
	etherQinQOld = 0x9100 // and 9200, 9300: before 802.1ad
)

// snapHeader is the LLC/SNAP header that an EtherType follows. It is never
// written to.
var snapHeader = []byte{0xaa, 0xaa, 3, 0, 0, 0}

// findPacket takes the frame apart down to the protocol above IP. With isUDP the
// packet's data begin with the UDP header; with isFragment they are a fragment.
func findPacket(f *file.Frame) (packet, finding) {
	version, b, what := network(f.Link, f.Data)
	if what != isUDP {
		return packet{}, what
	}
	if version == 4 {
		return readIPv4(b)
	}
	return readIPv6(b)
}

// network finds the IP packet, version 4 or 6, in a frame. isUDP stands for
// "found" here and below: nothing speaks against a datagram yet.
func network(link uint16, b []byte) (version int, ip []byte, what finding) {
	switch link {
	case linkEthernet:
		return tagged(b, 12)
	case linkSLL:
		return tagged(b, 14)
	case linkSLL2:
		// The protocol stands at the head of the 20 bytes, not at their end.
		if len(b) < 20 {
			return 0, nil, isShort
		}
		return ethertype(binary.BigEndian.Uint16(b), b[20:])
	case linkHDLC:
		return tagged(b, 2)
	case linkPPP:
		return ppp(b)
	case linkPPPHDLC:
		// Cisco's framing has an address of its own, 0f or 8f.
		if len(b) > 0 && b[0]&0x7f == 0x0f {
			return tagged(b, 2)
		}
		return ppp(b)
	case linkPPPoE:
		return pppoe(b)
	case linkNull, linkLoop:
		return loopback(b)
	case linkIPv4:
		return 4, b, isUDP
	case linkIPv6:
		return 6, b, isUDP
	case linkRaw, linkRaw12, linkRaw14:
		return byVersion(b)
	}
	return 0, nil, isUnknownLink
}

// tagged reads the EtherType at offset at and what follows it.
func tagged(b []byte, at int) (int, []byte, finding) {
	if len(b) < at+2 {
		return 0, nil, isShort
	}
	return ethertype(binary.BigEndian.Uint16(b[at:]), b[at+2:])
}

// ethertype passes VLAN tags and LLC/SNAP headers (RFC 1042), in whatever number
// and order, and goes on with what they hold.
func ethertype(t uint16, b []byte) (int, []byte, finding) {
	for {
		n := 4
		switch t {
		case etherIPv4:
			return 4, b, isUDP
		case etherIPv6:
			return 6, b, isUDP
		case etherMPLS, etherMPLSUp:
			return mpls(b)
		case etherPPPoE:
			return pppoe(b)
		case etherVLAN, etherQinQ, etherQinQOld, 0x9200, 0x9300:
		default:
			if n = 8; t >= etherLLC || !bytes.HasPrefix(b, snapHeader) {
				return 0, nil, isNotIP
			}
		}
		if len(b) < n {
			return 0, nil, isShort
		}
		t, b = binary.BigEndian.Uint16(b[n-2:]), b[n:]
	}
}

// mpls passes a label stack (RFC 3032). What follows it is not said; IP shows by
// its version, and a pseudowire mostly by its control word.
func mpls(b []byte) (int, []byte, finding) {
	for len(b) >= 4 {
		bottom := b[2]&1 != 0
		b = b[4:]
		if bottom {
			return byVersion(b)
		}
	}
	return 0, nil, isShort
}

// pppoe reads a PPPoE session header (RFC 2516).
func pppoe(b []byte) (int, []byte, finding) {
	if len(b) < 6 {
		return 0, nil, isShort
	}
	if b[0] != 0x11 || b[1] != 0 {
		return 0, nil, isNotIP
	}
	return ppp(b[6:])
}

// ppp reads a PPP header (RFC 1661), with or without the HDLC address ff 03 and
// with the protocol in two bytes or, compressed, in one.
func ppp(b []byte) (int, []byte, finding) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		return 0, nil, isShort
	}
	proto, n := binary.BigEndian.Uint16(b), 2
	if b[0]&1 != 0 {
		proto, n = uint16(b[0]), 1
	}
	switch proto {
	case 0x0021:
		return 4, b[n:], isUDP
	case 0x0057:
		return 6, b[n:], isUDP
	case 0x0281, 0x0283:
		return mpls(b[n:])
	}
	return 0, nil, isNotIP
}

// loopback reads the address family of a loopback frame. It is in the byte order
// of the host for NULL, and in network order for LOOP, which writers confuse; a
// family fits in one byte, so the order shows.
func loopback(b []byte) (int, []byte, finding) {
	if len(b) < 4 {
		return 0, nil, isShort
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xff {
		family = binary.LittleEndian.Uint32(b)
	}
	switch family {
	case 2:
		return 4, b[4:], isUDP
	case 10, 23, 24, 28, 30: // Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin
		return 6, b[4:], isUDP
	}
	return 0, nil, isNotIP
}

// byVersion distinguishes IPv4 from IPv6 by the first four bits.
func byVersion(b []byte) (int, []byte, finding) {
	if len(b) == 0 {
		return 0, nil, isShort
	}
	if v := int(b[0] >> 4); v == 4 || v == 6 {
		return v, b, isUDP
	}
	return 0, nil, isNotIP
}
