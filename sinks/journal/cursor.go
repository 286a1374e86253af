package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// A Cursor is the place of one sink in the journal, and what was read from there. One
// goroutine uses it, that of the [sinks.Runner]; Kept, Drained, Counts and Leave may be
// called from any.
type Cursor struct {
	journal *Journal
	place   *place // the journal's lock guards it
	left    bool   // likewise: the runner has gone, what it says no longer counts

	// Of the goroutine alone.
	reader reader
	batch  batch
}

var _ sinks.Cursor = (*Cursor)(nil)

// A batch is what was read and is not settled yet.
type batch struct {
	events  []event.Event // those that the sink gets
	marks   []mark        // marks[i]: the place when all before events[i] are delivered
	end     mark          // when all are
	sent    int           // events that are settled
	damaged uint64        // events among the dropped that could not be read
}

// deliver takes n events for delivered and gives the place after them. last says
// that nothing is left.
func (b *batch) deliver(n int) (m mark, last bool) {
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

// Cursor attaches a runner the place of the sink of that name. A name that the journal knows
// goes on where it was. A new one begins with the oldest event that any known sink has
// still to get.
func (j *Journal) Cursor(name string) (sinks.Cursor, error) {
	p, err := j.attach(name)
	if err != nil {
		return nil, err
	}
	return &Cursor{journal: j, place: p, reader: reader{disk: j.disk}}, nil
}

// Wake has a token when there may be something to read.
func (c *Cursor) Wake() <-chan struct{} { return c.place.wake }

// Rest gives the events that were read and are to be delivered. They are lent until the
// next call that changes the place.
func (c *Cursor) Rest() []event.Event { return c.batch.events[c.batch.sent:] }

// Next reads what comes next, of which judge decides what becomes of it. It is called when
// Rest is empty. No more says that there is nothing now; an error is that of the disk, and
// what waits can be read later.
func (c *Cursor) Next(n int, judge sinks.Judge) (more bool, err error) {
	j := c.journal
	j.mu.Lock()
	s, more := j.locate(c.place, n)
	j.mu.Unlock()
	if !more {
		return false, nil
	}
	records, err := c.read(s, n)
	if err != nil {
		return true, err
	}
	to := s.to
	if n := len(records); n > 0 {
		to = records[n-1].number + 1
	}
	if m, ok := c.lend(s.from, to); ok {
		c.judge(m, records, to, judge)
	}
	return true, nil
}

// A source is where the next events of a cursor are: in memory, or in a segment.
type source struct {
	from, to uint64 // their numbers, those that are damaged or missing included
	memory   []byte
	path     string
	size     int64
}

// locate gives the next source of a place, and moves it over what is nowhere.
func (j *Journal) locate(p *place, n int) (s source, ok bool) {
	end := j.readable()
	in := j.tail.at(p.next)
	if p.next < end && (in == nil || in.first > p.next) {
		if seg := j.segmentAt(p.next); seg != nil {
			return source{from: p.next, to: seg.end, path: seg.path, size: seg.size}, true
		}
		if in != nil {
			p.skip(in.first) // dropped while the disk was in trouble
		} else {
			p.skip(end)
		}
	}
	if p.next >= end {
		return source{}, false
	}
	to := min(end, in.end(), p.next+uint64(n))
	return source{from: p.next, to: to, memory: in.bytes(p.next, to)}, true
}

// segmentAt gives the first segment that may have a record of that or a later
// number.
func (j *Journal) segmentAt(number uint64) *segment {
	for _, s := range j.segments {
		if number < s.end {
			return s
		}
	}
	return nil
}

// read reads the records of a source. None says that the rest of it is damaged, or
// was removed from a directory that is there. All other errors are tried again for ever:
// descriptors come back, and disks and servers do.
func (c *Cursor) read(s source, n int) (records []record, err error) {
	if s.memory != nil {
		c.failedToRead(nil)
		return c.reader.memory(s.memory, s.from), nil
	}
	records, err = c.reader.read(s.path, s.size, s.from, n)
	if err != nil {
		c.reader.close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.journal.isRemoved(s.path); err == nil {
			return nil, nil
		}
	}
	c.failedToRead(err)
	return records, err
}

// isRemoved finds out whether a segment that cannot be found is no more; an error says
// that it may come back.
func (j *Journal) isRemoved(path string) error {
	if err := j.checkDir(); err != nil {
		return err
	}
	if _, err := j.disk.Lstat(path); err == nil {
		return fmt.Errorf("%s: was away", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if slices.ContainsFunc(j.segments, func(s *segment) bool { return s.path == path }) { // else by ourselves
		j.stats.failed(fmt.Errorf("%s: was removed with events in it", path))
	}
	return nil
}

// failedToRead notes that the journal could not be read, or with nil that it could.
func (c *Cursor) failedToRead(err error) {
	j, p := c.journal, c.place
	j.mu.Lock()
	defer j.mu.Unlock()
	p.trouble = err
	if err == nil {
		return
	}
	p.trouble = fmt.Errorf("sink %s: its events cannot be read: %w", p.name, err)
	j.stats.ReadErrors++
	j.stats.failed(p.trouble)
}

// lend gives the events from one number to before another to the runner, unless
// the first of them were dropped meanwhile.
func (c *Cursor) lend(from, to uint64) (m mark, ok bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	if c.place.next != from {
		return mark{}, false
	}
	m = c.place.begin()
	c.place.next, c.place.lent = to, true
	return m, true
}

// judge decides what becomes of each record, beginning at m; none is before it. A batch
// of which the sink gets nothing is settled.
func (c *Cursor) judge(m mark, records []record, to uint64, judge sinks.Judge) {
	b := &c.batch
	b.reset()
	for _, rec := range records {
		b.damaged += rec.number - m.Position
		m.drop(rec.number)
		before := m
		if e, ok := rec.event(); !ok {
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
	m.drop(to)
	b.end = m
	if len(b.events) > 0 {
		return
	}
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.advance(b.end, true, false)
}

// Settle notes what became of the first n events of Rest: they are delivered, but for the
// latest of all delivered events that the sink has given up. With remember it can go back
// to where it was before.
func (c *Cursor) Settle(n, givenUp int, remember bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	if c.left {
		return
	}
	m, last := c.batch.deliver(n)
	m.giveUp(uint64(max(0, givenUp)))
	c.advance(m, last, remember)
}

// advance moves the place.
func (c *Cursor) advance(m mark, last, remember bool) {
	defer signal(c.journal.moved)
	if remember && m.Delivered > c.place.done.Delivered {
		c.place.remember(c.place.done)
	}
	c.place.settle(m, last)
	if last {
		c.place.damaged += c.batch.damaged
		c.batch.reset()
	}
}

// Back makes the latest n delivered events, and some before, come again, and gives the
// number of those that stay delivered. Not ok says that nothing is remembered.
func (c *Cursor) Back(n uint64) (delivered uint64, ok bool) {
	j, p := c.journal, c.place
	j.mu.Lock()
	defer j.mu.Unlock()
	before := p.done
	if c.left || !p.back(n) {
		return 0, false
	}
	delivered = p.done.Delivered
	p.repeats += max(before.Delivered, delivered) - delivered
	p.doubt = max(p.doubt, before.Position)
	p.skip(j.first())
	c.batch.reset()
	signal(j.moved)
	return delivered, true
}

// Release lets the journal go of all but the latest held events that were delivered, and
// gives the number of those delivered before them.
func (c *Cursor) Release(held uint64) (certain uint64) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	before := c.place.held()
	c.place.forget(held)
	if c.place.held() != before {
		signal(c.journal.moved)
	}
	delivered := c.place.done.Delivered
	return delivered - min(held, delivered)
}

// Doubtful reports whether events that were asked for again are not certain yet.
func (c *Cursor) Doubtful() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	return c.place.held().Position < c.place.doubt
}

// Kept reports whether the journal keeps over a stop what was not delivered.
func (c *Cursor) Kept() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	return c.journal.cfg.Durability != InMemory && c.journal.trouble == nil
}

// Drained reports whether everything was read.
func (c *Cursor) Drained() bool {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	return c.place.next >= c.journal.next
}

// Close ends the reading.
func (c *Cursor) Close() { c.reader.close() }

// Leave takes back what was read and not delivered. With ended a next runner may come;
// else the one before may still return, and what it does then does not count.
func (c *Cursor) Leave(ended bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.left, c.place.taken = true, !ended
	c.place.unlend()
	c.place.skip(c.journal.first())
}

// Counts gives the counters at one moment.
func (c *Cursor) Counts() sinks.Counts {
	j, p := c.journal, c.place
	j.mu.Lock()
	defer j.mu.Unlock()
	m := p.done
	s := sinks.Counts{
		Appended:  j.next - p.start,
		Delivered: m.Delivered, Failed: m.Failed, Filtered: m.Filtered, Limited: m.Limited,
		Dropped: p.dropped(), Pending: j.next - m.Position - p.lost,
		Damaged: p.damaged, PendingBytes: j.pendingBytes(m.Position + p.lost),
		Held: m.Delivered - p.held().Delivered, MayRepeat: p.mayRepeat, Repeated: p.repeats,
	}
	if p.since > 0 {
		s.Since = time.Unix(p.since, 0)
	}
	return s
}
