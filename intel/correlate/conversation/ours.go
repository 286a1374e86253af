package conversation

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// Ours is which ends are in the home networks.
type Ours struct{ offender, local bool }

// end gives the end that is ours, the local one when both are or none is.
func (us Ours) end() Party {
	if us.offender && !us.local {
		return Offender
	}
	return Local
}

// Direction gives the direction of a flow, as far as it shows who opened it.
func (us Ours) Direction(e *Ends) event.Direction { return us.direction(e.opener()) }

// direction gives the direction of what the initiator opened, seen from the home networks.
func (us Ours) direction(initiator Party) event.Direction {
	switch {
	case us.offender && us.local:
		return event.Internal
	case !us.offender && !us.local:
		return event.Transit
	case initiator == us.end():
		return event.Outbound
	}
	return event.Inbound
}

// OursOf looks at all addresses of the local end, for either side of a translation
// may be ours. The offender is ours when the listed address is, or is what one of
// our own hosts was translated to. An IPv4 address within an IPv6 address of the local end
// counts like the address itself; within the offender it does only when it is what is
// listed, as strangers choose their interface identifiers.
func OursOf(h *lookup.Hit, e *Ends, home *sites.Home) Ours {
	r := h.Record
	us := Ours{offender: home.Contains(e.Offender), local: home.Has(e.Local)}
	if in := h.Match.Embedded(); in.IsValid() {
		us.offender = us.offender || home.Contains(in)
	}
	switch {
	case h.Side.IsInner():
	case h.Side.IsSrc():
		us.offender = us.offender || h.Side == flow.SidePostNATSrc && home.Has(r.Src)
		us.local = us.local || home.Has(r.Dst)
	default:
		us.local = us.local || home.Has(r.PostNATSrc)
	}
	return us
}

// A Grade is what the record of a hit shows by itself, before anything is known of its
// contact.
type Grade int

// The grades: each has one of the factors of a score.
const (
	Internal Grade = iota
	Transit
	Outbound // answered, or that may still come
	OutboundBlocked
	Inbound
	InboundAnswered
	InboundBlocked

	NumGrades = iota
)

// GradeOf grades a hit. It is cheap, and never below the first event that this
// hit alone would make; a later hit may make the contact worse.
func GradeOf(h *lookup.Hit, home sites.Homes) Grade {
	e := EndsOf(h)
	us := OursOf(h, &e, home.At(e.Site))
	switch {
	case us.offender && us.local:
		return Internal
	case !us.offender && !us.local:
		return Transit
	}
	ours, initiator := us.end(), e.Initiator
	switch {
	case initiator != Nobody:
	case e.Refuses() != Nobody:
		initiator = e.Refuses().other()
	case e.OffenderPort != 0 && e.LocalPort != 0:
		initiator = e.initiatorBy(min(e.OffenderPort, e.LocalPort))
	}
	drop, back := blocked(h.Record), backward(h.Record)
	switch {
	case initiator == Nobody || initiator == ours:
		if drop {
			return OutboundBlocked
		}
		return Outbound
	case drop:
		return InboundBlocked
	case e.Sender == ours && !e.refusal || e.isAnswer(back):
		return InboundAnswered
	}
	return Inbound
}

// backward reports whether the record counts anything of the way back.
func backward(r *flow.Record) bool {
	return r.RevPackets|r.RevBytes|r.RespPackets|r.RespBytes != 0
}
