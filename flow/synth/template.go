package synth

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Template ids. A data template's id is firstTemplate plus the bits of what it
// has beyond a plain IPv4 flow.
const (
	firstTemplate   = 256
	bitIPv6         = 1
	bitTranslated   = 2
	bitBiflow       = 4
	optionsTemplate = 300
)

// Enterprise numbers of elements in IPFIX.
const (
	ciscoPEN   = 9
	reversePEN = 29305 // elements of the way back (RFC 5103 section 6.1)
)

// A field is one column of a template: an information element, its width in
// bytes, and where its value comes from. Exactly one of addr and num is set.
type field struct {
	id    uint16
	width int
	pen   uint32 // enterprise number in the template; 0 for IANA's elements and in v9
	addr  func(*Flow) netip.Addr
	num   func(*Flow, clock) uint64
}

// A layout is a template as the encoder uses it.
type layout struct {
	id     uint16
	fields []field
	size   int // of a record, bytes
	// startAt and endAt are the offsets of the times in a record; wide: they have 8
	// bytes, not 4.
	startAt, endAt int
	wide           bool
}

// layoutsOf gives the templates of an exporter, by the bits of their ids; none in v5 and
// sFlow.
func layoutsOf(cfg Config) []layout {
	n := 0
	switch cfg.Version {
	case flow.V9:
		n = 4
	case flow.IPFIX:
		n = 8
	}
	all := make([]layout, n)
	for bits := range all {
		all[bits] = newLayout(cfg, bits)
	}
	return all
}

func newLayout(cfg Config, bits int) layout {
	v, ipv6 := cfg.Version, bits&bitIPv6 != 0
	fields := plainFields(v, ipv6)
	if cfg.AVC {
		fields = append(withoutEnds(fields), connectionFields(v, ipv6)...)
	}
	if bits&bitTranslated != 0 {
		fields = append(fields, natFields(ipv6)...)
	}
	if bits&bitBiflow != 0 {
		fields = append(fields, reverseFields()...)
	}
	if cfg.Totals {
		countTotals(fields)
	}
	fields = slices.Concat(fields[cfg.Order:], fields[:cfg.Order])
	l := layout{id: firstTemplate + uint16(bits), fields: fields, wide: v == flow.IPFIX}
	for _, f := range fields {
		switch f.id {
		case startElement(v):
			l.startAt = l.size
		case endElement(v):
			l.endAt = l.size
		}
		l.size += f.width
	}
	return l
}

// startElement and endElement are flowStartSysUpTime and flowEndSysUpTime in v9,
// flowStartMilliseconds and flowEndMilliseconds in IPFIX.
func startElement(v flow.Version) uint16 {
	if v == flow.V9 {
		return 22
	}
	return 152
}

func endElement(v flow.Version) uint16 {
	if v == flow.V9 {
		return 21
	}
	return 153
}

// layoutOf gives the template that has all of a flow.
func layoutOf(all []layout, f *Flow) (*layout, error) {
	bits := 0
	if !f.Src.Is4() {
		bits |= bitIPv6
	}
	if f.translated() {
		bits |= bitTranslated
	}
	if f.biflow() {
		bits |= bitBiflow
	}
	if bits >= len(all) {
		return nil, fmt.Errorf("synth: v9 cannot encode reverse counters: %w", ErrNotExpressible)
	}
	return &all[bits], nil
}

// plainFields are the 18 fields that routers are commonly set to export: 53 bytes
// for IPv4 in v9. IPFIX has the same with counters, flags and times at their
// native width.
func plainFields(v flow.Version, ipv6 bool) []field {
	src, dst, hop, srcMask, dstMask, addrLen := uint16(8), uint16(12), uint16(15), uint16(9), uint16(13), 4
	if ipv6 {
		src, dst, hop, srcMask, dstMask, addrLen = 27, 28, 62, 29, 30, 16
	}
	counter, flags, start, end := 4, 1, uptimeField(22, flowStart), uptimeField(21, flowEnd)
	if v == flow.IPFIX {
		counter, flags, start, end = 8, 2, epochField(152, flowStart), epochField(153, flowEnd)
	}
	return []field{
		{id: src, width: addrLen, addr: func(f *Flow) netip.Addr { return f.Src }},
		{id: dst, width: addrLen, addr: func(f *Flow) netip.Addr { return f.Dst }},
		{id: hop, width: addrLen, addr: unspecifiedHop},
		number(10, 4, func(f *Flow) uint64 { return uint64(f.InIf) }),
		number(14, 4, func(f *Flow) uint64 { return uint64(f.OutIf) }),
		number(2, counter, func(f *Flow) uint64 { return f.Packets }),
		number(1, counter, func(f *Flow) uint64 { return f.Bytes }),
		start, end,
		number(7, 2, func(f *Flow) uint64 { return uint64(f.SrcPort) }),
		number(11, 2, func(f *Flow) uint64 { return uint64(f.DstPort) }),
		number(6, flags, func(f *Flow) uint64 { return uint64(f.TCPFlags) }),
		number(4, 1, func(f *Flow) uint64 { return uint64(f.Protocol) }),
		number(5, 1, zero),                       // type of service
		number(16, 4, zero), number(17, 4, zero), // AS numbers
		number(srcMask, 1, zero), number(dstMask, 1, zero),
	}
}

// natFields are the addresses and ports after translation (RFC 8158).
func natFields(ipv6 bool) []field {
	src, dst, addrLen := uint16(225), uint16(226), 4
	if ipv6 {
		src, dst, addrLen = 281, 282, 16
	}
	return []field{
		{id: src, width: addrLen, addr: func(f *Flow) netip.Addr { return f.PostNATSrc }},
		{id: dst, width: addrLen, addr: func(f *Flow) netip.Addr { return f.PostNATDst }},
		number(227, 2, func(f *Flow) uint64 { return uint64(f.PostNATSrcPort) }),
		number(228, 2, func(f *Flow) uint64 { return uint64(f.PostNATDstPort) }),
	}
}

// reverseFields are the counters of the way back (RFC 5103).
func reverseFields() []field {
	fields := []field{
		number(1, 8, func(f *Flow) uint64 { return f.RevBytes }),
		number(2, 8, func(f *Flow) uint64 { return f.RevPackets }),
		number(6, 2, func(f *Flow) uint64 { return uint64(f.RevTCPFlags) }),
	}
	for i := range fields {
		fields[i].pen = reversePEN
	}
	return fields
}
