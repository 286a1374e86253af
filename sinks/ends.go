package sinks

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// ends are the two ends of a flow, in the order in which a form names them.
type ends struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
}

// flowEnds gives the ends as exported.
func flowEnds(e *event.Event) ends { return ends{e.Src, e.Dst, e.SrcPort, e.DstPort} }

// offenderFirst gives the ends with the listed address as the source, for readers
// that block what stands there. An offender that is a translated or an inner address
// takes the place of the end it belongs to.
func offenderFirst(e *event.Event) ends {
	t := flowEnds(e)
	if !e.Offender.IsValid() || e.Kind == event.KindAlert {
		return t // the address that an alert is about may be our own
	}
	if !e.Role.IsSrc() {
		t = ends{t.dst, t.src, t.dstPort, t.srcPort}
	}
	t.src = e.Offender
	switch e.Role {
	case flow.SidePostNATSrc:
		t.srcPort = cmp.Or(e.NATSrcPort, t.srcPort)
	case flow.SidePostNATDst:
		t.srcPort = cmp.Or(e.NATDstPort, t.srcPort)
	}
	return t
}
