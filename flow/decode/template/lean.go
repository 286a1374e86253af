package template

import "github.com/flowsnitch/flowsnitch/flow"

// A Place is where a number stands in records that are all alike; width 0 = nowhere.
type Place struct{ Off, Width, IE uint16 }

// A Lean plan is for records whose fields are all at fixed places, and where no field
// depends on another one.
type Lean struct {
	V6               bool
	Src, Dst         Place
	SrcPort, DstPort Place
	Protocol, Flags  Place
	Bytes, Packets   Place
	Start, End       Place
	HardTimes        bool // more is to be looked at than one element each
	Has              flow.Fields

	// The way back: of a biflow, else of an NSEL responder.
	BackBytes, BackPackets, BackFlags Place
	// The ends after translation.
	PostV6                   bool
	PostSrc, PostDst         Place
	PostSrcPort, PostDstPort Place
	// Whether the device dropped the flow.
	Forwarding, Firewall Place
	Biflow               Place
	Initiator            bool // the counters name their initiator: it is the source
	ICMP                 bool // there are elements of ICMP
	// Groups that depend on more than one field each: whole records have them.
	HardBack, HardPost, HardMarks bool
	// Seldom is set where there is any of this but ICMP: most templates have nothing of it.
	Seldom bool
}

// Back reports whether there may be anything of the way back.
func (l *Lean) Back() bool {
	return l.HardBack || l.BackBytes.Width+l.BackPackets.Width+l.BackFlags.Width > 0
}

// Post reports whether there may be ends after translation.
func (l *Lean) Post() bool {
	return l.HardPost || l.PostSrc.Width+l.PostDst.Width+l.PostSrcPort.Width+l.PostDstPort.Width > 0
}

// The elements of NSEL that count the initiator's side.
const (
	initiatorOctets  = 231
	initiatorPackets = 298
)

// Elements whose times are one addition away from the field.
const (
	LastSwitched  = 21
	FirstSwitched = 22
)

// slim makes the lean plan; nil where a value depends on more than its own field.
func (p *Plan) slim() *Lean {
	pairs := p.pairs[groupEnds]
	if p.Stride == 0 || p.Options || len(p.sections) > 0 || len(p.pairs[groupClient]) > 0 || len(pairs) > 1 {
		return nil
	}
	l := new(Lean)
	if len(pairs) == 1 {
		q := &pairs[0]
		l.V6 = q.v6
		if q.hasSrc {
			l.Src = Place{q.src.off, q.src.len, q.src.ie}
		}
		if q.hasDst {
			l.Dst = Place{q.dst.off, q.dst.len, q.dst.ie}
		}
	}
	for _, f := range []struct {
		target target
		alone  bool // the first one that is not zero would count
		to     *Place
		has    flow.Fields
	}{
		{tSrcPort, true, &l.SrcPort, flow.HasSrcPort}, {tDstPort, true, &l.DstPort, flow.HasDstPort},
		{tProtocol, true, &l.Protocol, flow.HasProtocol}, {tTCPFlags, false, &l.Flags, flow.HasTCPFlags},
		{tBytes, false, &l.Bytes, flow.HasBytes}, {tPackets, false, &l.Packets, flow.HasPackets},
		{tStart, false, &l.Start, 0}, {tEnd, false, &l.End, 0},
	} {
		var ok bool
		if *f.to, ok = p.place(f.target, f.alone); !ok {
			return nil
		}
		if f.to.Width > 0 {
			l.Has |= f.has
		}
	}
	l.HardTimes = !p.easy(l.Start) || !p.easy(l.End) || l.Start.Width+l.End.Width == 0 && len(p.number(tEvent)) > 0
	p.slimBack(l)
	p.slimPost(l)
	p.slimMarks(l)
	return l
}

// place gives the place of a number; ok is false where its value depends on more than one
// field.
func (p *Plan) place(t target, alone bool) (at Place, ok bool) {
	refs := p.number(t)
	if len(refs) == 0 {
		return Place{}, true
	}
	r := refs[0].ref
	if r.len > 8 || len(refs) > 1 && (alone || refs[1].ref.ie == r.ie) {
		return Place{}, false
	}
	return Place{r.off, r.len, r.ie}, true
}

// places gives those of several numbers; hard is true where one depends on more than its
// own field.
func (p *Plan) places(of map[target]*Place) (hard bool) {
	for t, to := range of {
		var ok bool
		*to, ok = p.place(t, false)
		hard = hard || !ok
	}
	return hard
}

// slimBack finds the counters of the way back: those of a biflow before those of an NSEL
// responder, never one of each.
func (p *Plan) slimBack(l *Lean) {
	of := map[target]*Place{tRevTCPFlags: &l.BackFlags, tRevBytes: &l.BackBytes, tRevPackets: &l.BackPackets}
	if len(p.number(tRevBytes))+len(p.number(tRevPackets)) == 0 {
		of = map[target]*Place{tRevTCPFlags: &l.BackFlags, tRespBytes: &l.BackBytes, tRespPackets: &l.BackPackets}
	}
	l.HardBack = p.places(of)
}

// slimPost finds the ends after translation.
func (p *Plan) slimPost(l *Lean) {
	pairs := p.pairs[groupNAT]
	l.HardPost = len(pairs) > 1 || p.places(map[target]*Place{tNATSrcPort: &l.PostSrcPort, tNATDstPort: &l.PostDstPort})
	if len(pairs) != 1 {
		return
	}
	q := &pairs[0]
	l.PostV6 = q.v6
	if q.hasSrc {
		l.PostSrc = Place{q.src.off, q.src.len, q.src.ie}
	}
	if q.hasDst {
		l.PostDst = Place{q.dst.off, q.dst.len, q.dst.ie}
	}
}

// slimMarks finds what shows whether the flow was dropped, and who opened it.
func (p *Plan) slimMarks(l *Lean) {
	l.HardMarks = p.places(map[target]*Place{tForwarding: &l.Forwarding, tFirewallEvent: &l.Firewall, tBiflowDirection: &l.Biflow}) ||
		len(p.pairs[groupTenant]) > 0 || l.HardBack
	l.Initiator = len(p.number(tRespBytes))+len(p.number(tRespPackets)) > 0 ||
		l.Bytes.IE == initiatorOctets || l.Packets.IE == initiatorPackets
	l.Seldom = l.Back() || l.Post() || l.HardMarks || l.Initiator || l.Forwarding.Width+l.Firewall.Width+l.Biflow.Width > 0
	l.ICMP = len(p.number(tICMP))+len(p.number(tICMPType)) > 0
}

// easy reports whether a time is one addition away from its field.
func (p *Plan) easy(t Place) bool {
	switch t.IE {
	case LastSwitched, FirstSwitched:
		return p.ver == 9 && t.Width <= 4
	case 152, 153:
		return t.Width == 8
	}
	return t.Width == 0
}
