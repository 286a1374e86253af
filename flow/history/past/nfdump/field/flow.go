package field

import "net/netip"

// A Flow is one row, as far as a history needs it. Addresses are unmapped, numbers in host order.
type Flow struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of ICMP the DstPort is type * 256 + code
	Protocol         uint8  // IANA protocol number
	TCPFlags         uint8
	// First and Last are the start and the end of the flow, Received when nfcapd got its
	// record; ms since 1970 UTC, 0 = not there. At least one of them is.
	First, Last, Received int64
	// Bytes and Packets went from Src to Dst, RevBytes and RevPackets back, in the same
	// record. All of them are multiplied by the sampling rate already.
	Bytes, Packets, RevBytes, RevPackets uint64
	// Exporter is the address of the device; invalid = not there.
	Exporter netip.Addr
	// Sampled is set when not all packets were seen. nfdump does not print the rate.
	Sampled bool
	// ForwardingStatus is IPFIX element 89, FirewallEvent element 233; 0 = not there.
	ForwardingStatus, FirewallEvent uint8
	// PostNATSrc and PostNATDst are the ends after translation; invalid = not there.
	PostNATSrc, PostNATDst         netip.Addr
	PostNATSrcPort, PostNATDstPort uint16
}

// At is when the record was received, else the end of the flow, else its start.
func (f *Flow) At() int64 {
	switch {
	case f.Received != 0:
		return f.Received
	case f.Last != 0:
		return f.Last
	}
	return f.First
}

// ICMP reports whether the flow is one of ICMP or ICMPv6.
func (f *Flow) ICMP() bool { return f.Protocol == 1 || f.Protocol == 58 }

// Printable cuts a text of an input for a message, to a number of bytes, and replaces what a
// terminal could take for a command.
func Printable(b []byte, most int) string {
	cut := len(b) > most
	if cut {
		b = b[:most]
	}
	out := make([]byte, 0, len(b)+3)
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = ' '
		}
		out = append(out, c)
	}
	if cut {
		out = append(out, "..."...)
	}
	return string(out)
}
