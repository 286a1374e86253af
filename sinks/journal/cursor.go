package journal

import (
	"errors"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// A Cursor is where one sink is in both lanes, and what was read from there. One goroutine
// uses it, that of the [sinks.Runner]; Kept, Drained, Counts and Leave may be called from
// any. What is urgent is read first.
type Cursor struct {
	journal *Journal
	wake    chan struct{} // of the places

	// The journal's lock guards these.
	places [lanes]*position.Place
	past   []marks // where it was before, the oldest first, as long as the sink may want events again
	doubt  marks   // events up to there were asked for again
	left   bool    // the runner has gone, its answer no longer counts

	// Of the goroutine alone.
	readers [lanes]record.Reader
	batch   batch
}

var _ sinks.Cursor = (*Cursor)(nil)

// marks are the marks of one sink in all lanes.
type marks [lanes]position.Mark

// delivered counts the events delivered in all lanes.
func (m *marks) delivered() (n uint64) {
	for i := range m {
		n += m[i].Delivered
	}
	return n
}

// A batch is what was read of one lane and is not settled yet.
type batch struct {
	lane    int
	events  []event.Event   // those that the sink gets
	marks   []position.Mark // marks[i]: the place when all before events[i] are delivered
	end     position.Mark   // when all are
	sent    int             // events that are settled
	damaged uint64          // events among the dropped that could not be read
}

// deliver takes n events for delivered and gives the place after them. last means
// that nothing is left.
func (b *batch) deliver(n int) (m position.Mark, last bool) {
	b.sent += n
	if b.sent < len(b.events) {
		return b.marks[b.sent], false
	}
	return b.end, true
}

// reset forgets the events.
func (b *batch) reset() {
	clear(b.events)
	*b = batch{events: b.events[:0], marks: b.marks[:0]}
}

// Cursor attaches a runner to the place of the sink of that name. A name that the journal
// knows goes on where it was. A new one begins with the oldest event that any known sink
// has still to get.
func (j *Journal) Cursor(name string) (sinks.Cursor, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := &Cursor{journal: j, wake: make(chan struct{}, 1)}
	for i, l := range j.lanes {
		if l.closed {
			return nil, ErrStopped
		}
		p, err := l.places.Attach(name, c.wake, l.first(), l.next, folder.Now(l.cfg.Date).Date)
		if err != nil {
			return nil, err // the same in every lane: none was attached before
		}
		c.places[i], c.readers[i] = p, record.NewReader(j.disk)
		signal(l.moved)
	}
	if held := c.marks((*position.Place).Held); held != c.marks((*position.Place).Settled) {
		c.past = []marks{held}
	}
	return c, nil
}

// marks gives one mark of every lane.
func (c *Cursor) marks(of func(*position.Place) position.Mark) (m marks) {
	for i, p := range c.places {
		m[i] = of(p)
	}
	return m
}

// Wake has a token when there may be something to read.
func (c *Cursor) Wake() <-chan struct{} { return c.wake }

// Rest gives the events that were read and are to be delivered, of one lane. They are lent
// until the next call that changes the place.
func (c *Cursor) Rest() []event.Event { return c.batch.events[c.batch.sent:] }

// Next reads what comes next, of which judge decides what becomes of it. It is called when
// Rest is empty. No more means that there is nothing now; an error is that of the disk, and
// what waits can be read later.
func (c *Cursor) Next(n int, judge sinks.Judge) (more bool, err error) {
	for i := range c.places {
		found, failed := c.nextOf(i, n, judge)
		if found && failed == nil {
			return true, nil
		}
		more, err = more || found, errors.Join(err, failed)
	}
	return more, err
}

// nextOf is Next of one lane.
func (c *Cursor) nextOf(i, n int, judge sinks.Judge) (more bool, err error) {
	l, p := c.journal.lanes[i], c.places[i]
	l.mu.Lock()
	s, more := l.locate(p, n)
	l.mu.Unlock()
	if !more {
		return false, nil
	}
	records, err := l.read(&c.readers[i], p, s, n)
	if err != nil {
		return true, err
	}
	to := s.to
	if n := len(records); n > 0 {
		to = records[n-1].Number + 1
	}
	l.mu.Lock()
	m, ok := p.Lend(s.from, to)
	l.mu.Unlock()
	if ok {
		c.judge(i, m, records, to, judge)
	}
	return true, nil
}

// judge decides what becomes of each record, beginning at m; none is before it. A batch
// of which the sink gets nothing is settled.
func (c *Cursor) judge(lane int, m position.Mark, records []record.Record, to uint64, judge sinks.Judge) {
	b := &c.batch
	b.reset()
	b.lane = lane
	for _, rec := range records {
		b.damaged += rec.Number - m.Position
		m.Drop(rec.Number)
		before := m
		if e, ok := rec.Event(); !ok {
			b.damaged++
			m.Dropped++
		} else {
			switch judge(&e, &m.Bucket) {
			case sinks.Filtered:
				m.Filtered++
			case sinks.Limited:
				m.Limited++
			default:
				b.events, b.marks = append(b.events, e), append(b.marks, before)
				m.Delivered++
			}
		}
		m.Position++
	}
	b.damaged += to - m.Position
	m.Drop(to)
	b.end = m
	if len(b.events) > 0 {
		return
	}
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.advance(b.end, true, false)
}

// Settle notes what became of the first n events of Rest: they are delivered, but for the
// latest of all delivered events of the lane that the sink has given up. With remember it
// can go back to where it was before.
func (c *Cursor) Settle(n, givenUp int, remember bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	if c.left {
		return
	}
	m, last := c.batch.deliver(n)
	m.GiveUp(uint64(max(0, givenUp)))
	c.advance(m, last, remember)
}

// advance moves the place in the lane of the batch.
func (c *Cursor) advance(m position.Mark, last, remember bool) {
	p := c.places[c.batch.lane]
	defer signal(c.journal.lanes[c.batch.lane].moved)
	if remember && m.Delivered > p.Settled().Delivered {
		c.remember(c.marks((*position.Place).Settled))
	}
	p.Settle(m, last)
	if last {
		p.Damaged(c.batch.damaged)
		c.batch.reset()
	}
}

// Yield gives the rest back, to be read again, when it is not urgent and urgent events
// have come.
func (c *Cursor) Yield() bool {
	j := c.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	u, p := c.places[urgent], c.places[ordinary]
	if c.left || len(c.Rest()) == 0 || c.batch.lane == urgent || u.Next() >= j.lanes[urgent].readable() {
		return false
	}
	p.Unlend(j.lanes[ordinary].first())
	c.batch.reset()
	return true
}

// Back makes the latest n delivered events, and some before, come again, and gives the
// number of those that stay delivered. Not ok means that nothing is remembered.
func (c *Cursor) Back(n uint64) (delivered uint64, ok bool) {
	j := c.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	before := c.marks((*position.Place).Settled)
	if c.left || !c.back(n) {
		return 0, false
	}
	for i, p := range c.places {
		c.doubt[i].Position = max(c.doubt[i].Position, before[i].Position)
		p.Skip(j.lanes[i].first())
		delivered += p.Settled().Delivered
		signal(j.lanes[i].moved)
	}
	c.batch.reset()
	return delivered, true
}

// Release lets the journal go of all but the latest held events that were delivered, and
// gives the number of those delivered before them.
func (c *Cursor) Release(held uint64) (certain uint64) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	before := c.marks((*position.Place).Held)
	c.forget(held)
	for i, p := range c.places {
		if p.Held() != before[i] {
			signal(c.journal.lanes[i].moved)
		}
	}
	done := c.marks((*position.Place).Settled)
	delivered := done.delivered()
	return delivered - min(held, delivered)
}

