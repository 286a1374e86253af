package decode

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// section reads the first bytes of a sampled packet as an element gives them.
func section(ie uint16, b []byte) (p packets) {
	switch {
	case ie == ieIPHeaderSection:
		p.network(b, 0)
	case looksLikeIP(b): // some exporters leave the layer 2 header out
		p.network(b, 0)
	default: // 104 and 315 begin with the layer 2 header
		p.ethernet(b, 0)
	}
	return p
}

// sectionColumns adds the addresses within frame sections behind the columns.
func (s *Set) sectionColumns() {
	for i := range s.n {
		s.seek(i)
		found := s.n4+s.n6 > 0
		for _, r := range s.plan.sections {
			p := section(r.ie, s.cur.bytes(r))
			if s.skipsTunnel(&p) {
				p[1] = packet{}
				s.tunnelsSkipped++
			}
			found = s.loosePackets(&p, i) || found
		}
		if !found {
			s.withoutAddress++
		}
	}
}

// skipsTunnel reports whether there is a packet within another that does not go between
// two ends of our own tunnels.
func (s *Set) skipsTunnel(p *packets) bool {
	if !p[1].ip || s.shared.ours == nil {
		return false
	}
	src, dst := p[0].addrs()
	return !s.shared.ours(src) || !s.shared.ours(dst)
}

// loosePackets adds the addresses of a sampled packet and of the one within it.
func (s *Set) loosePackets(p *packets, row int) bool {
	for i := range p {
		q := &p[i]
		switch {
		case !q.ip:
		case q.v6:
			s.loose6(q.src6, row)
			s.loose6(q.dst6, row)
		default:
			s.loose4(q.src4, row)
			s.loose4(q.dst4, row)
		}
	}
	return p[0].ip
}

// fromSection fills in what a frame section tells and the fields do not.
func (s *Set) fromSection(r *flow.Record) {
	for _, f := range s.plan.sections {
		p := section(f.ie, s.cur.bytes(f))
		if !p[0].ip {
			continue
		}
		if empty(r.Src) && empty(r.Dst) {
			r.FromSection = f.ie
			p[0].fill(r)
		}
		if p[1].ip && !s.skipsTunnel(&p) && empty(r.InnerSrc) && empty(r.InnerDst) {
			p[1].fillInner(r)
		}
	}
}

// fill sets the ends of a record from the headers of a packet.
func (q *packet) fill(r *flow.Record) {
	r.Src, r.Dst = q.addrs()
	r.Protocol, r.Has = q.protocol, r.Has|flow.HasProtocol
	if q.ports {
		r.SrcPort, r.DstPort = q.srcPort, q.dstPort
		r.Has |= flow.HasSrcPort | flow.HasDstPort
	}
	if q.flags {
		r.TCPFlags, r.Has = uint16(q.tcpFlags), r.Has|flow.HasTCPFlags
	}
	if q.icmp {
		r.ICMPTypeCode, r.Has = q.icmpTypeCode, r.Has|flow.HasICMP
	}
}

// fillInner sets the inner ends of a record.
func (q *packet) fillInner(r *flow.Record) {
	r.InnerSrc, r.InnerDst = q.addrs()
	r.InnerProtocol, r.Has = q.protocol, r.Has|flow.HasInnerProtocol
	if q.ports {
		r.InnerSrcPort, r.InnerDstPort, r.Has = q.srcPort, q.dstPort, r.Has|flow.HasInnerPorts
	}
}

func (q *packet) addrs() (src, dst netip.Addr) {
	if q.v6 {
		return q.src6.Addr().Unmap(), q.dst6.Addr().Unmap()
	}
	return flow.Addr4(q.src4), flow.Addr4(q.dst4)
}
