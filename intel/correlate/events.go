package correlate

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/google/uuid"
)

// hitEvent makes the event of a hit: the flow with its own counts, and what its
// contact makes of it.
func (c *Correlator) hitEvent(ct *contact, s *conversation.Sight) event.Event {
	ev := c.eventOf(event.KindHit, ct, s.Blocked)
	s.Fill(&ev)
	ev.SamplingFrom = c.scopes.text(ct.rateFrom)
	return ev
}

// updateEvent makes the roll-up of a contact: its first flow, with the totals of all
// flows of either direction.
func (c *Correlator) updateEvent(ct *contact) event.Event {
	ev := c.eventOf(event.KindUpdate, ct, !ct.Passed)
	ct.Fill(&ev)
	ev.Sampling, ev.SamplingFrom = ct.rate, c.scopes.text(ct.rateFrom)
	return ev
}

// eventOf makes an event of the judgement of a contact, without the flow, and remembers
// what it has.
func (c *Correlator) eventOf(k event.Kind, ct *contact, blocked bool) event.Event {
	key := ct.key()
	number := c.cfg.Factors.Score(ct.listing.Base, ct.Direction(), ct.Answered, blocked)
	ev := event.Event{
		Kind:         k,
		ID:           newID(),
		Sensor:       c.cfg.Sensor,
		Offender:     key.offender,
		Local:        key.local,
		ServicePort:  key.port,
		Blocked:      blocked,
		Score:        number,
		Severity:     event.SeverityOf(int(number)),
		Indicators:   ct.listing.Indicators(),
		IntelVersion: ct.listing.Version,
	}
	ct.Judge(&ev, c.now-ct.first >= firstUpdate)
	if ct.in4 != 0 {
		ev.Embedded = flow.Addr4(ct.in4)
	}
	if ct.seq == 0 {
		ct.uuid = newID()
	}
	ct.seq++
	ev.Contact, ev.Seq = ct.uuid, ct.seq
	site, named := key.site, true
	if ct.fold != nil {
		ct.fold.Fill(&ev)
		site, named = ct.fold.Site()
	}
	if named {
		ev.Site = c.cfg.SiteName(site)
	}
	ev.Reason = score.Reason(&ev)
	if ct.packed.fold == ofOverflow {
		ev.Reason += "; with others that found no room"
	}
	ct.worst = max(ct.worst, ev.Severity)
	ct.reportedAnswered = ct.reportedAnswered || ct.Answered
	return ev
}

// canaryEvent makes the event of a canary. Start and End are the time of its sending,
// see [event.Event.Canary].
func (c *Correlator) canaryEvent(h *lookup.Hit, now time.Time) event.Event {
	s := c.read(h, now)
	countIf(&c.stats.suspect, s.Suspect)
	s.Suspect = false // its own times are in place of those of the flow
	ev := event.Event{Kind: event.KindCanary, ID: newID(), Sensor: c.cfg.Sensor, Offender: h.Offender, Local: h.Record.Src}
	s.Fill(&ev)
	ev.TCPFlags = 0
	ev.Start, ev.End = h.Canary.Sent, h.Canary.Sent
	ev.Reason = canaryReason(h.Canary.Sent, ev.Time)
	return ev
}

// canaryReason returns how long the canary took; with the clock of another host the
// difference of the clocks is in it.
func canaryReason(sent, received time.Time) string {
	return fmt.Sprintf("canary received %.3f ms after it was sent", float64(received.Sub(sent).Microseconds())/1000)
}

// newID makes the identity of an event.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
