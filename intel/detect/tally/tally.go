// Package tally counts in the contact history what an alert of a rule is about: the attempts
// at one service of one of our hosts, by day and by source, for the report. An engine has only
// a window of this, and of many sources only a sample; the history has all of it.
package tally

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// maxSources is how many sources are counted one by one, unless a question has less. What
// further ones did is in the sums of the days only. A source takes about 60 bytes.
const maxSources = 1_000_000

// maxBuffered bounds what of a file of a day waits in memory, at 160 bytes: of all contacts
// those with one service are few.
const maxBuffered = 50_000

// A Question is what is counted: attempts from outside at a service of a host, from one time
// of receipt up to another one, by whole hours.
type Question struct {
	Inside   flow.Addr6
	Protocol uint8
	Port     uint16
	From, To time.Time
	// MaxSources is how many sources are counted one by one; 0 = 1,000,000.
	MaxSources int
}

// A Tally is the answer.
type Tally struct {
	Tries   uint64
	Days    []Day // those with attempts, in order
	Sources int   // different addresses
	// Histogram is how many sources tried so many times, the fewest times first.
	Histogram []Bar
	More      bool // there were more than Question.MaxSources
	// Folded are attempts at hosts that the history did not keep apart; they are not counted.
	Folded uint64
	Lost   uint64 // flows that the history lost in this time
	// Missing are days of this time, by UTC, of which there is no file (any more); Bad are
	// files that cannot be read.
	Missing, Bad int
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
	if q.MaxSources <= 0 {
		q.MaxSources = maxSources
	}
	c := &counter{q: q, days: make(map[uint32]uint64), sources: make(map[flow.Addr6]uint64)}
	done, err := contacts.Read(ctx, f, c, contacts.Query{From: q.From, To: q.To.Add(-time.Second), MaxBuffered: maxBuffered})
	t := c.tally()
	t.Lost, t.Bad = done.Lost, len(done.Bad)
	if err != nil {
		return t, err
	}
	t.Missing, err = missing(f, q)
	return t, err
}

// missing counts the days without a file.
func missing(f *folder.Folder, q Question) (n int, err error) {
	const day = 24 * time.Hour
	files, err := f.Files(q.From, q.To)
	if err != nil {
		return 0, err
	}
	has := make(map[time.Time]bool)
	for i := range files {
		name := &files[i].Name
		for d := name.From.UTC().Truncate(day); !d.After(name.To) && len(has) < 10_000; d = d.Add(day) {
			has[d] = true
		}
	}
	for d := q.From.UTC().Truncate(day); d.Before(q.To); d = d.Add(day) {
		if !has[d] {
			n++
		}
	}
	return n, nil
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
	if o.Protocol != c.q.Protocol || o.ServicePort != c.q.Port || o.Direction != row.Inbound {
		return false
	}
	return o.Inside == c.q.Inside || o.Inside == (flow.Addr6{})
}

// Observe counts.
func (c *counter) Observe(o *rule.Observation) {
	switch {
	case !c.Wants(o):
		return
	case o.Flows == 0: // an hour of a row that has fewer flows than hours
		return
	case o.Inside != c.q.Inside:
		c.folded += o.Flows
		return
	}
	c.days[o.Time/86400] += o.Flows
	if _, known := c.sources[o.Outside]; !known && len(c.sources) >= c.q.MaxSources {
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
	slices.SortFunc(t.Histogram, func(a, b Bar) int { return cmp.Compare(a.Times, b.Times) })
	return t
}
