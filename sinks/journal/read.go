package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// A source is where the next events of a cursor are: in memory, or in a segment.
type source struct {
	from, to uint64 // their numbers, those that are damaged or missing included
	memory   []byte
	path     string
	size     int64
}

// locate gives the next source of a place, and moves it over what is nowhere.
func (l *lane) locate(p *place, n int) (s source, ok bool) {
	end := l.readable()
	in := l.tail.At(p.next)
	if p.next < end && (in == nil || in.First > p.next) {
		if seg := l.segmentAt(p.next); seg != nil {
			return source{from: p.next, to: seg.end, path: seg.path, size: seg.size}, true
		}
		if in != nil {
			p.skip(in.First) // dropped while the disk was in trouble
		} else {
			p.skip(end)
		}
	}
	if p.next >= end {
		return source{}, false
	}
	to := min(end, in.End(), p.next+uint64(n))
	return source{from: p.next, to: to, memory: in.Bytes(p.next, to)}, true
}

// segmentAt gives the first segment that may have a record of that or a later
// number.
func (l *lane) segmentAt(number uint64) *segment {
	for _, s := range l.segments {
		if number < s.end {
			return s
		}
	}
	return nil
}

// read reads the records of a source. None says that the rest of it is damaged, or
// was removed from a directory that is there. All other errors are tried again for ever:
// descriptors come back, and disks and servers do.
func (l *lane) read(r *record.Reader, p *place, s source, n int) (records []record.Record, err error) {
	if s.memory != nil {
		l.failedToRead(p, nil)
		return r.Memory(s.memory, s.from), nil
	}
	records, err = r.Read(s.path, s.size, s.from, n)
	if err != nil {
		r.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.isRemoved(s.path); err == nil {
			return nil, nil
		}
	}
	l.failedToRead(p, err)
	return records, err
}

// isRemoved finds out whether a segment that cannot be found is no more; an error says
// that it may come back.
func (l *lane) isRemoved(path string) error {
	if err := l.checkDir(); err != nil {
		return err
	}
	if _, err := l.disk.Lstat(path); err == nil {
		return fmt.Errorf("%s: was away", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.segments, func(s *segment) bool { return s.path == path }) { // else by ourselves
		l.stats.failed(fmt.Errorf("%s: was removed with events in it", path))
	}
	return nil
}

// failedToRead notes that the journal could not be read, or with nil that it could.
func (l *lane) failedToRead(p *place, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.trouble = err
	if err == nil {
		return
	}
	p.trouble = fmt.Errorf("sink %s: its events cannot be read: %w", p.name, err)
	l.stats.ReadErrors++
	l.stats.failed(p.trouble)
}

// lend gives the events from one number to before another to a runner, unless
// the first of them were dropped meanwhile.
func (l *lane) lend(p *place, from, to uint64) (m mark, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.next != from {
		return mark{}, false
	}
	m = p.begin()
	p.next, p.lent = to, true
	return m, true
}
