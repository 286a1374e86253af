package template

// A target is a place in a flow.Record that elements are read into.
type target uint8

const (
	tNone target = iota
	tSrcPort
	tDstPort
	tProtocol
	tBytes
	tPackets
	tTCPFlags
	tRevBytes
	tRevPackets
	tRevTCPFlags
	tRespBytes
	tRespPackets
	tNATSrcPort
	tNATDstPort
	tInIf
	tOutIf
	tSrcAS
	tDstAS
	tDirection
	tNATEvent
	tFirewallEvent
	tForwarding
	tICMP
	tICMPType
	tICMPCode
	tFlowEndReason
	tBiflowDirection
	tFrameSize
	tSampler
	tStart
	tEnd
	tEvent // one time for both ends, when there is no other
	tInit  // systemInitTimeMilliseconds
	tIPVersion
	tClientPort
	tCard
	tServerPort
	tInnerSrcPort
	tInnerDstPort
	tInnerProtocol
	numTargets
)

// An element names what a field of a template is read into. rank orders the
// elements of one target: the lowest that is there counts.
type element struct {
	target target
	rank   uint8
}

// Enterprise numbers whose elements are read.
const (
	penCisco     = 9
	penReverse   = 29305 // RFC 5103: the same element of the way back
	penVMware    = 6876  // NSX: the tenant's (inner) addresses and ports
	penBarracuda = 10704
)

// elements are the information elements (IANA registry; the same numbers in v9)
// whose values are plain numbers. Addresses, sections and sampling rates have
// tables of their own.
var elements = map[uint16]element{
	1:   {tBytes, 0},           // octetDeltaCount
	85:  {tBytes, 1},           // octetTotalCount
	23:  {tBytes, 2},           // postOctetDeltaCount
	231: {tBytes, 3},           // initiatorOctets
	352: {tBytes, 4},           // layer2OctetDeltaCount: frames, so only where nothing else counts
	353: {tBytes, 5},           // layer2OctetTotalCount
	2:   {tPackets, 0},         // packetDeltaCount
	86:  {tPackets, 1},         // packetTotalCount
	24:  {tPackets, 2},         // postPacketDeltaCount
	298: {tPackets, 3},         // initiatorPackets
	232: {tRespBytes, 0},       // responderOctets
	299: {tRespPackets, 0},     // responderPackets
	4:   {tProtocol, 0},        // protocolIdentifier
	6:   {tTCPFlags, 0},        // tcpControlBits
	7:   {tSrcPort, 0},         // sourceTransportPort
	180: {tSrcPort, 1},         // udpSourcePort
	182: {tSrcPort, 2},         // tcpSourcePort
	11:  {tDstPort, 0},         // destinationTransportPort
	181: {tDstPort, 1},         // udpDestinationPort
	183: {tDstPort, 2},         // tcpDestinationPort
	227: {tNATSrcPort, 0},      // postNAPTSourceTransportPort
	228: {tNATDstPort, 0},      // postNAPTDestinationTransportPort
	10:  {tInIf, 0},            // ingressInterface
	14:  {tOutIf, 0},           // egressInterface
	16:  {tSrcAS, 0},           // bgpSourceAsNumber
	17:  {tDstAS, 0},           // bgpDestinationAsNumber
	61:  {tDirection, 0},       // flowDirection
	230: {tNATEvent, 0},        // natEvent
	233: {tFirewallEvent, 0},   // firewallEvent
	89:  {tForwarding, 0},      // forwardingStatus
	32:  {tICMP, 0},            // icmpTypeCodeIPv4
	139: {tICMP, 1},            // icmpTypeCodeIPv6
	176: {tICMPType, 0},        // icmpTypeIPv4
	178: {tICMPType, 1},        // icmpTypeIPv6
	177: {tICMPCode, 0},        // icmpCodeIPv4
	179: {tICMPCode, 1},        // icmpCodeIPv6
	136: {tFlowEndReason, 0},   // flowEndReason
	239: {tBiflowDirection, 0}, // biflowDirection
	312: {tFrameSize, 0},       // dataLinkFrameSize
	302: {tSampler, 0},         // selectorId
	48:  {tSampler, 1},         // samplerId
	152: {tStart, 0},           // flowStartMilliseconds
	154: {tStart, 1},           // flowStartMicroseconds
	156: {tStart, 2},           // flowStartNanoseconds
	150: {tStart, 3},           // flowStartSeconds
	158: {tStart, 4},           // flowStartDeltaMicroseconds
	22:  {tStart, 5},           // flowStartSysUpTime
	153: {tEnd, 0},             // flowEndMilliseconds
	155: {tEnd, 1},             // flowEndMicroseconds
	157: {tEnd, 2},             // flowEndNanoseconds
	151: {tEnd, 3},             // flowEndSeconds
	159: {tEnd, 4},             // flowEndDeltaMicroseconds
	21:  {tEnd, 5},             // flowEndSysUpTime
	323: {tEvent, 0},           // observationTimeMilliseconds
	324: {tEvent, 1},           // observationTimeMicroseconds
	325: {tEvent, 2},           // observationTimeNanoseconds
	322: {tEvent, 3},           // observationTimeSeconds
	160: {tInit, 0},            // systemInitTimeMilliseconds
	60:  {tIPVersion, 0},       // ipVersion
	141: {tCard, 0},            // lineCardId
	39:  {tCard, 1},            // engineId
}

