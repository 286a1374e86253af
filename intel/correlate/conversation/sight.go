package conversation

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A Sight is one hit as it is read: the ends, and what the flow shows and counts.
type Sight struct {
	Ends
	Observer    Observer
	Rate        uint32      // sampling rate; 0 = not known
	RateFrom    *string     // what the rate was announced for; nil = not exported
	Forth, Back Counters    // of the sender, and of the way back
	Totals      flow.Totals // which of these are running totals
	Domain      uint32      // observation domain
	Began       int64       // start of the flow as exported, ms since 1970; 0 = not known
	Firewall    uint8       // firewallEvent; 0 = not exported
	Blocked     bool
	Suspect     bool // start or end had to be clamped
	Unsynced    bool // received while the wall clock could not be trusted

	head       head
	received   time.Time
	start, end time.Time
}

// Read reads a hit at the time now. known is what the operator configures about its exporter, nil
// when that is nothing; a sampling rate there replaces that of the record. Unsynced is
// left to the caller.
func Read(h *lookup.Hit, known *sites.Exporter, now time.Time) Sight {
	r := h.Record
	rate, from := r.Rate, r.RateFrom
	if known != nil && known.Sampling != 0 {
		rate, from = known.Sampling, nil
	}
	s := Sight{
		Ends:     EndsOf(h),
		Observer: observerOf(r),
		Rate:     rate,
		RateFrom: from,
		Forth:    countersOf(r.Packets, r.Bytes, rate),
		Back:     backOf(r, rate),
		Totals:   totalsOf(r),
		Domain:   r.Exporter.Domain,
		Blocked:  blocked(r),
		head:     headOf(h, known),
		received: r.Received,
	}
	if s.received.IsZero() {
		s.received = now
	}
	if r.Has&flow.HasFirewallEvent != 0 {
		s.Firewall = r.FirewallEvent
	}
	if !r.Start.IsZero() {
		s.Began = r.Start.UnixMilli()
	}
	var odd [2]bool
	s.start, odd[0] = clamp(r.Start, s.received)
	s.end, odd[1] = clamp(r.End, s.received)
	s.Suspect = odd[0] || odd[1]
	return s
}

// IsAnswer reports whether the flow by itself shows that both ends talk. What was blocked
// answers nobody.
func (s *Sight) IsAnswer() bool { return !s.Blocked && s.isAnswer(s.Back.Any()) }

// TwoSided reports whether the local end has sent something other than refusals. If not,
// all that the flow shows may be forged by the offender, or in its name.
func (s *Sight) TwoSided() bool { return !s.oneSided(s.Back.Any()) }

// Fill writes the flow with its own counts into an event.
func (s *Sight) Fill(ev *event.Event) {
	forth := s.Forth
	forth.Flows = 1
	setCounters(ev, forth, s.Back)
	ev.Time = s.received
	ev.TCPFlags = s.head.tcpFlags
	ev.Sampling = s.Rate
	ev.Start, ev.End, ev.Clock = s.start, s.end, clockWord(s.Suspect, s.Unsynced)
	s.head.fill(ev)
}

// An Observer is where a flow was seen: a device, at its ingress or its egress
// (flowDirection, IE 61).
type Observer struct {
	Device netip.Addr // the sFlow agent, else the exporter
	Egress bool
}

func observerOf(r *flow.Record) Observer {
	o := Observer{Device: r.Exporter.Addr, Egress: r.Has&flow.HasDirection != 0 && r.Direction == 1}
	if r.Exporter.Agent.IsValid() {
		o.Device = r.Exporter.Agent
	}
	return o
}

// backOf gives the counters of the way back: of a biflow, else of an NSEL responder.
func backOf(r *flow.Record, rate uint32) Counters {
	packets, bytes := r.RespPackets, r.RespBytes
	if r.Has&(flow.HasRevPackets|flow.HasRevBytes) != 0 {
		packets, bytes = r.RevPackets, r.RevBytes
	}
	return countersOf(packets, bytes, rate)
}

// totalsOf returns which counters are running totals. Those of the way back are only where
// they come from a biflow: an NSEL responder's are not.
func totalsOf(r *flow.Record) flow.Totals {
	if r.Has&(flow.HasRevPackets|flow.HasRevBytes) != 0 {
		return r.Totals
	}
	return r.Totals &^ (flow.TotalRevBytes | flow.TotalRevPackets)
}

// maxSkew is how far the times of a flow may be from its receipt.
const maxSkew = 24 * time.Hour

// clamp gives t, or the time of receipt when t is too far from it. A time that was
// not exported stays zero.
func clamp(t, received time.Time) (_ time.Time, suspect bool) {
	if t.IsZero() || t.Sub(received).Abs() <= maxSkew {
		return t, false
	}
	return received, true
}

// blocked reports whether the device reports the flow as dropped: the two top
// bits of forwardingStatus are 10 (RFC 7270, 4.12), or firewallEvent is 3, denied.
func blocked(r *flow.Record) bool {
	return r.Has&flow.HasForwarding != 0 && r.Forwarding>>6 == 0b10 ||
		r.Has&flow.HasFirewallEvent != 0 && r.FirewallEvent == fwDenied
}

// fwDenied is the value of firewallEvent (233) for a flow that was denied.
const fwDenied = 3
