package file

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// A clock is what the timestamps of an interface mean: unit of them make a
// second, and offset seconds are to be added.
type clock struct {
	unit   uint64
	offset int64
}

// options reads if_tsresol (9) and if_tsoffset (14) from the options of an
// interface description. An option that does not fit ends the list, and one of
// another length than its own is none.
func (c *clock) options(b []byte, order binary.ByteOrder) error {
	for len(b) >= 4 {
		code, n := order.Uint16(b), int(order.Uint16(b[2:]))
		if code == 0 || n > len(b)-4 {
			break
		}
		v := b[4 : 4+n]
		switch {
		case code == 9 && n == 1:
			if err := c.resolution(v[0]); err != nil {
				return err
			}
		case code == 14 && n == 8:
			c.offset = int64(order.Uint64(v))
		}
		b = b[min(4+(n+3)&^3, len(b)):]
	}
	return nil
}

// resolution takes if_tsresol: a negative power of 10, or of 2 when the highest
// bit is set. 10^-19 and 2^-63 s are the finest of which a second still fits in
// the 64 bits of a timestamp.
func (c *clock) resolution(r byte) error {
	base, digits, most := uint64(10), r, byte(19)
	if r&0x80 != 0 {
		base, digits, most = 2, r&0x7f, 63
	}
	if digits > most {
		return fmt.Errorf("timestamp resolution of %d^-%d s is not supported (%d^-%d at most)", base, digits, base, most)
	}
	c.unit = 1
	for range digits {
		c.unit *= base
	}
	return nil
}

// at converts a timestamp, rounding down to nanoseconds. The remainder is less
// than unit, so the quotient is less than a second and Div64 cannot overflow.
func (c *clock) at(ticks uint64) time.Time {
	hi, lo := bits.Mul64(ticks%c.unit, uint64(time.Second))
	nano, _ := bits.Div64(hi, lo, c.unit)
	return time.Unix(int64(ticks/c.unit)+c.offset, int64(nano)).UTC()
}
