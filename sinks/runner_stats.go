package sinks

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/clock"
)

// CursorStats counts the events of one sink. At any moment
//
//	Appended = Delivered + Failed + Filtered + Limited + Dropped + Pending
//
// These are saved with the place in the journal: they count from when the sink was
// first configured and go on after a restart. After a crash what happened since
// they were saved is not counted twice. All else counts since the start.
type CursorStats struct {
	// Since is when the journal first knew the sink; the numbers of events count from
	// then on, over restarts. Zero = not known.
	Since     time.Time
	Appended  uint64
	Delivered uint64
	Failed    uint64 // given up by the sink
	Filtered  uint64 // not wanted, see Filter
	Limited   uint64 // too many, see RateLimit
	Dropped   uint64 // gone before the sink had them: too many bytes, too old, damaged
	Pending   uint64 // waiting, those being sent included

	Damaged      uint64        // of the dropped, those that could not be read
	PendingBytes int64         // about
	OldestAge    time.Duration // since the receipt of the oldest that is being sent; 0 = none is
	Held         uint64        // of the delivered, those that may be sent again, see Holder

	// MayRepeat says that the run before did not end regularly, or that the place of the
	// sink was lost: it may have got some events twice. Repeated counts those that it
	// asked for again, and those that were in the journal when the place was lost.
	MayRepeat bool
	Repeated  uint64

	Errors      uint64        // calls of Send that failed
	Failing     uint64        // of them those since the last delivery, see Holder; 0 = all is well
	SendingFor  time.Duration // how long the present call of Send has taken; 0 = there is none
	LastError   string        // the latest error, kept after recovery; empty = never
	LastErrorAt time.Time     // when it came
}

// runnerStats is what only the runner knows.
type runnerStats struct {
	errors, failing, repeated uint64
	// doubt is the place in the journal before which events were asked for again. Until
	// they are certain the sink has not recovered.
	doubt       uint64
	works       bool // the latest Send had no error
	lastError   string
	lastErrorAt time.Time
	sending     time.Time // when Send was called; zero = it was not
	oldest      time.Time // receipt of the oldest event being sent
}

// sent counts the outcome of a Send.
func (s *runnerStats) sent(err error) {
	if s.works = err == nil; s.works {
		return
	}
	s.errors++
	if _, s.works = errors.AsType[*RefusedError](err); !s.works { // else all that can be delivered is
		s.failing++
	}
	now := time.Now()
	s.lastError, s.lastErrorAt = clock.Explain(err, now).Error(), now
}

// certain notes that nothing before position will be asked for again.
func (s *runnerStats) certain(position uint64) {
	if position >= s.doubt {
		s.doubt = 0
	}
	if s.works && !s.doubtful() {
		s.failing = 0
	}
}

// doubtful reports whether events that were asked for again are not certain yet.
func (s *runnerStats) doubtful() bool { return s.doubt > 0 }

// Stats gives the counters at one moment.
func (r *Runner) Stats() CursorStats {
	j, c := r.journal, r.cursor
	j.mu.Lock()
	defer j.mu.Unlock()
	m, now := c.done, time.Now()
	s := CursorStats{
		Appended: j.next - c.start, Delivered: m.Delivered, Failed: m.Failed, Filtered: m.Filtered, Limited: m.Limited,
		Dropped: c.dropped(), Pending: j.next - m.Position - c.lost,
		Damaged: c.damaged, PendingBytes: j.pendingBytes(m.Position + c.lost),
		OldestAge: age(now, r.stats.oldest), Held: m.Delivered - c.held().Delivered,
		MayRepeat: c.mayRepeat, Repeated: r.stats.repeated + c.repeats,
		Errors: r.stats.errors, Failing: r.stats.failing, SendingFor: age(now, r.stats.sending),
		LastError: r.stats.lastError, LastErrorAt: r.stats.lastErrorAt,
	}
	if c.since > 0 {
		s.Since = time.Unix(c.since, 0)
	}
	return s
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
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	r.stats.sending = since
}

// failedToRead notes that the journal could not be read, or with nil that it could.
func (r *Runner) failedToRead(err error) {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	r.cursor.trouble = err
	if err == nil {
		return
	}
	r.cursor.trouble = fmt.Errorf("sink %s: its events cannot be read: %w", r.cursor.name, err)
	r.journal.stats.ReadErrors++
	r.journal.stats.failed(r.cursor.trouble)
}
