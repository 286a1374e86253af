package synth

import (
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// withoutEnds leaves out the addresses and ports of source and destination.
func withoutEnds(fields []field) []field {
	return slices.DeleteFunc(fields, func(f field) bool {
		switch f.id {
		case 8, 12, 27, 28, 7, 11:
			return true
		}
		return false
	})
}

// connectionFields are the ends as Cisco's Application Visibility and Control exports
// them: clientIPv4Address (45004), serverIPv4Address, clientIPv6Address,
// serverIPv6Address, clientTransportPort and serverTransportPort (45009), and
// biflowDirection (239, RFC 5103 section 6.3): 1 when the source is the client, 2 when the
// destination is. In IPFIX the top bit of Cisco's numbers stands for the enterprise number.
func connectionFields(v flow.Version, ipv6 bool) []field {
	addresses, length := uint16(45004), 4
	if ipv6 {
		addresses, length = 45006, 16
	}
	fields := []field{
		{id: addresses, width: length, addr: func(f *Flow) netip.Addr { c, _ := f.connection(); return c.Addr() }},
		{id: addresses + 1, width: length, addr: func(f *Flow) netip.Addr { _, s := f.connection(); return s.Addr() }},
		number(45008, 2, func(f *Flow) uint64 { c, _ := f.connection(); return uint64(c.Port()) }),
		number(45009, 2, func(f *Flow) uint64 { _, s := f.connection(); return uint64(s.Port()) }),
	}
	if v == flow.IPFIX {
		for i := range fields {
			fields[i].id &= 0x7fff
			fields[i].pen = ciscoPEN
		}
	}
	return append(fields, number(239, 1, func(f *Flow) uint64 {
		if f.fromServer() {
			return 2
		}
		return 1
	}))
}

// fromServer reports whether the source is the server.
func (f *Flow) fromServer() bool {
	return (f.Protocol == flow.ProtocolTCP || f.Protocol == flow.ProtocolUDP) && f.SrcPort < f.DstPort
}

// connection gives the two ends as client and server.
func (f *Flow) connection() (client, server netip.AddrPort) {
	client, server = netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort)
	if f.fromServer() {
		client, server = server, client
	}
	return client, server
}

// countTotals replaces octetDeltaCount (1) and packetDeltaCount (2) by octetTotalCount (85)
// and packetTotalCount (86), forth and back.
func countTotals(fields []field) {
	for i := range fields {
		if f := &fields[i]; (f.id == 1 || f.id == 2) && f.pen != ciscoPEN {
			f.id += 84
		}
	}
}
