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
}

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
		refs := p.number(f.target)
		if len(refs) == 0 {
			continue
		}
		r := refs[0].ref
		if r.len > 8 || len(refs) > 1 && (f.alone || refs[1].ref.ie == r.ie) {
			return nil
		}
		*f.to = Place{r.off, r.len, r.ie}
		l.Has |= f.has
	}
	l.HardTimes = !p.easy(l.Start) || !p.easy(l.End) || l.Start.Width+l.End.Width == 0 && len(p.number(tEvent)) > 0
	return l
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
