package match

import (
	"net/netip"
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

// A Transit is the tap that samples whether flows have an end in the home networks.
type Transit struct {
	ours             func(site uint16, a netip.Addr) bool
	sets             uint32 // so far
	rec              flow.Record
	sampled, transit atomic.Uint64
}

// NewTransit makes the tap for one worker; ours reports whether an address is in the home
// networks of a site.
func NewTransit(ours func(site uint16, a netip.Addr) bool) *Transit { return &Transit{ours: ours} }

// Records looks at the first record of one set of many.
func (t *Transit) Records(s *decode.Set) {
	if t.sets++; t.sets%transitEvery != 0 || s.Len() == 0 {
		return
	}
	rec := &t.rec
	s.Record(0, rec)
	if !rec.Src.IsValid() || !rec.Dst.IsValid() || event.IsCanaryTarget(rec) {
		return
	}
	t.sampled.Add(1)
	for side := range flow.NumSides {
		if addr, _ := rec.At(side); addr.IsValid() && t.ours(rec.Exporter.Site, addr) {
			return
		}
	}
	t.transit.Add(1)
}

// Counts gives the counts so far. Any goroutine may ask.
func (t *Transit) Counts() TransitCounts {
	return TransitCounts{Sampled: t.sampled.Load(), Transit: t.transit.Load()}
}
