// Package state writes and reads what must survive a restart, in one compact binary form.
// Each type has one method that lists its fields, for both ways: a [Coder] either appends them
// or reads them. So what is written and what is read cannot differ.
package state

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/flowsnitch/flowsnitch/flow"
)

// ErrDamaged means that bytes are not what a coder has written.
var ErrDamaged = errors.New("damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Coder writes or reads. After an error while reading, everything that is read is zero.
type Coder struct {
	b      []byte // written so far, or still to be read
	from   int    // where what was written begins
	reads  bool
	failed bool
}

// Writer gives a coder that appends to b.
func Writer(b []byte) *Coder { return &Coder{b: b, from: len(b)} }

// Bytes gives b and what was written, with a checksum of it at its end.
func (c *Coder) Bytes() []byte {
	return binary.BigEndian.AppendUint32(c.b, crc32.Checksum(c.b[c.from:], castagnoli))
}

// Reader gives a coder that reads what Bytes gave.
func Reader(b []byte) (*Coder, error) {
	n := len(b) - 4
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return nil, ErrDamaged
	}
	return &Coder{b: b[:n], reads: true}, nil
}

// Reads reports whether the coder reads.
func (c *Coder) Reads() bool { return c.reads }

// Fail makes the coder fail: what was read cannot be.
func (c *Coder) Fail() { c.failed, c.b = true, nil }

// Failed reports whether something could not be read.
func (c *Coder) Failed() bool { return c.failed }

// More reports whether there is more to be read.
func (c *Coder) More() bool { return len(c.b) > 0 }

// Err gives ErrDamaged after a failure, and when something is left to be read.
func (c *Coder) Err() error {
	if c.failed || c.reads && len(c.b) > 0 {
		return ErrDamaged
	}
	return nil
}

// Uint64 codes a number.
func (c *Coder) Uint64(v *uint64) {
	if !c.reads {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.Fail()
		*v = 0
		return
	}
	*v, c.b = n, c.b[size:]
}

// Uint32 codes a number.
func (c *Coder) Uint32(v *uint32) { *v = uint32(c.number(uint64(*v), math.MaxUint32)) }

// Uint16 codes a number.
func (c *Coder) Uint16(v *uint16) { *v = uint16(c.number(uint64(*v), math.MaxUint16)) }

// Uint8 codes a number.
func (c *Coder) Uint8(v *uint8) { *v = uint8(c.number(uint64(*v), math.MaxUint8)) }

// Bool codes a yes or no.
func (c *Coder) Bool(v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	*v = c.number(n, 1) == 1
}

// Float64 codes a number that may have a fraction.
func (c *Coder) Float64(v *float64) {
	n := math.Float64bits(*v)
	c.Uint64(&n)
	*v = math.Float64frombits(n)
}

func (c *Coder) number(v, most uint64) uint64 {
	c.Uint64(&v)
	if v > most {
		c.Fail()
		return 0
	}
	return v
}

// Address codes an address.
func (c *Coder) Address(v *flow.Addr6) {
	if !c.reads {
		c.b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(c.b, v.Hi), v.Lo)
		return
	}
	if len(c.b) < 16 {
		c.Fail()
		*v = flow.Addr6{}
		return
	}
	*v, c.b = flow.ReadAddr6(c.b), c.b[16:]
}

// Text codes a text.
func (c *Coder) Text(v *string) {
	n := c.Len(len(*v), 1)
	if !c.reads {
		c.b = append(c.b, *v...)
		return
	}
	*v, c.b = string(c.b[:n]), c.b[n:]
}

// Raw codes bytes of a number that is known.
func (c *Coder) Raw(b []byte) {
	switch {
	case !c.reads:
		c.b = append(c.b, b...)
	case len(c.b) < len(b):
		c.Fail()
		clear(b)
	default:
		c.b = c.b[copy(b, c.b):]
	}
}

// Part codes what a reader can skip as a whole, which it does when part is nil. Else part must
// read all of it.
func (c *Coder) Part(part func(*Coder)) {
	if !c.reads {
		at := len(c.b)
		c.b = append(c.b, 0, 0, 0, 0)
		part(c)
		binary.BigEndian.PutUint32(c.b[at:], uint32(len(c.b)-at-4))
		return
	}
	if len(c.b) < 4 || uint64(len(c.b)-4) < uint64(binary.BigEndian.Uint32(c.b)) {
		c.Fail()
		return
	}
	n := 4 + int(binary.BigEndian.Uint32(c.b))
	inner := &Coder{b: c.b[4:n:n], reads: true}
	c.b = c.b[n:]
	if part == nil {
		return
	}
	if part(inner); inner.Err() != nil {
		c.Fail()
	}
}

// Len codes the number of elements that follow, each of at least size bytes: reading, it is
// never more than there can be.
func (c *Coder) Len(n, size int) int {
	v := uint64(n)
	c.Uint64(&v)
	if c.reads && v > uint64(len(c.b)/size) {
		c.Fail()
		return 0
	}
	return int(v)
}

// List codes a list, of which each element has at least size bytes.
func List[T any](c *Coder, list *[]T, size int, element func(*T)) {
	n := c.Len(len(*list), size)
	if c.reads {
		*list = nil
		if n > 0 {
			*list = make([]T, n)
		}
	}
	for i := range *list {
		element(&(*list)[i])
	}
}
