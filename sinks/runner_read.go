package sinks

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A batch is what the runner has read and not settled yet.
type batch struct {
	events  []event.Event // those that the sink gets
	marks   []mark        // marks[i]: the cursor when all before events[i] are delivered
	end     mark          // when all are
	sent    int           // events that are settled
	damaged uint64        // events among the dropped that could not be read
}

// rest gives the events that are to be sent.
func (b *batch) rest() []event.Event { return b.events[b.sent:] }

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

// read reads the records of a source. None says that the rest of it is damaged, or
// was removed from a directory that is there. All other errors are tried again for ever:
// descriptors come back, and disks and servers do.
func (r *Runner) read(s source) (records []record, err error) {
	if s.memory != nil {
		r.failedToRead(nil)
		return r.reader.memory(s.memory, s.from), nil
	}
	records, err = r.reader.read(s.path, s.size, s.from, r.cfg.Batch)
	if err != nil {
		r.reader.close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = r.journal.isRemoved(s.path); err == nil {
			return nil, nil
		}
	}
	r.failedToRead(err)
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
		before := m
		e, ok := rec.event()
		switch {
		case !ok:
			b.damaged++
			m.Dropped++
		case !r.cfg.Filter.passes(&e):
			m.Filtered++
			r.toProbe(&e)
		case e.Kind != event.KindCanary && !m.Bucket.passes(r.cfg.Limit, e.Time):
			m.Limited++
		default:
			b.events, b.marks = append(b.events, e), append(b.marks, before)
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
