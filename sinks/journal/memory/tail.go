// Package memory is the newest part of a lane of the journal, in memory: what is not on the
// disk, and a little of what is, for the sinks that keep up. It gives the writer what is to be
// written, and drops the oldest events when there is no room for them. It has no lock: that of
// the journal, which calls it, guards it.
package memory

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

const (
	// ChunkBytes is the size of a chunk, and of a write when there is no hurry.
	ChunkBytes = 256 << 10
	// cacheBytes is how much of what is on the disk already stays in memory, for
	// the cursors that keep up.
	cacheBytes = 4 * ChunkBytes
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

// A Tail is the newest events of a lane, side by side in chunks.
type Tail struct {
	Bytes   int64    // of all
	chunks  []*chunk // the oldest first
	writing *chunk   // of which some is being written: it is not dropped
	dropped spans    // by Drop
	record  []byte   // scratch
}

// Push appends e as the record with that number.
func (t *Tail) Push(number uint64, e *event.Event, now time.Time) (cut bool) {
	t.record, cut = record.Append(t.record[:0], number, e)
	c := t.room(len(t.record), number)
	c.begins = append(c.begins, uint32(len(c.buf)))
	c.buf = append(c.buf, t.record...)
	c.stamp = now
	t.Bytes += int64(len(t.record))
	return cut
}

// room gives the chunk where the record of that number and size goes.
func (t *Tail) room(size int, number uint64) *chunk {
	if n := len(t.chunks); n > 0 {
		c := t.chunks[n-1]
		if c.end() == number && len(c.buf)+size <= cap(c.buf) {
			return c
		}
	}
	c := &chunk{first: number, buf: make([]byte, 0, max(size, ChunkBytes))}
	t.chunks = append(t.chunks, c)
	return c
}

func (t *Tail) remove(i int) {
	t.Bytes -= int64(len(t.chunks[i].buf))
	t.chunks = slices.Delete(t.chunks, i, i+1)
}

// Settled reports that no record before number needs to be written any more.
func (t *Tail) Settled(number uint64) {
	for _, c := range t.chunks {
		if number > c.unwritten() {
			c.written = int(min(number, c.end()) - c.first)
		}
	}
}

// Release lets go of the oldest chunks that need not be written, now or again, which is
// what safe allows: those before number, and the others as far as they exceed the cache.
// The newest stays: it has room for more.
func (t *Tail) Release(number, safe uint64) {
	for len(t.chunks) > 1 {
		c := t.chunks[0]
		if c.unwritten() < c.end() || c.end() > safe || t.Bytes <= cacheBytes && c.end() > number {
			return
		}
		t.remove(0)
	}
}

// Copies gives the records from number on to before another, as far as they are in
// memory, and the number of the first; none = there are none.
func (t *Tail) Copies(from, to uint64) (list [][]byte, first uint64) {
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

// First gives the number of the oldest event; not ok means that there is none.
func (t *Tail) First() (number uint64, ok bool) {
	if len(t.chunks) == 0 {
		return 0, false
	}
	return t.chunks[0].first, true
}

// At gives the first event of that or a later number, and the records from there on, up to
// before end and no more than most; not ok means that there is none.
func (t *Tail) At(number, end uint64, most int) (first uint64, records []byte, behind uint64, ok bool) {
	for _, c := range t.chunks {
		if number < c.end() {
			first = max(number, c.first)
			behind = max(first, min(end, c.end(), first+uint64(most)))
			return first, c.bytes(first, behind), behind, true
		}
	}
	return 0, nil, 0, false
}

// Unwritten gives the number of the oldest event that is not on the disk; not ok means that
// all are.
func (t *Tail) Unwritten() (number uint64, ok bool) {
	if c := t.oldestUnwritten(); c != nil {
		return c.unwritten(), true
	}
	return 0, false
}

func (t *Tail) oldestUnwritten() *chunk {
	for _, c := range t.chunks {
		if c.written < len(c.begins) {
			return c
		}
	}
	return nil
}

// Write gives the next records to write, those before upTo, which are then being written;
// nil = there are none. Wrote is what became of it.
func (t *Tail) Write(upTo uint64) (records []byte, from, to uint64) {
	c := t.oldestUnwritten()
	if c == nil || c.unwritten() >= upTo {
		return nil, 0, 0
	}
	t.writing = c
	return c.bytes(c.unwritten(), c.end()), c.unwritten(), c.end()
}

// Wrote ends what Write began: the events before number are on the disk; 0 = it failed.
func (t *Tail) Wrote(number uint64) {
	if c := t.writing; number > c.first {
		c.written = max(c.written, int(number-c.first))
	}
	t.writing = nil
}

// Drop drops the oldest events, a chunk of them, unless they are being written or the
// latest; with written only those that are on the disk. It gives the numbers of those that
// are nowhere then, from one to before another.
func (t *Tail) Drop(written bool) (from, to uint64, ok bool) {
	i := 0
	if len(t.chunks) > 0 && t.chunks[0] == t.writing {
		i = 1
	}
	if i >= len(t.chunks)-1 {
		return 0, 0, false
	}
	c := t.chunks[i]
	if written && c.unwritten() < c.end() {
		return 0, 0, false
	}
	t.remove(i)
	t.dropped.add(c.unwritten(), c.end())
	return c.unwritten(), c.end(), true
}

// Dropped counts those from one number to before another that Drop gave: they are missing
// within a file of the lane, or between two, and are not to be counted again with it.
func (t *Tail) Dropped(from, to uint64) uint64 { return t.dropped.within(from, to) }

// Forget forgets which before number were dropped.
func (t *Tail) Forget(number uint64) { t.dropped.forget(number) }

// DropOld drops the oldest events, a chunk of them, if they are older than an age and not
// being written. It gives their numbers.
func (t *Tail) DropOld(now time.Time, age time.Duration) (from, to uint64, ok bool) {
	if len(t.chunks) == 0 || t.chunks[0] == t.writing || now.Sub(t.chunks[0].stamp) <= age {
		return 0, 0, false
	}
	c := t.chunks[0]
	t.remove(0)
	return c.first, c.end(), true
}

// Only counts the events from number on that are not on the disk.
func (t *Tail) Only(number uint64) (n uint64) {
	for _, c := range t.chunks {
		if from := max(number, c.unwritten()); from < c.end() {
			n += c.end() - from
		}
	}
	return n
}

// Unsaved gives the numbers of the events that are not on the disk, from one to before
// another.
func (t *Tail) Unsaved() (spans [][2]uint64) {
	for _, c := range t.chunks {
		spans = append(spans, [2]uint64{c.unwritten(), c.end()})
	}
	return spans
}

// Waiting gives the bytes that are not on the disk.
func (t *Tail) Waiting() (n int64) {
	for _, c := range t.chunks {
		if c.written < len(c.begins) {
			n += int64(len(c.buf)) - int64(c.begins[c.written])
		}
	}
	return n
}

// BytesFrom gives about the bytes of the events from number on.
func (t *Tail) BytesFrom(number uint64) (n int64) {
	for _, c := range t.chunks {
		n += record.Share(int64(len(c.buf)), c.first, c.end(), number)
	}
	return n
}
