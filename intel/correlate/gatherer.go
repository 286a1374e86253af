package correlate

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Gatherer collects the hits of one worker in a batch, by how severe they can be, and
// hands it over when it is full or flushed. It belongs to the goroutine of that worker.
type Gatherer struct {
	bound *bound
	hand  func(*Batch)
	batch Batch
}

// NewGatherer makes a gatherer. Home networks and factors of cfg decide how severe a hit
// can be. hand is given each batch that is full, and by Flush what remains; it must leave
// the batch empty.
func NewGatherer(cfg *Config, hand func(*Batch)) *Gatherer {
	return &Gatherer{bound: newBound(cfg), hand: hand}
}

// Gatherer makes one that hands its hits to the loop.
func (l *Loop) Gatherer() *Gatherer { return NewGatherer(&l.correlator.cfg, l.Offer) }

// Hits takes the hits of one record. All of them go the way of the most severe one.
func (g *Gatherer) Hits(r *flow.Record, hits []lookup.Hit) {
	lane := event.Low
	for i := range hits {
		lane = max(lane, g.bound.of(&hits[i]))
	}
	g.add(int(lane), r, hits)
}

// Canary takes a canary.
func (g *Gatherer) Canary(h *lookup.Hit) { g.add(canaryLane, h.Record, []lookup.Hit{*h}) }

func (g *Gatherer) add(lane int, r *flow.Record, hits []lookup.Hit) {
	if g.batch.add(lane, r, hits) {
		g.hand(&g.batch)
	}
}

// Flush hands over what has been collected since the last batch.
func (g *Gatherer) Flush() {
	if g.batch.n > 0 {
		g.hand(&g.batch)
	}
}

// Ours reports whether an address, or the IPv4 address that it carries, is in the home
// networks of a site.
func (g *Gatherer) Ours(site uint16, a netip.Addr) bool { return g.bound.home.at(site).has(a) }
