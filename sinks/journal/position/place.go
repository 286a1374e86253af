package position

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// A Mark is a place in the journal and what became of the events before it. At any
// mark of a sink
//
//	Position = Start + Delivered + Failed + Filtered + Limited + Dropped
//
// so what is saved and read again after a crash still adds up.
type Mark struct {
	Position  uint64 `json:"position"` // number of the next event
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`
	Filtered  uint64 `json:"filtered"`
	Limited   uint64 `json:"limited"`
	Dropped   uint64 `json:"dropped"`
	// Bucket is the state of the sink's rate limit: events that come again meet the same.
	Bucket sinks.Bucket `json:"bucket,omitzero"`
}

// Drop moves the mark to a later position; what lies between is dropped.
func (m *Mark) Drop(to uint64) {
	m.Dropped += to - m.Position
	m.Position = to
}

// GiveUp takes n events back of what was delivered: the sink has given them up. They may be
// of earlier batches.
func (m *Mark) GiveUp(n uint64) {
	n = min(n, m.Delivered)
	m.Delivered -= n
	m.Failed += n
}

// A Place is where one sink is in a lane. It outlives the runner of the sink: it is read
// with the journal and written while it moves. The journal's lock guards it.
type Place struct {
	name     string
	attached bool          // a runner has it, or had since the journal was opened
	taken    bool          // a runner has it
	wake     chan struct{} // one token: there may be something to read

	start uint64 // number of the first event that the sink was to have
	since int64  // when it was made, in seconds since 1970; 0 = unknown
	next  uint64 // of the first event that the runner has not taken
	lent  bool   // the runner has a batch of what is before
	done  Mark   // everything before is settled
	lost  uint64 // dropped behind the batch
	// hold is an earlier value of done: the sink may still want events again from there on.
	hold    Mark
	holds   bool
	damaged uint64 // of the dropped, those that could not be read

	saved   Mark // what the file has
	unsaved bool // the file still shows how the run before ended
	// mayRepeat means that the file was not of a regular stop: what was delivered
	// after it was written is delivered again.
	mayRepeat bool
	repeats   uint64    // events that it may have had: its place was lost
	trouble   error     // why its events cannot be read now; nil = they can
	file      disk.File // this and serial are guarded by the set's gate
	path      string
	journal   string    // identity of the journal
	serial    uint64    // of the latest save
	seen      time.Time // of a place that is not attached: when it was last saved
}

// newPlace makes the place of a sink at a position.
func newPlace(dir, name string, position uint64) *Place {
	p := &Place{name: name, start: position, next: position, wake: make(chan struct{}, 1)}
	p.done.Position = position
	if dir != "" {
		p.path = Path(dir, name)
	}
	return p
}

// Name gives the name of the sink.
func (p *Place) Name() string { return p.name }

// Attached reports whether a runner has it, or had since the journal was opened.
func (p *Place) Attached() bool { return p.attached }

// Next gives the number of the first event that the runner has not taken.
func (p *Place) Next() uint64 { return p.next }

// Held gives the mark that the journal must keep everything from.
func (p *Place) Held() Mark {
	if p.holds {
		return p.hold
	}
	return p.done
}

// Settled gives the mark before which everything is settled.
func (p *Place) Settled() Mark { return p.done }

// Hold has the journal keep everything from an earlier mark on; false ends that.
func (p *Place) Hold(m Mark, holds bool) { p.hold, p.holds = m, holds }

// Dropped counts everything dropped up to now.
func (p *Place) Dropped() uint64 { return p.done.Dropped + p.lost }

// Skip drops what was not lent yet of the events before number.
func (p *Place) Skip(number uint64) {
	if number <= p.next {
		return
	}
	p.lost += number - p.next
	p.next = number
}

// begin settles what was dropped while nothing was lent.
func (p *Place) begin() {
	p.done.Drop(p.next)
	p.lost = 0
}

// Lend gives the events from one number to before another to the runner, and the mark at
// which they begin, unless the first of them were dropped meanwhile.
func (p *Place) Lend(from, to uint64) (m Mark, ok bool) {
	if p.next != from {
		return Mark{}, false
	}
	p.begin()
	p.next, p.lent = to, true
	return p.done, true
}

// Settle sets what became of the batch that was lent. last means that no event of
// it is left; then what was dropped behind it is settled as well.
func (p *Place) Settle(m Mark, last bool) {
	p.done = m
	if last {
		p.lent = false
		p.begin()
	}
}

// Unlend takes back what is left of the batch, if one is lent. What was dropped behind it,
// and all before number that there is no more, is dropped then.
func (p *Place) Unlend(number uint64) {
	if p.lent {
		p.next, p.lost, p.lent = p.done.Position, 0, false
	}
	p.Skip(number)
}

// Back goes back to an earlier mark: what lies behind it comes again.
func (p *Place) Back(m Mark) {
	p.repeats += max(p.done.Delivered, m.Delivered) - m.Delivered
	p.done, p.lent = m, true // whether or not: it is taken back to there
	p.Unlend(0)
}

// Leave takes back what was lent, as Unlend does. With ended a next runner may come.
func (p *Place) Leave(ended bool, number uint64) {
	p.taken = !ended
	p.Unlend(number)
}

// Damaged counts events among the dropped that could not be read.
func (p *Place) Damaged(n uint64) { p.damaged += n }

// Trouble notes why its events cannot be read now; nil = they can. It gives the error with
// the name of the sink.
func (p *Place) Trouble(err error) error {
	p.trouble = err
	if err != nil {
		p.trouble = fmt.Errorf("sink %s: its events cannot be read: %w", p.name, err)
	}
	return p.trouble
}

// Counts gives the counters, of all that has come before next, the number of the next event
// of the lane. PendingBytes is left to the caller, and so are those of urgent events.
func (p *Place) Counts(next uint64) sinks.Counts {
	m, held := p.done, p.Held().Delivered
	s := sinks.Counts{
		Appended: next - p.start, Delivered: m.Delivered, Failed: m.Failed, Filtered: m.Filtered, Limited: m.Limited,
		Dropped: p.Dropped(), Pending: next - m.Position - p.lost, Damaged: p.damaged,
		Held: max(m.Delivered, held) - held, MayRepeat: p.mayRepeat, Repeated: p.repeats,
	}
	if p.since > 0 {
		s.Since = time.Unix(p.since, 0)
	}
	return s
}
