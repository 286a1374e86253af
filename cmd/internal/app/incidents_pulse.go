package app

import (
	"context"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/pulse"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"go.uber.org/zap"
)

// How often the pulse is taken, and how often it is written to the database, which costs a small
// machine's card about 8 KB.
const (
	takePulse      = time.Minute
	writePulse     = 2 * time.Minute
	writePulseEdge = 15 * time.Minute
	beatLimit      = 30 * time.Second // for writing it
)

// A pulseMeter finds out what the program has done since it was asked last: a report must
// show first of which hours it knows nothing.
type pulseMeter struct {
	samples  func() []observe.Sample
	findings func() []observe.Finding

	mu    sync.Mutex
	began time.Time // of what is not reported yet
	last  pulseCounts
}

// pulseCounts are running totals.
type pulseCounts struct{ flows, lost, hits float64 }

// maxPulse is the longest time that one pulse stands for. More means that the process was
// stopped.
const maxPulse = 10 * time.Minute

// start begins to count at now.
func (p *pulseMeter) start(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = now
}

// take gives what has been since the last call, and how long that was. now has the monotonic clock, which stands
// still while the machine sleeps.
func (p *pulseMeter) take(now time.Time) (one incident.Pulse, alive time.Duration) {
	counts := totals(p.samples())
	worst, texts := worstOf(p.findings())
	p.mu.Lock()
	defer p.mu.Unlock()
	alive = now.Sub(p.began)
	one = incident.Pulse{
		Flows: grown(counts.flows, p.last.flows), Lost: grown(counts.lost, p.last.lost), Hits: grown(counts.hits, p.last.hits),
		Minutes: int(min(alive, maxPulse) / time.Minute), Worst: worst, Findings: texts,
	}
	p.last = counts
	p.began = now.Add(-(alive % time.Minute)) // the rest of a minute is for the next pulse
	return one, alive
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
			if f.State == state && len(texts) < incident.MaxFindings {
				texts = append(texts, f.Check+": "+f.Text)
			}
		}
	}
	return state.String(), texts
}

// A pulseTaker notes what the program does in each hour, and writes it to the database of
// incidents: whether there is a hit or not, and, once the database answers again, for all the
// time that it did not.
type pulseTaker struct {
	meter pulseMeter
	book  *pulse.Book
	wall  func() time.Time
	every time.Duration // between two writes
	open  func(context.Context) (*store.Store, error)
	log   *zap.Logger

	wrote time.Time     // by the chore alone: when it wrote last
	turn  chan struct{} // one token: the right to write
}

func newPulseTaker(a *App, edge bool, wall func() time.Time, open func(context.Context) (*store.Store, error)) *pulseTaker {
	p := &pulseTaker{book: pulse.NewBook(), wall: wall, every: writePulse, open: open, log: a.log, turn: make(chan struct{}, 1)}
	if edge {
		p.every = writePulseEdge
	}
	p.meter.samples, p.meter.findings = a.registry.Samples, a.Findings
	p.turn <- struct{}{}
	return p
}

// chores adds what is to be done now and then. Writing may hang, and must not keep taking waiting.
func (p *pulseTaker) chores(b *background) {
	b.every("taking the pulse for reports", takePulse, func(time.Time) { p.take() })
	b.everyUntil("writing the pulse for reports", takePulse, p.look)
}

// take notes what was done since it was called last.
func (p *pulseTaker) take() {
	one, alive := p.meter.take(time.Now())
	middle := p.wall().Add(-min(alive, takePulse) / 2) // what was over the end of an hour belongs to its greater part
	p.book.Add(middle, one)
}

// look writes when it is time: soon after the start for the first time.
func (p *pulseTaker) look(ctx context.Context) {
	if now := time.Now(); now.Sub(p.wrote) >= p.every-takePulse/2 {
		if p.write(ctx) == nil {
			p.wrote = now
		}
	}
}

// write writes what the database does not have.
func (p *pulseTaker) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	select {
	case <-p.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	return p.book.Send(ctx, func(ctx context.Context, run int64, hours []incident.HourPulse) error {
		s, err := p.open(ctx)
		if err != nil {
			return err
		}
		return s.Beat(ctx, run, hours)
	})
}

// last notes and writes the rest, at the stop.
func (p *pulseTaker) last(ctx context.Context) {
	p.take()
	if err := p.write(ctx); err != nil {
		p.log.Warn("reports will know nothing of some hours: the database of incidents does not take them", zap.Int("hours", p.book.Stats().Waiting), zap.Error(err))
	}
}
