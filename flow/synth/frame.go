package synth

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Lengths of headers, bytes.
const (
	ethernetLen = 14
	ipv4Len     = 20
	ipv6Len     = 40
)

// headersLen is the length of the Ethernet, IP and transport headers.
func (f *Flow) headersLen() int {
	if f.Src.Is4() {
		return ethernetLen + ipv4Len + transportLen(f.Protocol)
	}
	return ethernetLen + ipv6Len + transportLen(f.Protocol)
}

func transportLen(proto uint8) int {
	switch proto {
	case flow.ProtocolTCP:
		return 20
	case flow.ProtocolUDP, flow.ProtocolICMP, flow.ProtocolICMPv6:
		return 8
	}
	return 0
}

// appendFrame appends the first headerLen bytes of a packet of the flow: Ethernet,
// IP and transport header with right lengths and checksums, then a payload of
// zeros.
func appendFrame(b []byte, f *Flow) []byte {
	start := len(b)
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1) // locally administered MACs
	length := f.frameLen() - ethernetLen - fcsLen
	if f.Src.Is4() {
		b = append(b, 0x08, 0x00)
		b = appendIPv4(b, f, length)
		b = appendTransport(b, f, length-ipv4Len)
	} else {
		b = append(b, 0x86, 0xdd)
		b = appendIPv6(b, f, length-ipv6Len)
		b = appendTransport(b, f, length-ipv6Len)
	}
	return append(b, make([]byte, f.headerLen()-(len(b)-start))...)
}

// appendIPv4 appends an IPv4 header (RFC 791); total is the packet's length.
func appendIPv4(b []byte, f *Flow, total int) []byte {
	start := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = append(b, 0, 0, 0x40, 0) // identification, don't fragment
	b = append(b, 64, f.Protocol, 0, 0)
	b = appendAddr(appendAddr(b, f.Src), f.Dst)
	putChecksum(b[start+10:], sum16(0, b[start:]))
	return b
}

// appendIPv6 appends an IPv6 header (RFC 8200); payload is the length after it.
func appendIPv6(b []byte, f *Flow, payload int) []byte {
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(payload))
	b = append(b, f.Protocol, 64)
	return appendAddr(appendAddr(b, f.Src), f.Dst)
}

// appendAddr appends an address in its own length.
func appendAddr(b []byte, a netip.Addr) []byte { return append(b, a.AsSlice()...) }

// appendTransport appends the header of TCP, UDP or ICMP, and none for any other
// protocol; length is that of header and payload.
func appendTransport(b []byte, f *Flow, length int) []byte {
	start := len(b)
	sumAt := 0
	switch f.Protocol {
	case flow.ProtocolTCP:
		b = appendPorts(b, f)
		b = append(b, make([]byte, 8)...) // sequence, acknowledgment
		b = append(b, 0x50|byte(f.TCPFlags>>8), byte(f.TCPFlags), 0xff, 0xff)
		b = append(b, 0, 0, 0, 0) // checksum, urgent pointer
		sumAt = 16
	case flow.ProtocolUDP:
		b = appendPorts(b, f)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
		b = append(b, 0, 0)
		sumAt = 6
	case flow.ProtocolICMP, flow.ProtocolICMPv6:
		b = binary.BigEndian.AppendUint16(b, f.DstPort) // type and code
		b = append(b, 0, 0, 0, 0, 0, 0)
		sumAt = 2
	default:
		return b
	}
	// The payload is all zeros and adds nothing to the sum.
	sum := sum16(pseudoSum(f, length), b[start:])
	putChecksum(b[start+sumAt:], sum)
	return b
}

func appendPorts(b []byte, f *Flow) []byte {
	b = binary.BigEndian.AppendUint16(b, f.SrcPort)
	return binary.BigEndian.AppendUint16(b, f.DstPort)
}

// pseudoSum is the sum over the pseudo header (RFC 9293 section 3.1, RFC 8200
// section 8.1); ICMP for IPv4 has none.
func pseudoSum(f *Flow, length int) uint32 {
	if f.Protocol == flow.ProtocolICMP {
		return 0
	}
	sum := uint32(f.Protocol) + uint32(length)
	for _, a := range [...]netip.Addr{f.Src, f.Dst} {
		sum = sum16(sum, a.AsSlice())
	}
	return sum
}

// sum16 adds b, of even length, to sum as 16-bit words (RFC 1071).
func sum16(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum
}

// putChecksum writes the complement of a sum. 0xffff stands for 0, which would
// mean "no checksum" in UDP and is the same number to every other protocol.
func putChecksum(b []byte, sum uint32) {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum = 0xffff &^ sum; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b, uint16(sum))
}
