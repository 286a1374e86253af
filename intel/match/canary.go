package match

import (
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// maxCanaries bounds the canaries of one batch of datagrams, so that a flood of forged
// ones costs little.
const maxCanaries = 8

// CanaryCounts are the flows to the reserved indicator that a [Matcher] has seen.
type CanaryCounts struct {
	Found     uint64 // canaries, those over the cap included
	OverCap   uint64 // left out: more than 8 in one batch of datagrams
	Malformed uint64 // no canaries: something of them was not as a canary is
}

// Add adds the counts of another worker.
func (c *CanaryCounts) Add(o CanaryCounts) {
	c.Found += o.Found
	c.OverCap += o.OverCap
	c.Malformed += o.Malformed
}

type canaryCounters struct{ found, overCap, shapeless atomic.Uint64 }

// canary takes a record whose target is the reserved indicator for a canary if it is
// one. This alone reads the clock.
func (m *Matcher) canary(rec *flow.Record) bool {
	c, ok := event.CanaryOf(rec)
	if !ok {
		m.counts.shapeless.Add(1)
		return false
	}
	m.counts.found.Add(1)
	if m.canaries >= maxCanaries {
		m.counts.overCap.Add(1)
		return true
	}
	m.canaries++
	c.Matched = time.Now()
	m.hits[0] = lookup.Hit{Record: rec, Offender: rec.Dst, Side: flow.SideDst, Canary: &c}
	m.to.Canary(&m.hits[0])
	return true
}

// Canaries gives the counts so far. Any goroutine may ask.
func (m *Matcher) Canaries() CanaryCounts {
	return CanaryCounts{
		Found: m.counts.found.Load(), OverCap: m.counts.overCap.Load(), Malformed: m.counts.shapeless.Load(),
	}
}
