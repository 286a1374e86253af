package journal

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// A mark is a place in the journal and what became of the events before it. At any
// mark of a cursor
//
//	Position = Start + Delivered + Failed + Filtered + Limited + Dropped
//
// so what is saved and read again after a crash still adds up.
type mark struct {
	Position  uint64 `json:"position"` // number of the next event
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`
	Filtered  uint64 `json:"filtered"`
	Limited   uint64 `json:"limited"`
	Dropped   uint64 `json:"dropped"`
	// Bucket is the state of the sink's rate limit: events that come again meet the same.
	Bucket sinks.Bucket `json:"bucket,omitzero"`
}

// drop moves the mark to a later position; what lies between is dropped.
func (m *mark) drop(to uint64) {
	m.Dropped += to - m.Position
	m.Position = to
}

// giveUp takes n events back of what was delivered: the sink has given them up. They may be
// of earlier batches.
func (m *mark) giveUp(n uint64) {
	n = min(n, m.Delivered)
	m.Delivered -= n
	m.Failed += n
}

// A place is where one sink is in the journal. It outlives the runner of the sink: it is
// read with the journal and written while it moves. The journal's lock guards it.
type place struct {
	name     string
	attached bool          // a runner has it, or had since the journal was opened
	taken    bool          // a runner has it
	wake     chan struct{} // one token: there may be something to read

	start uint64 // number of the first event that this cursor was to have
	since int64  // when it was made, in seconds since 1970; 0 = unknown
	next  uint64 // of the first event that the runner has not taken
	lent  bool   // the runner has a batch of what is before
	done  mark   // everything before is settled
	lost  uint64 // dropped behind the batch
	// hold is an earlier value of done: the sink may still want events again from there on.
	hold    mark
	holds   bool
	damaged uint64 // of the dropped, those that could not be read

	saved   mark // what the file has
	unsaved bool // the file still tells how the run before ended
	// mayRepeat says that the file was not of a regular stop: what was delivered
	// after it was written is delivered again.
	mayRepeat bool
	repeats   uint64    // events that it may have had: its place was lost
	trouble   error     // why its events cannot be read now; nil = they can
	file      disk.File // this and serial are guarded by the journal's lock for saving
	path      string
	journal   string    // identity of the journal
	serial    uint64    // of the latest save
	seen      time.Time // of a cursor that is not attached: when it was last saved
}

// held gives the mark that the journal must keep everything from.
func (c *place) held() mark {
	if c.holds {
		return c.hold
	}
	return c.done
}

// settled gives the mark before which everything is settled.
func (c *place) settled() mark { return c.done }

// dropped counts everything dropped up to now.
func (c *place) dropped() uint64 { return c.done.Dropped + c.lost }

// skip drops what was not lent yet of the events before number.
func (c *place) skip(number uint64) {
	if number <= c.next {
		return
	}
	c.lost += number - c.next
	c.next = number
}

// begin settles what was dropped while nothing was lent, and gives the mark that the
// next batch begins at.
func (c *place) begin() mark {
	c.done.drop(c.next)
	c.lost = 0
	return c.done
}

// settle sets what became of the batch that was lent. last says that no event of
// it is left; then what was dropped behind it is settled as well.
func (c *place) settle(m mark, last bool) {
	c.done = m
	if last {
		c.lent = false
		c.begin()
	}
}

// unlend takes back what is left of the batch, if one is lent. Then what was dropped
// behind it is found missing again.
func (c *place) unlend() {
	if c.lent {
		c.next, c.lost, c.lent = c.done.Position, 0, false
	}
}
