package sinks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Filter selects the events that a sink gets. A key that is not set lets all pass,
// except Silenced. Only Kinds can stop a canary: what it proves is the way, whatever else goes there.
type Filter struct {
	// MinSeverity is low, medium, high or critical.
	MinSeverity string `yaml:"min_severity"`
	// Directions are inbound, outbound, internal and transit. Events without a
	// direction, such as alerts, pass.
	Directions []event.Direction `yaml:"directions"`
	// Feeds are names of feeds, of which one must list the offender. Events
	// without any indicator pass.
	Feeds []string `yaml:"feeds"`
	// Kinds are hit, update, alert and canary.
	Kinds []event.Kind `yaml:"kinds"`
	// Silenced lets events pass that a silence was in force for when they were made.
	Silenced bool `yaml:"silenced"`
}

// The values that a Filter may have.
var (
	severities = []string{event.Low.String(), event.Medium.String(), event.High.String(), event.Critical.String()}
	directions = []event.Direction{event.Inbound, event.Outbound, event.Internal, event.Transit}
	kinds      = []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary}
)

// Validate returns which key is wrong and what is allowed. Any name of a feed is.
func (f Filter) Validate() error {
	if f.MinSeverity != "" && !slices.Contains(severities, f.MinSeverity) {
		return notAllowed("min_severity", f.MinSeverity, severities)
	}
	for i, d := range f.Directions {
		if !slices.Contains(directions, d) {
			return notAllowed(fmt.Sprintf("directions[%d]", i), d, directions)
		}
	}
	for i, k := range f.Kinds {
		if !slices.Contains(kinds, k) {
			return notAllowed(fmt.Sprintf("kinds[%d]", i), k, kinds)
		}
	}
	return nil
}

func notAllowed[T ~string](key string, value T, allowed []T) error {
	var all []string
	for _, a := range allowed {
		all = append(all, string(a))
	}
	return fmt.Errorf("%s: %q is not valid; use one of %s", key, value, strings.Join(all, ", "))
}

// passes reports whether a sink with this filter gets e.
func (f Filter) passes(e *event.Event) bool {
	if e.Kind == event.KindCanary {
		return f.Passes(e.Kind)
	}
	return (f.Silenced || e.Silenced == "") && int(e.Severity) >= slices.Index(severities, f.MinSeverity) &&
		(len(f.Directions) == 0 || e.Direction == "" || slices.Contains(f.Directions, e.Direction)) &&
		(len(f.Feeds) == 0 || len(e.Indicators) == 0 || slices.ContainsFunc(e.Indicators, f.lists)) &&
		f.Passes(e.Kind)
}

// Passes reports whether events of a kind pass at all.
func (f Filter) Passes(k event.Kind) bool { return len(f.Kinds) == 0 || slices.Contains(f.Kinds, k) }

func (f Filter) lists(i event.Indicator) bool { return slices.Contains(f.Feeds, i.Feed) }

// RateLimit bounds the events that a sink gets. It goes by the times of receipt,
// so that those that waited for a sink to come back are not taken for a flood. Where it
// stands belongs to the place in the journal: events that are sent again, after a broken
// connection or a crash, are those that passed before. It holds for each lane of the journal.
type RateLimit struct {
	// Rate is in events per second; 0 = no limit.
	Rate float64 `yaml:"rate"`
	// Burst is how many may come at once after a quiet time.
	Burst int `yaml:"burst"`
}

// Validate returns which key is wrong and what is allowed.
func (l RateLimit) Validate() error {
	switch {
	case !(l.Rate >= 0 && l.Rate <= 1e6):
		return fmt.Errorf("rate: %v events per second are not valid; use 0 (no limit) to 1000000", l.Rate)
	case l.Rate > 0 && (l.Burst < 1 || l.Burst > 1e6):
		return fmt.Errorf("burst: %d events are not valid; use 1 to 1000000", l.Burst)
	}
	return nil
}

// A Bucket of tokens is where a RateLimit stands in a sequence of events.
type Bucket struct {
	Spent float64 `json:"spent"` // tokens that are missing in it
	Last  int64   `json:"last"`  // time of the latest event, in nanoseconds since 1970
}

// passesEvent takes a token for an event. The time of a contact from before a listing is not
// that of its receipt, and may be weeks ago: it counts for the time of the event before it.
func (b *Bucket) passesEvent(l RateLimit, e *event.Event) bool {
	if e.Retro {
		return b.passes(l, time.Unix(0, b.Last))
	}
	return b.passes(l, e.Time)
}

// passes takes a token for an event of that time. A clock that was set back only
// makes the refill begin anew.
func (b *Bucket) passes(l RateLimit, t time.Time) bool {
	if l.Rate == 0 {
		return true
	}
	if since := t.Sub(time.Unix(0, b.Last)).Seconds(); since > 0 {
		b.Spent = max(0, b.Spent-since*l.Rate)
	}
	b.Last = t.UnixNano()
	if b.Spent+1 > float64(l.Burst) {
		return false
	}
	b.Spent++
	return true
}
