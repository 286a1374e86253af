// Package pulse keeps what the program has done in each hour, until the database of incidents
// has it: a report shows of which hours it knows nothing, and a quiet network must not look
// like a program that did not run. Differences go in by [Book.Add], once a minute; [Book.Send]
// writes the hours that have changed, as totals of this run of the program, so that they may be
// written again when it is not certain whether they were. While the database is away the hours
// wait in memory, at most 31 days of them.
package pulse

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// maxHours are the hours in memory: 31 days.
const maxHours = 31 * 24

// recent is for how long an hour that the database has stays in memory: the clock may be set
// back, and the hour go on.
const recent = 3 * time.Hour

// A Book has the hours of one run of the program. Its methods may be called from any
// goroutine, Send from one at a time.
type Book struct {
	run int64

	mu    sync.Mutex
	hours map[int64]*hour // by seconds since 1970
	stats Stats
}

// An hour is the total of one, and what of it is to be written.
type hour struct {
	incident.Pulse
	version, sent int // sent: the version that the database has
}

// Stats are what became of the hours since the start.
type Stats struct {
	Waiting int       // hours of which the database lacks something
	Dropped uint64    // hours that were too many, the oldest
	Errors  uint64    // failed transactions; they are tried again
	Error   string    // of the last transaction; empty = it succeeded
	Last    time.Time // the last transaction that succeeded; zero = none
}

// NewBook makes an empty book of a new run.
func NewBook() *Book { return &Book{run: 1 + rand.Int64N(1<<62), hours: map[int64]*hour{}} }

// Add adds what was done before now, since Add was called last, to the hour of now.
func (b *Book) Add(now time.Time, p incident.Pulse) {
	at := now.Truncate(time.Hour).Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.hours[at]
	if h == nil {
		h = &hour{}
		b.hours[at] = h
	}
	h.Pulse.Add(p)
	h.version++
	b.forget(now)
}

// forget removes hours that the database has, and the oldest of those that are too many.
func (b *Book) forget(now time.Time) {
	oldest, waiting := int64(0), 0
	for at, h := range b.hours {
		if h.sent == h.version && now.Sub(time.Unix(at, 0)) > recent {
			delete(b.hours, at)
			continue
		}
		if waiting++; waiting == 1 || at < oldest {
			oldest = at
		}
	}
	if waiting > maxHours {
		delete(b.hours, oldest)
		b.stats.Dropped++
	}
}

// Send gives beat the hours that it has not had in this state, the oldest first, with the
// number of the run. An error leaves them for the next call.
func (b *Book) Send(ctx context.Context, beat func(ctx context.Context, run int64, hours []incident.HourPulse) error) error {
	hours, versions := b.waiting()
	if len(hours) == 0 {
		return nil
	}
	err := beat(ctx, b.run, hours)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.stats.Errors++
		b.stats.Error = err.Error()
		return err
	}
	b.stats.Error, b.stats.Last = "", time.Now()
	for at, version := range versions {
		if h := b.hours[at]; h != nil {
			h.sent = version
		}
	}
	return nil
}

func (b *Book) waiting() (list []incident.HourPulse, versions map[int64]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	versions = map[int64]int{}
	for at, h := range b.hours {
		if h.sent != h.version {
			list = append(list, incident.HourPulse{Hour: time.Unix(at, 0).UTC(), Pulse: h.Pulse})
			versions[at] = h.version
		}
	}
	slices.SortFunc(list, func(x, y incident.HourPulse) int { return cmp.Compare(x.Hour.Unix(), y.Hour.Unix()) })
	return list, versions
}

// Stats gives the counters.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	for _, h := range b.hours {
		if h.sent != h.version {
			s.Waiting++
		}
	}
	return s
}
