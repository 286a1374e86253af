package synth

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// services are the ports that servers of the thought-up network answer on.
var services = [...]uint16{443, 443, 443, 80, 53, 123, 22, 25, 993, 3389, 5060, 8080}

// TCP control bits as they come together in flows: a whole conversation, a
// running one, a refused one, a lone attempt.
var tcpFlags = [...]uint16{0x1b, 0x1b, 0x18, 0x14, 0x02}

// fillTraffic draws what went over the wire: mostly TCP, some UDP and ICMP. The
// mean packet fits an Ethernet frame.
func (s *Source) fillTraffic(f *Flow) {
	switch n := s.rng.IntN(100); {
	case n < 70:
		f.Protocol = flow.ProtocolTCP
		f.TCPFlags = tcpFlags[s.rng.IntN(len(tcpFlags))]
	case n < 98:
		f.Protocol = flow.ProtocolUDP
	case f.Dst.Is4():
		f.Protocol, f.DstPort = flow.ProtocolICMP, 8<<8 // echo request
	default:
		f.Protocol, f.DstPort = flow.ProtocolICMPv6, 128<<8
	}
	if f.Protocol == flow.ProtocolTCP || f.Protocol == flow.ProtocolUDP {
		f.SrcPort = 1024 + uint16(s.rng.IntN(1<<16-1024))
		f.DstPort = services[s.rng.IntN(len(services))]
	}
	f.Packets = 1 + uint64(s.rng.IntN(100))
	f.Bytes = f.Packets * uint64(80+s.rng.IntN(1400))
	f.InIf = 1 + uint32(s.rng.IntN(24))
	f.OutIf = 25 + uint32(s.rng.IntN(24))
}

// turn makes it the flow of the other direction. The type and code of ICMP stay
// where they are.
func (f *Flow) turn() {
	f.Src, f.Dst = f.Dst, f.Src
	f.InIf, f.OutIf = f.OutIf, f.InIf
	if f.Protocol == flow.ProtocolTCP || f.Protocol == flow.ProtocolUDP {
		f.SrcPort, f.DstPort = f.DstPort, f.SrcPort
	}
}

// fillTimes lets the flow end within the last second and last up to half a
// minute, as with the usual timeouts of exporters.
func (s *Source) fillTimes(f *Flow, now time.Time) {
	f.End = now.Add(-time.Duration(s.rng.IntN(1000)) * time.Millisecond)
	f.Start = f.End.Add(-time.Duration(s.rng.IntN(30000)) * time.Millisecond)
}
