package correlate

import (
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
)

// maxCanaries bounds the canaries among the hits of one batch: a flood of forged ones
// must not fill the queue that real hits wait in.
const maxCanaries = 8

// CanaryCounts are the flows to the reserved indicator that a [Matcher] has seen.
type CanaryCounts struct {
	Found     uint64 // canaries, those over the cap included
	OverCap   uint64 // left out: more than 8 in one batch of datagrams
	Shapeless uint64 // no canaries: something of them was not as a canary is
}

// Add adds the counts of another worker.
func (c *CanaryCounts) Add(o CanaryCounts) {
	c.Found += o.Found
	c.OverCap += o.OverCap
	c.Shapeless += o.Shapeless
}

type canaryCounters struct{ found, overCap, shapeless atomic.Uint64 }

// canary takes the record of the hit at first, whose target is the reserved indicator,
// for a canary if it is one. This alone reads the clock.
func (m *Matcher) canary(first int) bool {
	h := &m.hits[first]
	c, ok := intel.CanaryOf(&h.Record)
	if !ok {
		m.counts.shapeless.Add(1)
		return false
	}
	m.counts.found.Add(1)
	if m.canaries >= maxCanaries {
		m.counts.overCap.Add(1)
		m.hits = m.hits[:first]
		return true
	}
	m.canaries++
	c.Matched = time.Now()
	h.Offender, h.Side, h.Canary = h.Record.Dst, flow.SideDst, &c
	return true
}

// Canaries gives the counts so far. Any goroutine may ask.
func (m *Matcher) Canaries() CanaryCounts {
	return CanaryCounts{
		Found: m.counts.found.Load(), OverCap: m.counts.overCap.Load(), Shapeless: m.counts.shapeless.Load(),
	}
}

// Canaries gives the counts of the worker's matcher.
func (w *Worker) Canaries() CanaryCounts { return w.matcher.Canaries() }
