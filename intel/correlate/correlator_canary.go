package correlate

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// OnCanary has f asked about every canary, by the goroutine that calls Handle: only
// those that it wants become events. Without it none does. It must be called before
// the first Handle. A canary is no hit: it makes no contact and counts as none.
func (c *Correlator) OnCanary(f func(h *lookup.Hit) bool) { c.onCanary = f }

// canary takes in a canary.
func (c *Correlator) canary(h *lookup.Hit, now time.Time) {
	c.stats.canaries.Add(1)
	if c.onCanary == nil || !c.onCanary(h) {
		return
	}
	c.emit(c.canaryEvent(h, now))
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

// canaryReason says how long the canary took; with the clock of another host the
// difference of the clocks is in it.
func canaryReason(sent, received time.Time) string {
	return fmt.Sprintf("canary received %.3f ms after it was sent", float64(received.Sub(sent).Microseconds())/1000)
}
