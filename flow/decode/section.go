package decode

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/packet"
)

// sectionColumns adds the addresses within frame sections behind the columns.
func (s *Set) sectionColumns(run *run) {
	for i := int(run.first); i < int(run.first+run.n); i++ {
		s.seek(i)
		found := run.n4+run.n6 > 0
		for k := range run.plan.Sections {
			_, p := s.fields.Section(k)
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
func (s *Set) ownTunnels(p *packet.Stack) {
	if p.CutForeign(s.shared.ours) {
		s.tunnelsSkipped++
	}
	if p.Deeper {
		s.tunnelsDeeper++
	}
}

// loosePackets adds the addresses of a sampled packet and of those within it.
func (s *Set) loosePackets(p *packet.Stack, row int) (found bool) {
	for i := range p.Packets {
		q := &p.Packets[i]
		if !q.IP {
			break
		}
		found = true
		if q.V6 {
			s.loose6(q.Src6, row)
			s.loose6(q.Dst6, row)
		} else {
			s.loose4(q.Src4, row)
			s.loose4(q.Dst4, row)
		}
	}
	return found
}

func (s *Set) looseAddr(a netip.Addr, row int) {
	switch {
	case a.Is4():
		b := a.As4()
		s.loose4(binary.BigEndian.Uint32(b[:]), row)
	case a.Is6():
		s.loose6(flow.Addr6Of(a), row)
	}
}

// fromSection fills in what a frame section has and the fields do not.
func (s *Set) fromSection(r *flow.Record) {
	for k := range s.runs[s.current].plan.Sections {
		ie, p := s.fields.Section(k)
		if !p.Any() {
			continue
		}
		if empty(r.Src) && empty(r.Dst) {
			r.FromSection = ie
			p.Fill(r)
		}
		if p.CutForeign(s.shared.ours); p.Tunnelled() && empty(r.InnerSrc) && empty(r.InnerDst) {
			p.FillInner(r)
		}
	}
}

// empty reports whether an address is absent or all zero.
func empty(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
