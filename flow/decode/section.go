package decode

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// section reads the first bytes of a sampled packet as an element gives them.
func section(ie uint16, b []byte) (p packets) {
	switch {
	case ie == ieIPHeaderSection && len(b) > 0 && (b[0]>>4 == 6 || b[0]>>4 == 4 && (looksLikeIP(b) || !knownEthertype(b))):
		p.network(b, 0)
	default: // 104 and 315 begin with the layer 2 header
		p.frame(b)
	}
	return p
}

// sectionColumns adds the addresses within frame sections behind the columns.
func (s *Set) sectionColumns(run *run) {
	for i := int(run.first); i < int(run.first+run.n); i++ {
		s.seek(i)
		found := run.n4+run.n6 > 0
		for _, r := range s.plan.sections {
			p := section(r.ie, s.cur.bytes(r))
			s.ownTunnels(&p)
			found = s.loosePackets(&p, i) || found
		}
		if !found {
			s.withoutAddress++
		}
	}
}

// ownTunnels forgets the packets within the first tunnel that does not go between two
// ends of our own, and counts that, as it does tunnels in too many others.
func (s *Set) ownTunnels(p *packets) {
	if s.skipForeign(p) {
		s.tunnelsSkipped++
	}
	if p.deeper {
		s.tunnelsDeeper++
	}
}

// skipForeign forgets the packets within the first tunnel that does not go between two
// ends of our own. It reports whether there was one.
func (s *Set) skipForeign(p *packets) bool {
	if s.shared.ours == nil {
		return false
	}
	for i := 0; i < maxTunnels && p.p[i+1].ip; i++ {
		src, dst := p.p[i].addrs()
		if !s.shared.ours(src) || !s.shared.ours(dst) {
			p.cut(i + 1)
			return true
		}
	}
	return false
}

// loosePackets adds the addresses of a sampled packet and of those within it.
func (s *Set) loosePackets(p *packets, row int) bool {
	for i := range p.p {
		q := &p.p[i]
		if !q.ip {
			break
		}
		switch {
		case q.v6:
			s.loose6(q.src6, row)
			s.loose6(q.dst6, row)
		default:
			s.loose4(q.src4, row)
			s.loose4(q.dst4, row)
		}
	}
	return p.any()
}

// fromSection fills in what a frame section tells and the fields do not.
func (s *Set) fromSection(r *flow.Record) {
	for _, f := range s.plan.sections {
		p := section(f.ie, s.cur.bytes(f))
		if !p.any() {
			continue
		}
		if empty(r.Src) && empty(r.Dst) {
			r.FromSection = f.ie
			p.p[0].fill(r)
		}
		if s.skipForeign(&p); p.tunnelled() && empty(r.InnerSrc) && empty(r.InnerDst) {
			p.fillInner(r)
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

// fillInner sets the inner ends of a record: those of the innermost packet, and of the
// tunnels on the way to it.
func (p *packets) fillInner(r *flow.Record) {
	last := p.innermost()
	if last > 1 {
		r.Tunnels = new([2 * flow.MaxTunnels]netip.Addr)
		for i := range last - 1 {
			r.Tunnels[2*i], r.Tunnels[2*i+1] = p.p[i+1].addrs()
		}
	}
	q := &p.p[last]
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
