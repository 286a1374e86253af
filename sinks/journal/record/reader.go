package record

import (
	"errors"
	"io"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// readBytes is how much of a file is read at a time.
const readBytes = 256 << 10

// A Reader reads files of records one after another. It remembers where it was.
type Reader struct {
	disk   disk.FS
	file   disk.File
	path   string
	at     int64  // everything before has been read
	number uint64 // behind the last record that was
	buf    []byte
	recs   []Record
}

// Close lets go of the file.
func (r *Reader) Close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	*r = Reader{disk: r.disk}
}

// NewReader gives a reader of files on a disk.
func NewReader(d disk.FS) Reader { return Reader{disk: d} }

// open goes to the beginning of another segment.
func (r *Reader) open(path string) error {
	r.Close()
	file, err := r.disk.Open(path)
	if err != nil {
		return err
	}
	r.file, r.path = file, path
	return nil
}

// Read gives up to n records of the segment, from number on. They are borrowed
// until the next call. None means that the file has none up to size.
func (r *Reader) Read(path string, size int64, number uint64, n int) ([]Record, error) {
	if r.path != path {
		if err := r.open(path); err != nil {
			return nil, err
		}
	}
	if number < r.number { // needed again
		r.at, r.number = 0, 0
	}
	r.recs = r.recs[:0]
	for window := int64(readBytes); r.at < size && len(r.recs) == 0; {
		b, err := r.fill(min(window, size-r.at))
		if err != nil {
			return nil, err
		}
		if used := r.parse(b, r.at+int64(len(b)) >= size, number, n); used > 0 {
			r.at += int64(used)
		} else {
			window *= 2 // a record that is longer; maxPayload bounds it
		}
	}
	return r.recs, nil
}

// Memory gives the records in b. It lets go of the segment: the cursor keeps up.
func (r *Reader) Memory(b []byte, number uint64) []Record {
	if r.file != nil {
		r.Close()
	}
	r.recs = r.recs[:0]
	r.parse(b, true, number, len(b))
	return r.recs
}

// fill reads n bytes, fewer where the file ends before it should.
func (r *Reader) fill(n int64) ([]byte, error) {
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	got, err := r.file.ReadAt(r.buf[:n], r.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if int64(got) < n { // cut short by someone else
		clear(r.buf[got:n])
	}
	return r.buf[:n], nil
}

// parse collects the records in b and gives the number of bytes it is done with.
func (r *Reader) parse(b []byte, final bool, number uint64, n int) (used int) {
	for len(r.recs) < n {
		rec, at, end, ok := Find(b[used:], final)
		if !ok {
			return used + at
		}
		used += end
		r.number = rec.Number + 1
		if rec.Number >= number {
			r.recs = append(r.recs, rec)
			number = r.number
		}
	}
	return used
}
