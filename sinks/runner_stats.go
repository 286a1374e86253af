package sinks

import (
	"errors"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
)

// CursorStats counts the events of one sink, see [Counts], and how it fares.
type CursorStats struct {
	Counts

	OldestAge time.Duration // since the receipt of the oldest being sent; 0 = none, or only contacts from before a listing

	Errors      uint64        // calls of Send that failed
	Failing     uint64        // of them those since the last delivery, see Holder; 0 = OK
	SendingFor  time.Duration // how long the present call of Send has taken; 0 = there is none
	LastError   string        // the latest error, kept after recovery; empty = never
	LastErrorAt time.Time     // when it came
}

// runnerStats is what only the runner knows.
type runnerStats struct {
	errors, failing uint64
	works           bool // the latest Send had no error
	lastError       string
	lastErrorAt     time.Time
	sending         time.Time // when Send was called; zero = it was not
	oldest          time.Time // receipt of the oldest event being sent; zero = none, or only contacts from before a listing
}

// sent counts the outcome of a Send. False means that the runner has left it behind.
func (r *Runner) sent(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return false
	}
	s := &r.stats
	if s.works = err == nil; s.works {
		return true
	}
	s.errors++
	if _, s.works = errors.AsType[*RefusedError](err); !s.works { // else all that can be delivered is
		s.failing++
	}
	now := time.Now()
	s.lastError, s.lastErrorAt = tlsfiles.ExplainDate(err, now).Error(), now
	return true
}

// certain notes that the sink has recovered, if it works and no event is in doubt.
func (r *Runner) certain() {
	doubtful := r.cursor.Doubtful()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stats.works && !doubtful {
		r.stats.failing = 0
	}
}

// waiting notes how old the events are that wait to be sent.
func (r *Runner) waiting() {
	var oldest time.Time
	rest := r.cursor.Rest()
	for i := range rest { // by index: events are large
		if !rest[i].Retro { // the time of the others is that of a contact before the listing
			oldest = rest[i].Time
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.oldest = oldest
}

// Stats gives the counters at one moment.
func (r *Runner) Stats() CursorStats {
	counts, now := r.cursor.Counts(), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return CursorStats{
		Counts:    counts,
		OldestAge: age(now, r.stats.oldest),
		Errors:    r.stats.errors, Failing: r.stats.failing, SendingFor: age(now, r.stats.sending),
		LastError: r.stats.lastError, LastErrorAt: r.stats.lastErrorAt,
	}
}

// age gives how long ago t was; 0 when it is not set, or lies ahead.
func age(now, t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t))
}

// sending notes when a Send began, or with the zero time that it ended.
func (r *Runner) sending(since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.sending = since
}
