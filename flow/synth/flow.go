package synth

import (
	"net/netip"
	"time"
)

// A Flow is what an exporter has seen and exports. Numbers are in host order.
type Flow struct {
	// Src and Dst are the ends; both are of one family. An IPv4 address mapped
	// into IPv6 is written as the IPv6 address that it is.
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // for ICMP, DstPort is type * 256 + code
	Protocol         uint8  // IANA protocol number

	// Bytes and Packets of the flow. sFlow reports packets, not flows: the
	// sample is one packet of Bytes/Packets bytes (Bytes when Packets is 0),
	// counted as the length of the Ethernet frame with its FCS.
	Bytes, Packets uint64
	TCPFlags       uint16

	// Start and End are exported in milliseconds; a zero time stands for the time of
	// the datagram. sFlow does not export them.
	Start, End time.Time

	InIf, OutIf uint32 // SNMP interface indices

	// The ends after translation, exported when either address is valid; both are
	// then needed, of the family of Src and Dst. v9 and IPFIX only.
	PostNATSrc, PostNATDst         netip.Addr
	PostNATSrcPort, PostNATDstPort uint16

	// The way back of the same conversation, exported when any of them is not 0:
	// a biflow of RFC 5103. IPFIX only.
	RevBytes, RevPackets uint64
	RevTCPFlags          uint16
}

// translated reports whether the flow has post-NAT addresses.
func (f *Flow) translated() bool { return f.PostNATSrc.IsValid() || f.PostNATDst.IsValid() }

// biflow reports whether the flow reports the way back.
func (f *Flow) biflow() bool { return f.RevBytes|f.RevPackets|uint64(f.RevTCPFlags) != 0 }