// ciscoElements are numbers that Cisco uses in v9: those of the ASA before 225-228 and
// 233 were registered, and the ports of the connection's two ends in Application
// Visibility and Control. In IPFIX the same bits would mean an enterprise field.
var ciscoElements = map[uint16]element{
	40003: {tNATSrcPort, 1},
	40004: {tNATDstPort, 1},
	40005: {tFirewallEvent, 1},
	45008: {tClientPort, 0},
	45009: {tServerPort, 0},
}

// enterpriseBit is what Cisco adds to the numbers of PEN 9 where it uses them in v9.
const enterpriseBit = 0x8000

// ciscoEnterpriseElements are elements of PEN 9 in IPFIX.
var ciscoEnterpriseElements = map[uint16]element{
	45008 - enterpriseBit: {tClientPort, 0}, // clientTransportPort
	45009 - enterpriseBit: {tServerPort, 0}, // serverTransportPort
}

// reverseElements are the elements of PEN 29305 (RFC 5103).
var reverseElements = map[uint16]element{
	1:   {tRevBytes, 0},
	85:  {tRevBytes, 1},
	352: {tRevBytes, 2},
	353: {tRevBytes, 3},
	2:   {tRevPackets, 0},
	86:  {tRevPackets, 1},
	6:   {tRevTCPFlags, 0},
}

// vmwareElements are the elements of PEN 6876 that describe the inner flow of an
// overlay network (VMware NSX, IPFIX for logical switches).
var vmwareElements = map[uint16]element{
	880: {tInnerProtocol, 0}, // tenantProtocol
	886: {tInnerSrcPort, 0},  // tenantSourcePort
	887: {tInnerDstPort, 0},  // tenantDestPort
}

// A group is a kind of address pair. The addresses of one group and family that
// stand in a record are paired in the order in which they stand.
type group uint8

const (
	groupEnds   group = iota // source and destination
	groupNAT                 // after translation
	groupTenant              // of the overlay's inner flow
	groupClient              // client and server of the connection
	numGroups
)

type addressElement struct {
	group group
	v6    bool
	dst   bool
}

var addressElements = map[uint16]addressElement{
	8:   {groupEnds, false, false}, // sourceIPv4Address
	12:  {groupEnds, false, true},  // destinationIPv4Address
	27:  {groupEnds, true, false},  // sourceIPv6Address
	28:  {groupEnds, true, true},   // destinationIPv6Address
	225: {groupNAT, false, false},  // postNATSourceIPv4Address
	226: {groupNAT, false, true},   // postNATDestinationIPv4Address
	281: {groupNAT, true, false},   // postNATSourceIPv6Address
	282: {groupNAT, true, true},    // postNATDestinationIPv6Address
}

var ciscoAddressElements = map[uint16]addressElement{
	40001: {groupNAT, false, false},
	40002: {groupNAT, false, true},
	45004: {groupClient, false, false},
	45005: {groupClient, false, true},
	45006: {groupClient, true, false},
	45007: {groupClient, true, true},
}

// ciscoEnterpriseAddresses are elements of PEN 9 in IPFIX.
var ciscoEnterpriseAddresses = map[uint16]addressElement{
	45004 - enterpriseBit: {groupClient, false, false}, // clientIPv4Address
	45005 - enterpriseBit: {groupClient, false, true},  // serverIPv4Address
	45006 - enterpriseBit: {groupClient, true, false},  // clientIPv6Address
	45007 - enterpriseBit: {groupClient, true, true},   // serverIPv6Address
}

var vmwareAddressElements = map[uint16]addressElement{
	881: {groupTenant, false, false}, // tenantSourceIPv4
	882: {groupTenant, false, true},  // tenantDestIPv4
	883: {groupTenant, true, false},  // tenantSourceIPv6
	884: {groupTenant, true, true},   // tenantDestIPv6
}

// otherAddresses are further addresses of one end: shown, never matched.
var otherAddresses = map[[2]uint32]bool{
	{0, 366}:           true, // staIPv4Address: the client of a WLAN controller
	{penBarracuda, 8}:  true, // bindIPv4Address
	{penBarracuda, 10}: true, // connIPv4Address
}

// Frame sections: bytes of a sampled packet as an element.
const (
	ieLayer2Section   = 104 // layer2packetSectionData
	ieIPHeaderSection = 313 // ipHeaderPacketSection
	ieFrameSection    = 315 // dataLinkFrameSection
)

// lookupAddress finds the address element of a field, if it is one.
func lookupAddress(ver uint8, pen uint32, ie uint16) (addressElement, bool) {
	var a addressElement
	ok := false
	switch {
	case pen == penVMware:
		a, ok = vmwareAddressElements[ie]
	case pen == penCisco:
		a, ok = ciscoEnterpriseAddresses[ie]
	case pen != 0:
	default:
		if a, ok = addressElements[ie]; !ok && ver == 9 {
			a, ok = ciscoAddressElements[ie]
		}
	}
	return a, ok
}

// lookupElement finds the number element of a field, if it is one.
func lookupElement(ver uint8, pen uint32, ie uint16) (element, bool) {
	var e element
	ok := false
	switch {
	case pen == penReverse:
		e, ok = reverseElements[ie]
	case pen == penVMware:
		e, ok = vmwareElements[ie]
	case pen == penCisco:
		e, ok = ciscoEnterpriseElements[ie]
	case pen != 0:
	default:
		if e, ok = elements[ie]; !ok && ver == 9 {
			e, ok = ciscoElements[ie]
		}
	}
	return e, ok
}
