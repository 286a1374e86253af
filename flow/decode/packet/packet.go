// Package packet reads the headers of a sampled packet, as sFlow samples and the frame
// sections of IPFIX carry them: layer 2, IP, ports and flags, and the packets within its
// tunnels. It owns no state. Package decode calls it for frame sections, and its sFlow
// reader for samples.
package packet

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Header is what the IP and transport headers of one packet contain. Sampled headers
// are cut after 64 to 256 bytes, so everything behind the addresses may be missing.
type Header struct {
	IP, V6                      bool // IP: there is a packet at all
	Src4, Dst4                  uint32
	Src6, Dst6                  flow.Addr6
	Protocol                    uint8
	HasPorts, HasFlags, HasICMP bool // which of the following are there
	SrcPort, DstPort            uint16
	TCPFlags                    uint8
	ICMPTypeCode                uint16
}

// MaxTunnels is the number of tunnels, one in the other, that are looked into.
const MaxTunnels = flow.MaxTunnels + 1

// A Stack is a sampled packet and those that it carries in tunnels, the outermost first.
// Its reading methods are called once, on the zero value.
type Stack struct {
	Packets [1 + MaxTunnels]Header
	Deeper  bool // there is one more tunnel than is looked into
}

// Any reports whether an IP packet was found.
func (p *Stack) Any() bool { return p.Packets[0].IP }

// Tunnelled reports whether there is a packet within another.
func (p *Stack) Tunnelled() bool { return p.Packets[1].IP }

// Cut forgets the packets from a place on.
func (p *Stack) Cut(from int) {
	for i := from; i < len(p.Packets) && p.Packets[i].IP; i++ {
		p.Packets[i] = Header{}
	}
	p.Deeper = false
}

// CutForeign forgets the packets within the first tunnel that does not go between two
// ends of our own. It reports whether there was one. A nil ours takes all for our own.
func (p *Stack) CutForeign(ours func(netip.Addr) bool) bool {
	if ours == nil {
		return false
	}
	for i := 0; i < MaxTunnels && p.Packets[i+1].IP; i++ {
		src, dst := p.Packets[i].Ends()
		if !ours(src) || !ours(dst) {
			p.Cut(i + 1)
			return true
		}
	}
	return false
}

// Ends gives the addresses, unmapped.
func (q *Header) Ends() (src, dst netip.Addr) {
	if q.V6 {
		return q.Src6.Addr().Unmap(), q.Dst6.Addr().Unmap()
	}
	return flow.Addr4(q.Src4), flow.Addr4(q.Dst4)
}

// Fill sets the ends of a record from the outermost packet.
func (p *Stack) Fill(r *flow.Record) {
	q := &p.Packets[0]
	r.Src, r.Dst = q.Ends()
	r.Protocol, r.Has = q.Protocol, r.Has|flow.HasProtocol
	if q.HasPorts {
		r.SrcPort, r.DstPort = q.SrcPort, q.DstPort
		r.Has |= flow.HasSrcPort | flow.HasDstPort
	}
	if q.HasFlags {
		r.TCPFlags, r.Has = uint16(q.TCPFlags), r.Has|flow.HasTCPFlags
	}
	if q.HasICMP {
		r.ICMPTypeCode, r.Has = q.ICMPTypeCode, r.Has|flow.HasICMP
	}
}

// FillInner sets the inner ends of a record: those of the innermost packet, and of the
// tunnels on the way to it. There must be a tunnel.
func (p *Stack) FillInner(r *flow.Record) {
	last := 0
	for last < MaxTunnels && p.Packets[last+1].IP {
		last++
	}
	if last > 1 {
		r.Tunnels = new([2 * flow.MaxTunnels]netip.Addr)
		for i := range last - 1 {
			r.Tunnels[2*i], r.Tunnels[2*i+1] = p.Packets[i+1].Ends()
		}
	}
	q := &p.Packets[last]
	r.InnerSrc, r.InnerDst = q.Ends()
	r.InnerProtocol, r.Has = q.Protocol, r.Has|flow.HasInnerProtocol
	if q.HasPorts {
		r.InnerSrcPort, r.InnerDstPort, r.Has = q.SrcPort, q.DstPort, r.Has|flow.HasInnerPorts
	}
}

// AllZero reports whether there is nothing but padding.
func AllZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
