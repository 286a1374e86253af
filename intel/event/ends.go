package event

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Ends are the two ends of a flow, in the order in which a form names them.
type Ends struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Ends gives the ends as exported.
func (e *Event) Ends() Ends { return Ends{e.Src, e.Dst, e.SrcPort, e.DstPort} }

// OffenderFirst gives the ends with the listed address as the source, for readers
// that block what stands there. An offender that is a translated or an inner address
// takes the place of the end it belongs to.
func (e *Event) OffenderFirst() Ends {
	t := e.Ends()
	if !e.Offender.IsValid() || e.Kind == KindAlert {
		return t // the address that an alert is about may be our own
	}
	if !e.Role.IsSrc() {
		t = Ends{t.Dst, t.Src, t.DstPort, t.SrcPort}
	}
	t.Src = e.Offender
	switch e.Role {
	case flow.SidePostNATSrc:
		t.SrcPort = cmp.Or(e.NATSrcPort, t.SrcPort)
	case flow.SidePostNATDst:
		t.SrcPort = cmp.Or(e.NATDstPort, t.SrcPort)
	}
	return t
}
