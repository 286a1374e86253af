package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// A pulseMeter finds out what the program has done since it was asked last: a report must
// show first of which hours it knows nothing. The goroutine of the incidents' sink alone
// calls take.
type pulseMeter struct {
	a     *App
	began time.Time // of what is not reported yet
	last  pulseCounts
}

// pulseCounts are running totals.
type pulseCounts struct{ flows, lost, hits float64 }

func newPulseMeter(a *App) *pulseMeter { return &pulseMeter{a: a} }

// maxPulse is the longest time that one pulse stands for; more means that the machine slept.
const maxPulse = time.Hour

// take gives what has been since the last call. The first one begins to count.
func (p *pulseMeter) take() incident.Pulse {
	now := time.Now()
	if p.began.IsZero() {
		p.began = p.a.since
	}
	counts := totals(p.a.registry.Samples())
	pulse := incident.Pulse{
		Flows: grown(counts.flows, p.last.flows), Lost: grown(counts.lost, p.last.lost), Hits: grown(counts.hits, p.last.hits),
		Minutes: int(min(now.Sub(p.began), maxPulse) / time.Minute),
	}
	p.last = counts
	if pulse.Minutes > 0 {
		p.began = now.Add(-(now.Sub(p.began) % time.Minute)) // the rest of a minute is for the next pulse
	}
	pulse.Worst, pulse.Findings = worstOf(p.a.Findings())
	return pulse
}

// totals are the sums of all flows decoded, all losses, and all hits.
func totals(samples []observe.Sample) (c pulseCounts) {
	for i := range samples {
		s := &samples[i]
		switch {
		case s.Loss && s.Section != "sinks" && s.Section != "incidents": // those are events, over many starts
			c.lost += s.Value
		case s.Name == "records_total":
			c.flows += s.Value
		case s.Name == "hits_found_total":
			c.hits += s.Value
		}
	}
	return c
}

func grown(now, before float64) uint64 { return uint64(max(0, now-before)) }

// worstOf gives the worst state of the findings, and the texts of those that have it.
func worstOf(findings []observe.Finding) (worst string, texts []string) {
	state := observe.OK
	for _, f := range findings {
		state = max(state, f.State)
	}
	if state != observe.OK {
		for _, f := range findings {
			if f.State == state && len(texts) < 3 {
				texts = append(texts, f.Check+": "+f.Text)
			}
		}
	}
	return state.String(), texts
}
