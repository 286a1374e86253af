package correlate

import (
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// transitEvery is the share of sets of which one record is looked at for where it is from
// and to: looking at each would cost more than all matching.
const transitEvery = 16

// TransitCounts are the records that were looked at for whether an end of theirs is ours.
type TransitCounts struct {
	Sampled uint64 // one of each 16th set, canaries apart
	Transit uint64 // of those, without an end in the home networks
}

type transitCounters struct{ sampled, transit atomic.Uint64 }

// sample looks at the first record of a set.
func (m *Matcher) sample(s *decode.Set) {
	rec := &m.rec
	s.Record(0, rec)
	if !rec.Src.IsValid() || !rec.Dst.IsValid() || event.IsCanaryTarget(rec) {
		return
	}
	m.transit.sampled.Add(1)
	home := m.bound.home.at(rec.Exporter.Site)
	for side := range flow.NumSides {
		if addr, _ := rec.At(side); addr.IsValid() && home.has(addr) {
			return
		}
	}
	m.transit.transit.Add(1)
}

// Transit gives the counts so far. Any goroutine may ask.
func (m *Matcher) Transit() TransitCounts {
	return TransitCounts{Sampled: m.transit.sampled.Load(), Transit: m.transit.transit.Load()}
}

// Transit gives the counts of the worker's matcher.
func (w *Worker) Transit() TransitCounts { return w.matcher.Transit() }
