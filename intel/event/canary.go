package event

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// The ends of every canary: two addresses of TEST-NET-1 (RFC 5737), which no host has
// and which no feed can list, for that is special-purpose space.
const (
	canarySource4 = 0xC00002FC // 192.0.2.252
	// CanaryTarget4 is the reserved indicator, 192.0.2.253, in host order.
	CanaryTarget4 = 0xC00002FD
)

// CanaryEnds gives the source and the target of every canary. The target is the
// reserved indicator, the offender of the event.
func CanaryEnds() (source, target netip.Addr) {
	return flow.Addr4(canarySource4), flow.Addr4(CanaryTarget4)
}

// A Canary is what a flow that was sent on purpose carries.
type Canary struct {
	// Sent is when it was sent, by the clock of the sender, in whole microseconds.
	Sent time.Time
	// Token distinguishes the canaries of one sender from those of others.
	Token uint16
	// Matched is when a worker found it; the flow does not carry it.
	Matched time.Time
}

// What every canary looks like beside its ends.
const (
	// CanaryProtocol is UDP, which all export protocols export with ports.
	CanaryProtocol = 17
	// CanaryPackets is the number of its packets.
	CanaryPackets = 1
	// canarySlack is how far the clock of a sender may be from ours.
	canarySlack = 24 * time.Hour
	// timeBits is what is left of the microseconds since 1970; the rest is known by
	// the time of receipt.
	timeBits = 48
)

// A CanaryCode is a canary in the numbers of a flow. Each has 16 bits, as many as
// NetFlow v5 has for them.
type CanaryCode struct{ InIf, OutIf, SrcPort, DstPort uint16 }

// Code gives the numbers of a flow that carry the canary: the low 48 bits of its time
// in microseconds, the highest first, and the token.
func (c Canary) Code() CanaryCode {
	us := uint64(c.Sent.UnixMicro())
	return CanaryCode{InIf: uint16(us >> 32), OutIf: uint16(us >> 16), SrcPort: uint16(us), DstPort: c.Token}
}

// at reads a code that was received at a time. It reports false when the sending lies
// more than a day from there: then that is no canary, or the clocks are useless.
func (k CanaryCode) at(received time.Time) (Canary, bool) {
	low := uint64(k.InIf)<<32 | uint64(k.OutIf)<<16 | uint64(k.SrcPort)
	near := received.UnixMicro()
	ahead := int64(low-uint64(near)) << (64 - timeBits) >> (64 - timeBits) // signed, 48 bits
	if d := time.Duration(ahead) * time.Microsecond; max(ahead, -ahead) > canarySlack.Microseconds() || d > canarySlack {
		return Canary{}, false
	}
	return Canary{Sent: time.UnixMicro(near + ahead).UTC(), Token: k.DstPort}, true
}

// IsCanaryTarget reports whether the record goes to the reserved indicator.
func IsCanaryTarget(r *flow.Record) bool { return r.Dst == flow.Addr4(CanaryTarget4) }

// CanaryOf reads the canary that a record is. It must have nothing but what a canary
// has, above all no address that could be listed: so no canary can hide a hit.
func CanaryOf(r *flow.Record) (Canary, bool) {
	const ports = flow.HasSrcPort | flow.HasDstPort
	switch {
	case !IsCanaryTarget(r), r.Src != flow.Addr4(canarySource4),
		r.PostNATSrc.IsValid(), r.PostNATDst.IsValid(), r.InnerSrc.IsValid(), r.InnerDst.IsValid(),
		r.Protocol != CanaryProtocol, r.Packets != CanaryPackets, r.Has&ports != ports,
		r.InIf>>16 != 0, r.OutIf>>16 != 0:
		return Canary{}, false
	}
	return CanaryCode{uint16(r.InIf), uint16(r.OutIf), r.SrcPort, r.DstPort}.at(r.Received)
}

// Canary gives the canary of an event of [KindCanary].
func (e *Event) Canary() Canary { return Canary{Sent: e.Start, Token: e.DstPort} }
