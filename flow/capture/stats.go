package capture

// Stats counts what became of the frames of a capture. Every frame is counted
// under one fate:
//
//	Frames = Datagrams + UnknownLink + NotIP + TCP + OtherIP + Malformed + Cut + Fragments
//
// and so is every packet of which a fragment was kept:
//
//	Reassembled + Waiting + Expired + Evicted + Overlapping
type Stats struct {
	Frames    uint64 // frames read
	Datagrams uint64 // UDP payloads given

	UnknownLink uint64 // frames of a pcapng interface whose link type is not read
	NotIP       uint64 // ARP, LLDP, spanning tree and whatever else is no IP
	TCP         uint64
	OtherIP     uint64 // ICMP, GRE, ESP and every other protocol above IP
	Malformed   uint64 // headers that contradict themselves or end too early
	Cut         uint64 // ended by the snap length before a datagram was to be seen
	Fragments   uint64 // fragments that did not complete a packet

	Truncated   uint64 // datagrams given shorter than their headers say
	BadChecksum uint64 // datagrams given although the UDP checksum is wrong, as it is where a host captures what it sends
	Unchecked   uint64 // datagrams given without a check: no checksum sent, payload truncated, or sent by way of a routing header

	Reassembled uint64 // packets put together from fragments
	Waiting     uint64 // packets of which some fragments are there, now
	Expired     uint64 // packets given up after 30 s of capture time
	Evicted     uint64 // packets given up, oldest first, because 64 others were begun
	Overlapping uint64 // packets given up because fragments overlap or disagree about the end (RFC 5722)
	Duplicates  uint64 // fragments that repeat one that is there
}

// A finding is what a frame turned out to be.
type finding uint8

const (
	isUDP finding = iota
	isUnknownLink
	isNotIP
	isTCP
	isOtherIP
	isMalformed
	isShort // ends within a header
	isFragment
)

// count books a frame under its fate. A header that ends early is the snap
// length's doing when the frame was cut, and the sender's when it was not.
func (s *Stats) count(what finding, cut bool) {
	switch what {
	case isUDP:
		s.Datagrams++
	case isUnknownLink:
		s.UnknownLink++
	case isNotIP:
		s.NotIP++
	case isTCP:
		s.TCP++
	case isOtherIP:
		s.OtherIP++
	case isFragment:
		s.Fragments++
	case isShort:
		if cut {
			s.Cut++
			return
		}
		s.Malformed++
	default:
		s.Malformed++
	}
}

// countDatagram books what is special about a datagram that is given.
func (s *Stats) countDatagram(u *udpDatagram) {
	if u.truncated {
		s.Truncated++
	}
	switch u.checksum {
	case unchecked:
		s.Unchecked++
	case wrong:
		s.BadChecksum++
	}
}
