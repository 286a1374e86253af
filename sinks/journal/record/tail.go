package record

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

const (
	// ChunkBytes is the size of a chunk, and of a write when there is no hurry.
	ChunkBytes = 256 << 10
	// cacheBytes is how much of what is on the disk already stays in memory, for
	// the cursors that keep up.
	cacheBytes = 4 * ChunkBytes
)

// A Chunk holds records side by side, ready to be written. Its buffer is never
// moved and written only behind its end, so what was lent of it stays as it is.
type Chunk struct {
	First   uint64 // number of the first record
	begins  []uint32
	buf     []byte
	written int       // records that are on the disk, from the first
	Stamp   time.Time // when the latest came
}

// End gives the number behind the last record.
func (c *Chunk) End() uint64 { return c.First + uint64(len(c.begins)) }

// Size gives the bytes of all records.
func (c *Chunk) Size() int64 { return int64(len(c.buf)) }

// Wrote notes that the records before number are on the disk.
func (c *Chunk) Wrote(number uint64) { c.written = max(c.written, int(number-c.First)) }

// Unwritten gives the number of the first record that is not on the disk.
func (c *Chunk) Unwritten() uint64 { return c.First + uint64(c.written) }

// Bytes lends the records from one number to before another.
func (c *Chunk) Bytes(from, to uint64) []byte {
	end := len(c.buf)
	if to < c.End() {
		end = int(c.begins[to-c.First])
	}
	return c.buf[c.begins[from-c.First]:end:end]
}

// A Tail is the newest part of the journal, in memory: what is not on the disk
// and a little of what is. It has no lock of its own.
type Tail struct {
	Chunks []*Chunk // the oldest first
	Bytes  int64    // in all of them
	record []byte   // scratch
}

// Push appends e as the record with that number.
func (t *Tail) Push(number uint64, e *event.Event, now time.Time) (cut bool) {
	t.record, cut = Append(t.record[:0], number, e)
	c := t.room(len(t.record), number)
	c.begins = append(c.begins, uint32(len(c.buf)))
	c.buf = append(c.buf, t.record...)
	c.Stamp = now
	t.Bytes += int64(len(t.record))
	return cut
}

// room gives the chunk where the record of that number and size goes.
func (t *Tail) room(size int, number uint64) *Chunk {
	if n := len(t.Chunks); n > 0 {
		c := t.Chunks[n-1]
		if c.End() == number && len(c.buf)+size <= cap(c.buf) {
			return c
		}
	}
	c := &Chunk{First: number, buf: make([]byte, 0, max(size, ChunkBytes))}
	t.Chunks = append(t.Chunks, c)
	return c
}

// Remove takes out the chunk at i.
func (t *Tail) Remove(i int) {
	t.Bytes -= int64(len(t.Chunks[i].buf))
	t.Chunks = slices.Delete(t.Chunks, i, i+1)
}

// Settled says that no record before number needs to be written any more.
func (t *Tail) Settled(number uint64) {
	for _, c := range t.Chunks {
		if number > c.Unwritten() {
			c.written = int(min(number, c.End()) - c.First)
		}
	}
}

// Release lets go of the oldest chunks that need not be written, now or again, which is
// what safe says: those before number, and the others as far as they exceed the cache.
// The newest stays: it has room for more.
func (t *Tail) Release(number, safe uint64) {
	for len(t.Chunks) > 1 {
		c := t.Chunks[0]
		if c.Unwritten() < c.End() || c.End() > safe || t.Bytes <= cacheBytes && c.End() > number {
			return
		}
		t.Remove(0)
	}
}

// Copies gives the records from number on to before another, as far as they are in
// memory, and the number of the first; none = there are none.
func (t *Tail) Copies(from, to uint64) (list [][]byte, first uint64) {
	for _, c := range t.Chunks {
		if begin, end := max(from, c.First), min(to, c.End()); begin < end {
			if len(list) == 0 {
				first = begin
			}
			list = append(list, c.Bytes(begin, end))
		}
	}
	return list, first
}

// At gives the first chunk that has a record of that or a later number; nil = none.
func (t *Tail) At(number uint64) *Chunk {
	for _, c := range t.Chunks {
		if number < c.End() {
			return c
		}
	}
	return nil
}

// Unwritten gives the oldest chunk with a record that is not on the disk.
func (t *Tail) Unwritten() *Chunk {
	for _, c := range t.Chunks {
		if c.written < len(c.begins) {
			return c
		}
	}
	return nil
}

// Waiting gives the bytes that are not on the disk.
func (t *Tail) Waiting() (n int64) {
	for _, c := range t.Chunks {
		if c.written < len(c.begins) {
			n += int64(len(c.buf)) - int64(c.begins[c.written])
		}
	}
	return n
}