// Doubtful reports whether events that were asked for again are not certain yet.
func (c *Cursor) Doubtful() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	for i, p := range c.places {
		if p.Held().Position < c.doubt[i].Position {
			return true
		}
	}
	return false
}

// Kept reports whether the journal keeps over a stop what was not delivered.
func (c *Cursor) Kept() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	kept := c.journal.cfg.Durability != InMemory
	for _, l := range c.journal.lanes {
		kept = kept && l.trouble == nil
	}
	return kept
}

// Drained reports whether everything was read.
func (c *Cursor) Drained() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	for i, p := range c.places {
		if p.Next() < c.journal.lanes[i].next {
			return false
		}
	}
	return true
}

// Close ends the reading.
func (c *Cursor) Close() {
	for i := range c.readers {
		c.readers[i].Close()
	}
}

// Leave takes back what was read and not delivered. With ended a next runner may come;
// else the one before may still return, and what it does then does not count.
func (c *Cursor) Leave(ended bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.left = true
	for i, p := range c.places {
		p.Leave(ended, c.journal.lanes[i].first())
	}
}

// Counts gives the counters at one moment.
func (c *Cursor) Counts() (s sinks.Counts) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	for i, p := range c.places {
		l := c.journal.lanes[i]
		one := p.Counts(l.next)
		one.PendingBytes = l.bytesFrom(l.next - one.Pending)
		if i == urgent {
			one.DroppedUrgent, one.PendingUrgent = one.Dropped, one.Pending
			one.Since = time.Time{} // a journal of before had the other lane alone
		}
		s.Add(one)
	}
	return s
}

// maxPast bounds the earlier marks; more are thinned out.
const maxPast = 4096

// remember keeps m as a mark to go back to.
func (c *Cursor) remember(m marks) {
	c.past = append(c.past, m)
	if len(c.past) > maxPast {
		odd := c.past[:0]
		for i := 0; i < len(c.past); i += 2 {
			odd = append(odd, c.past[i])
		}
		c.past = odd
	}
	c.keep()
}

// keep has the journal keep what may be needed again.
func (c *Cursor) keep() {
	for i, p := range c.places {
		if len(c.past) > 0 {
			p.Hold(c.past[0][i], true)
		} else {
			p.Hold(position.Mark{}, false)
		}
	}
}

// forget removes the earlier marks that are not needed when only the latest n
// delivered events may be needed again.
func (c *Cursor) forget(n uint64) {
	defer c.keep()
	if n == 0 {
		c.past = nil
		return
	}
	done := c.marks((*position.Place).Settled)
	certain := done.delivered() - min(n, done.delivered())
	for len(c.past) > 1 && c.past[1].delivered() <= certain {
		c.past = slices.Delete(c.past, 0, 1)
	}
}

// back returns to marks before the latest n delivered events, as far as they are
// remembered, and reports whether there are any.
func (c *Cursor) back(n uint64) bool {
	done := c.marks((*position.Place).Settled)
	for i := len(c.past) - 1; i >= 0; i-- {
		if i > 0 && c.past[i].delivered()+n > done.delivered() {
			continue
		}
		for l, p := range c.places {
			p.Back(c.past[i][l])
		}
		c.past = c.past[:i]
		c.keep()
		return true
	}
	return false
}
