// Package tally counts in the contact history what an alert of a rule is about: the attempts
// at one service of one of our hosts, by day and by source, for the report. An engine has only
// a window of this, and of many sources only a sample; the history has all of it.
package tally

import (
	"context"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// MaxSources is how many sources are counted one by one. What further ones did is in the sums
// of the days only.
const MaxSources = 1_000_000

// A Question is what is counted: attempts from outside at a service of a host, from one time
// of receipt up to another one, by whole hours.
type Question struct {
	Inside   flow.Addr6
	Protocol uint8
	Port     uint16
	From, To time.Time
}

// A Tally is the answer.
type Tally struct {
	Tries   uint64
	Days    []Day // those with attempts, in order
	Sources int   // different addresses
	// Histogram is how many sources tried so many times, the fewest times first.
	Histogram []Bar
	More      bool // there were more than MaxSources
	// Folded are attempts at hosts that the history did not keep apart; they are not counted.
	Folded uint64
	Lost   uint64 // flows that the history lost in this time
}

// A Day is one day by UTC.
type Day struct {
	Day   time.Time
	Tries uint64
}

// A Bar is how many sources tried so many times.
type Bar struct{ Times, Sources uint64 }

// Count reads the history.
func Count(ctx context.Context, f *folder.Folder, q Question) (Tally, error) {
	c := &counter{q: q, days: make(map[uint32]uint64), sources: make(map[flow.Addr6]uint64)}
	done, err := contacts.Read(ctx, f, c, contacts.Query{From: q.From, To: q.To.Add(-time.Second)})
	t := c.tally()
	t.Lost = done.Lost
	return t, err
}

// A counter takes observations.
type counter struct {
	q       Question
	days    map[uint32]uint64
	sources map[flow.Addr6]uint64
	more    bool
	folded  uint64
}

// Text is not needed.
func (c *counter) Text(string) uint32 { return 0 }

// Wants is what is counted.
func (c *counter) Wants(o *rule.Observation) bool {
	const inbound = 1
	if o.Protocol != c.q.Protocol || o.ServicePort != c.q.Port || o.Direction != inbound {
		return false
	}
	return o.Inside == c.q.Inside || o.Inside == (flow.Addr6{})
}

// Observe counts.
func (c *counter) Observe(o *rule.Observation) {
	switch {
	case !c.Wants(o):
		return
	case o.Inside != c.q.Inside:
		c.folded += o.Flows
		return
	}
	c.days[o.Time/86400] += o.Flows
	if _, known := c.sources[o.Outside]; !known && len(c.sources) >= MaxSources {
		c.more = true
		return
	}
	c.sources[o.Outside] += o.Flows
}

// EndInterval is nothing here.
func (c *counter) EndInterval(bool) {}

func (c *counter) tally() Tally {
	t := Tally{Sources: len(c.sources), More: c.more, Folded: c.folded}
	for day, n := range c.days {
		t.Days = append(t.Days, Day{time.Unix(int64(day)*86400, 0).UTC(), n})
		t.Tries += n
	}
	slices.SortFunc(t.Days, func(a, b Day) int { return a.Day.Compare(b.Day) })
	times := make(map[uint64]uint64)
	for _, n := range c.sources {
		times[n]++
	}
	for n, sources := range times {
		t.Histogram = append(t.Histogram, Bar{n, sources})
	}
	slices.SortFunc(t.Histogram, func(a, b Bar) int { return int(int64(a.Times) - int64(b.Times)) })
	return t
}
