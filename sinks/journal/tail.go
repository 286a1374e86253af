package journal

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

const (
	// chunkBytes is the size of a chunk, and of a write when there is no hurry.
	chunkBytes = 256 << 10
	// cacheBytes is how much of what is on the disk already stays in memory, for
	// the cursors that keep up.
	cacheBytes = 4 * chunkBytes
)

// A chunk holds records side by side, ready to be written. Its buffer is never
// moved and written only behind its end, so what was lent of it stays as it is.
type chunk struct {
	first   uint64 // number of the first record
	begins  []uint32
	buf     []byte
	written int       // records that are on the disk, from the first
	stamp   time.Time // when the latest came
}

// end gives the number behind the last record.
func (c *chunk) end() uint64 { return c.first + uint64(len(c.begins)) }

// unwritten gives the number of the first record that is not on the disk.
func (c *chunk) unwritten() uint64 { return c.first + uint64(c.written) }

// bytes lends the records from one number to before another.
func (c *chunk) bytes(from, to uint64) []byte {
	end := len(c.buf)
	if to < c.end() {
		end = int(c.begins[to-c.first])
	}
	return c.buf[c.begins[from-c.first]:end:end]
}

// A tail is the newest part of the journal, in memory: what is not on the disk
// and a little of what is. It has no lock of its own.
type tail struct {
	chunks []*chunk // the oldest first
	bytes  int64    // in all of them
	record []byte   // scratch
}

// push appends e as the record with that number.
func (t *tail) push(number uint64, e *event.Event, now time.Time) (cut bool) {
	t.record, cut = appendRecord(t.record[:0], number, e)
	c := t.room(len(t.record), number)
	c.begins = append(c.begins, uint32(len(c.buf)))
	c.buf = append(c.buf, t.record...)
	c.stamp = now
	t.bytes += int64(len(t.record))
	return cut
}

// room gives the chunk where the record of that number and size goes.
func (t *tail) room(size int, number uint64) *chunk {
	if n := len(t.chunks); n > 0 {
		c := t.chunks[n-1]
		if c.end() == number && len(c.buf)+size <= cap(c.buf) {
			return c
		}
	}
	c := &chunk{first: number, buf: make([]byte, 0, max(size, chunkBytes))}
	t.chunks = append(t.chunks, c)
	return c
}

// remove takes out the chunk at i.
func (t *tail) remove(i int) {
	t.bytes -= int64(len(t.chunks[i].buf))
	t.chunks = slices.Delete(t.chunks, i, i+1)
}

// settled says that no record before number needs to be written any more.
func (t *tail) settled(number uint64) {
	for _, c := range t.chunks {
		if number > c.unwritten() {
			c.written = int(min(number, c.end()) - c.first)
		}
	}
}

// release lets go of the oldest chunks that need not be written, now or again, which is
// what safe says: those before number, and the others as far as they exceed the cache.
// The newest stays: it has room for more.
func (t *tail) release(number, safe uint64) {
	for len(t.chunks) > 1 {
		c := t.chunks[0]
		if c.unwritten() < c.end() || c.end() > safe || t.bytes <= cacheBytes && c.end() > number {
			return
		}
		t.remove(0)
	}
}

// copies gives the records from number on to before another, as far as they are in
// memory, and the number of the first; none = there are none.
func (t *tail) copies(from, to uint64) (list [][]byte, first uint64) {
	for _, c := range t.chunks {
		if begin, end := max(from, c.first), min(to, c.end()); begin < end {
			if len(list) == 0 {
				first = begin
			}
			list = append(list, c.bytes(begin, end))
		}
	}
	return list, first
}

// at gives the first chunk that has a record of that or a later number; nil = none.
func (t *tail) at(number uint64) *chunk {
	for _, c := range t.chunks {
		if number < c.end() {
			return c
		}
	}
	return nil
}

// unwritten gives the oldest chunk with a record that is not on the disk.
func (t *tail) unwritten() *chunk {
	for _, c := range t.chunks {
		if c.written < len(c.begins) {
			return c
		}
	}
	return nil
}

// waiting gives the bytes that are not on the disk.
func (t *tail) waiting() (n int64) {
	for _, c := range t.chunks {
		if c.written < len(c.begins) {
			n += int64(len(c.buf)) - int64(c.begins[c.written])
		}
	}
	return n
}
