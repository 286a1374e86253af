package window

import (
	"math"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Pace is how regularly something comes back. It is given numbers of flows and the time
// of the last one; the flows between two of these are not known one by one, so that the mean
// of their intervals counts with their number. The variance of single intervals is estimated
// from those means: independent intervals of spread s have means of spread s/sqrt(n), while a
// clock that calls home has none. The zero Pace is empty.
type Pace struct {
	last    uint32 // time of the last flow, s since 1970 UTC
	flows   uint32 // intervals
	samples uint32 // means that they came in
	seconds uint64 // that the intervals took together
	// sum of n*m^2, m being the mean of n intervals
	squares float64
}

// Add adds n flows of which the last was at a time. After a gap of more than limit seconds
// the pace begins anew.
func (p *Pace) Add(at, n, limit uint32) {
	switch {
	case n == 0:
		return
	case p.last == 0 || at < p.last || at-p.last > limit:
		*p = Pace{last: at}
		return
	}
	took := at - p.last
	p.last = at
	p.flows = flow.Sum(p.flows, n)
	p.samples++
	p.seconds += uint64(took)
	p.squares += float64(took) * float64(took) / float64(n)
}

const leastSamples = 5

// Spread gives the mean interval in seconds and the standard deviation of the intervals as a
// part of it. ok is false as long as too little is known: with
// fewer samples chance alone looks like a clock.
func (p *Pace) Spread() (mean, spread float64, ok bool) {
	if p.samples < leastSamples || p.seconds == 0 {
		return 0, 0, false
	}
	mean = float64(p.seconds) / float64(p.flows)
	variance := (p.squares - float64(p.flows)*mean*mean) / float64(p.samples-1)
	return mean, math.Sqrt(max(variance, 0)) / mean, true
}

// Flows is how many flows the pace has, the first one included.
func (p *Pace) Flows() uint64 {
	if p.last == 0 {
		return 0
	}
	return uint64(p.flows) + 1
}

// Last is the time of the last flow.
func (p *Pace) Last() uint32 { return p.last }
