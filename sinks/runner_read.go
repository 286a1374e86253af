package sinks

import (
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A batch is what the runner has read and not settled yet.
type batch struct {
	events  []intel.Event // those that the sink gets
	marks   []mark        // marks[i]: the cursor when all before events[i] are delivered
	end     mark          // when all are
	sent    int           // events that are settled
	damaged uint64        // events among the dropped that could not be read
}

// rest gives the events that are to be sent.
func (b *batch) rest() []intel.Event { return b.events[b.sent:] }

// deliver takes n events for delivered and gives the cursor after them. last says
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

// A source is where the next events of a cursor are: in memory, or in a segment.
type source struct {
	from, to uint64 // their numbers, those that are damaged or missing included
	memory   []byte
	path     string
	size     int64
}

// locate gives the next source of a cursor, and moves it over what is nowhere.
func (j *Journal) locate(c *cursor, n int) (s source, ok bool) {
	end := j.readable()
	in := j.tail.at(c.next)
	if c.next < end && (in == nil || in.first > c.next) {
		if seg := j.segmentAt(c.next); seg != nil {
			return source{from: c.next, to: seg.end, path: seg.path, size: seg.size}, true
		}
		if in != nil {
			c.skip(in.first) // dropped while the disk was in trouble
		} else {
			c.skip(end)
		}
	}
	if c.next >= end {
		return source{}, false
	}
	to := min(end, in.end(), c.next+uint64(n))
	return source{from: c.next, to: to, memory: in.bytes(c.next, to)}, true
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

// fetch reads what comes next into the batch. No more says that there is nothing
// now.
func (r *Runner) fetch() (more bool, err error) {
	j := r.journal
	j.mu.Lock()
	s, more := j.locate(r.cursor, r.cfg.Batch)
	j.mu.Unlock()
	if !more {
		return false, nil
	}
	records, err := r.read(s)
	if err != nil {
		return true, err
	}
	to := s.to
	if n := len(records); n > 0 {
		to = records[n-1].number + 1
	}
	if m, ok := r.lend(s.from, to); ok {
		r.judge(m, records, to)
	}
	return true, nil
}

// read reads the records of a source. None says that the rest of it is damaged.
func (r *Runner) read(s source) ([]record, error) {
	if s.memory != nil {
		return r.reader.memory(s.memory, s.from), nil
	}
	records, err := r.reader.read(s.path, s.size, s.from, r.cfg.Batch)
	if err == nil {
		r.readFail = 0
		return records, nil
	}
	r.reader.close()
	r.failedToRead(fmt.Errorf("journal: events cannot be read: %w", err))
	if r.readFail++; r.readFail < maxReadErrors {
		return nil, err
	}
	r.readFail = 0
	return nil, nil
}

// lend gives the events from one number to before another to the runner, unless
// the first of them were dropped meanwhile.
func (r *Runner) lend(from, to uint64) (m mark, ok bool) {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	if r.cursor.next != from {
		return mark{}, false
	}
	m = r.cursor.begin()
	r.cursor.next, r.cursor.lent = to, true
	return m, true
}

// judge decides what becomes of each record, beginning at m; none is before it.
func (r *Runner) judge(m mark, records []record, to uint64) {
	b := &r.batch
	b.reset()
	for _, rec := range records {
		b.damaged += rec.number - m.Position
		m.drop(rec.number)
		e, ok := rec.event()
		switch {
		case !ok:
			b.damaged++
			m.Dropped++
		case !r.cfg.Filter.passes(&e):
			m.Filtered++
		case e.Kind != intel.KindCanary && !r.limiter.passes(e.Time):
			m.Limited++
		default:
			b.events, b.marks = append(b.events, e), append(b.marks, m)
			m.Delivered++
		}
		m.Position++
	}
	b.damaged += to - m.Position
	m.drop(to)
	b.end = m
	r.judged()
}

// judged settles a batch of which the sink gets nothing, and notes how old the
// others are.
func (r *Runner) judged() {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	if rest := r.batch.rest(); len(rest) > 0 {
		r.stats.oldest = rest[0].Time
		return
	}
	r.advance(r.batch.end, true)
	signal(r.journal.moved)
}
