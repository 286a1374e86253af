package journal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/flowsnitch/flowsnitch/sinks/journal/position"
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
func (l *lane) locate(p *position.Place, n int) (s source, ok bool) {
	end := l.readable()
	first, records, behind, inMemory := l.tail.At(p.Next(), end, n)
	if p.Next() < end && (!inMemory || first > p.Next()) {
		if part, ok := l.files.At(p.Next()); ok {
			return source{from: p.Next(), to: part.End, path: part.Path, size: part.Size}, true
		}
		if inMemory {
			p.Skip(first) // dropped while the disk was in trouble
		} else {
			p.Skip(end)
		}
	}
	if p.Next() >= end {
		return source{}, false
	}
	return source{from: first, to: behind, memory: records}, true
}

// read reads the records of a source. None means that the rest of it is damaged, or
// was removed from a directory that is there. All other errors are tried again for ever:
// descriptors come back, and disks and servers do.
func (l *lane) read(r *record.Reader, p *position.Place, s source, n int) (records []record.Record, err error) {
	if s.memory != nil {
		records = r.Memory(s.memory, s.from)
	} else if records, err = r.Read(s.path, s.size, s.from, n); err != nil {
		r.Close()
		if errors.Is(err, fs.ErrNotExist) {
			if err = l.isRemoved(s.path); err == nil {
				return nil, nil
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if trouble := p.Trouble(err); trouble != nil {
		l.dir.CannotRead(trouble)
	}
	return records, err
}

// isRemoved finds out whether a segment that cannot be found is no more; an error means
// that it may come back.
func (l *lane) isRemoved(path string) error {
	if err := l.dir.Check(); err != nil {
		return err
	}
	if _, err := l.dir.Disk.Lstat(path); err == nil {
		return fmt.Errorf("%s: was away", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.files.Has(path) { // else by ourselves
		l.dir.Failed(fmt.Errorf("%s: was removed with events in it", path))
	}
	return nil
}
