package score

import (
	"fmt"
	"math"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Factors weigh the score of the listings by what has happened, each from 0 to 1.
// An answer that is not known counts as none.
type Factors struct {
	OutboundAnswered float64 `yaml:"outbound_answered"`
	Outbound         float64 `yaml:"outbound"`
	Internal         float64 `yaml:"internal"`
	OutboundBlocked  float64 `yaml:"outbound_blocked"`
	InboundAnswered  float64 `yaml:"inbound_answered"`
	Transit          float64 `yaml:"transit"`
	Inbound          float64 `yaml:"inbound"`
	InboundBlocked   float64 `yaml:"inbound_blocked"`
}

// DefaultFactors gives the factors that hold when the operator names none: what we
// open ourselves weighs more than what knocks at our door.
func DefaultFactors() Factors {
	return Factors{
		OutboundAnswered: 1.0,
		Outbound:         0.8,
		Internal:         0.8,
		OutboundBlocked:  0.7,
		InboundAnswered:  0.7,
		Transit:          0.5,
		Inbound:          0.3,
		InboundBlocked:   0.2,
	}
}

// Validate names the first factor that cannot be, and what is allowed.
func (f *Factors) Validate() error {
	for _, k := range []struct {
		key   string
		value float64
	}{
		{"outbound_answered", f.OutboundAnswered},
		{"outbound", f.Outbound},
		{"internal", f.Internal},
		{"outbound_blocked", f.OutboundBlocked},
		{"inbound_answered", f.InboundAnswered},
		{"transit", f.Transit},
		{"inbound", f.Inbound},
		{"inbound_blocked", f.InboundBlocked},
	} {
		if !(k.value >= 0 && k.value <= 1) { // NaN is neither
			return fmt.Errorf("%s: %v, allowed are 0 to 1", k.key, k.value)
		}
	}
	return nil
}

// Score gives the score of a contact whose listings have the score base: base and the
// factor for what has happened. What was blocked got no answer.
func (f *Factors) Score(base int, d event.Direction, answered, blocked bool) uint8 {
	return weigh(base, f.of(d, answered, blocked))
}

func (f *Factors) of(d event.Direction, answered, blocked bool) float64 {
	switch d {
	case event.Internal:
		return f.Internal
	case event.Transit:
		return f.Transit
	case event.Outbound:
		return pick(answered, blocked, f.OutboundAnswered, f.OutboundBlocked, f.Outbound)
	}
	return pick(answered, blocked, f.InboundAnswered, f.InboundBlocked, f.Inbound)
}

func pick(answered, blocked bool, whenAnswered, whenBlocked, otherwise float64) float64 {
	switch {
	case blocked:
		return whenBlocked
	case answered:
		return whenAnswered
	}
	return otherwise
}

// What each provider beyond the best one adds to a score, and how much at most.
const (
	perProvider = 5
	maxAgree    = 10
)

// Base gives the score of the listings by themselves, 0 to 100: the best one,
// and more when other feeds agree. The best listing comes first.
func Base(listings []event.Indicator) int {
	if len(listings) == 0 {
		return 0
	}
	agree := perProvider * (countFeeds(listings) - 1)
	return min(100, int(listings[0].Score)+min(agree, maxAgree))
}

// countFeeds gives the number of distinct feeds.
func countFeeds(listings []event.Indicator) int {
	n := 0
	for i := range listings {
		if firstOfFeed(listings, i) {
			n++
		}
	}
	return n
}

// firstOfFeed reports whether listing i is the best one of its feed. The listings
// of one address are few, so looking back is cheaper than a map.
func firstOfFeed(listings []event.Indicator, i int) bool {
	for k := range i {
		if listings[k].Feed == listings[i].Feed {
			return false
		}
	}
	return true
}

// weigh gives base x factor, rounded half up. It counts in thousandths, because 0.7
// has no exact binary form and 95 x 0.7 must be 67 on every machine.
func weigh(base int, factor float64) uint8 {
	milli := int(math.Round(factor * 1000))
	return uint8(min(max((base*milli+500)/1000, 0), 100))
}
