package sinks

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Journal is where a [Runner] gets its events from. It keeps the place of every sink.
type Journal interface {
	// Cursor attaches a runner to the place of the sink of that name. There may be only
	// one at a time.
	Cursor(name string) (Cursor, error)
}

// An Outcome is what becomes of an event.
type Outcome int

// The outcomes.
const (
	Send     Outcome = iota // the sink gets it
	Filtered                // not for this sink, see Filter
	Limited                 // too many, see RateLimit
)

// A Judge decides what becomes of an event. The bucket is the state of the rate limit at
// the event; the journal keeps it with the place.
type Judge func(e *event.Event, b *Bucket) Outcome

// A Cursor is the place of one sink in a [Journal], and the events that were read from
// there. One goroutine calls its methods; Kept, Drained, Counts and Leave may be called
// from any.
type Cursor interface {
	// Wake has a token when there may be something to read.
	Wake() <-chan struct{}

	// Next reads up to n events, of which those that judge sends are then in Rest. It
	// waits for nothing and is called when Rest is empty. No more means that there is
	// nothing now; an error means that what waits cannot be read now.
	Next(n int, judge Judge) (more bool, err error)

	// Rest gives the events that were read and are still to be delivered, in order: what is
	// urgent and waits in the journal comes before what is not, and each keeps its order. They
	// are lent until the next call of another method that moves the place.
	Rest() []event.Event

	// Settle moves the place over the first n events of Rest: they are delivered. Of all
	// delivered events, earlier ones included, the latest givenUp count as failed. With
	// remember the place before can be gone back to.
	Settle(n, givenUp int, remember bool)

	// Yield gives Rest back, to be read again later, when more urgent events have come; it
	// reports whether it did. It is called when Rest could not be delivered.
	Yield() bool

	// Back goes back before the latest n delivered events, as far as that is remembered,
	// and gives how many events are still delivered then. Not ok means that it is not
	// remembered at all.
	Back(n uint64) (delivered uint64, ok bool)

	// Release lets the journal go of all but the latest held events that are delivered,
	// and gives the number of those before them, which are certain.
	Release(held uint64) (certain uint64)

	// Doubtful reports whether events that Back has made come again are not certain yet.
	Doubtful() bool

	// Kept reports whether what is not delivered would be kept over a stop.
	Kept() bool
	// Drained reports whether everything there is was read.
	Drained() bool
	// Counts gives the counters at one moment.
	Counts() Counts

	// Leave gives the place back, and Rest with it. Not ended means that a call may be
	// under way for ever; what it does afterwards does not count, and no other runner gets
	// the place.
	Leave(ended bool)
	// Close releases what was used for reading. The goroutine that reads calls it last.
	Close()
}

// Counts are the events of one sink. At any moment
//
//	Appended = Delivered + Failed + Filtered + Limited + Dropped + Pending
//
// These are saved with the place in the journal: they count from when the sink was
// first configured and go on after a restart. After a crash what happened since
// they were saved is not counted twice. All else counts since the start.
type Counts struct {
	// Since is when the journal first knew the sink; the numbers of events count from
	// then on, over restarts. Zero = not known.
	Since     time.Time
	Appended  uint64
	Delivered uint64
	Failed    uint64 // given up by the sink
	Filtered  uint64 // filtered, see Filter
	Limited   uint64 // too many, see RateLimit
	Dropped   uint64 // gone before the sink had them: too many bytes, too old, damaged
	Pending   uint64 // waiting, those being sent included

	// Of the dropped and the waiting, those of the urgent lane: events of high and critical
	// severity, and alerts.
	DroppedUrgent uint64
	PendingUrgent uint64

	Damaged      uint64 // of the dropped, those that could not be read
	PendingBytes int64  // about
	Held         uint64 // of the delivered, those that may be sent again, see Holder

	// MayRepeat means that the run before did not end regularly, or that the place of the
	// sink was lost: it may have got some events twice. Repeated counts those that it
	// asked for again, and those that were in the journal when the place was lost.
	MayRepeat bool
	Repeated  uint64
}

// Add adds the counters of another lane, of the same sink.
func (c *Counts) Add(other Counts) {
	c.Appended += other.Appended
	c.Delivered += other.Delivered
	c.Failed += other.Failed
	c.Filtered += other.Filtered
	c.Limited += other.Limited
	c.Dropped += other.Dropped
	c.Pending += other.Pending
	c.DroppedUrgent += other.DroppedUrgent
	c.PendingUrgent += other.PendingUrgent
	c.Damaged += other.Damaged
	c.PendingBytes += other.PendingBytes
	c.Held += other.Held
	c.MayRepeat = c.MayRepeat || other.MayRepeat
	c.Repeated += other.Repeated
	if c.Since.IsZero() {
		c.Since = other.Since
	}
}
