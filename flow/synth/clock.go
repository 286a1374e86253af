package synth

import (
	"fmt"
	"time"
)

// A clock reports the time of one datagram the way exporters do, in milliseconds.
type clock struct {
	now  int64 // Unix ms
	boot int64 // Unix ms
}

// uptime is the sysUptime of the datagram: ms since boot, modulo 2^32.
func (c clock) uptime() uint32 { return uint32(c.now - c.boot) }

// seconds is the time of the datagram in whole Unix seconds, rounded down.
func (c clock) seconds() uint32 { return uint32(floorSeconds(c.now)) }

// ms gives a flow's time in Unix ms; a zero time is the datagram's.
func (c clock) ms(t time.Time) int64 {
	if t.IsZero() {
		return c.now
	}
	return t.UnixMilli()
}

// switched gives a flow's time as sysUptime, modulo 2^32. It may lie before boot:
// collectors take the difference to the sysUptime of the datagram as signed.
func (c clock) switched(t time.Time) uint32 { return uint32(c.ms(t) - c.boot) }

// checkAge reports whether a flow's times can be determined as a signed 32-bit age.
func (c clock) checkAge(f *Flow) error {
	for _, t := range [...]time.Time{f.Start, f.End} {
		if age := c.now - c.ms(t); age != int64(int32(age)) {
			return fmt.Errorf("synth: flow time %s is more than 2^31 ms from the datagram's: %w", t.Format(time.RFC3339), ErrNotExpressible)
		}
	}
	return nil
}

// checkEpoch reports whether a flow's times can be determined as unsigned ms since 1970.
func (c clock) checkEpoch(f *Flow) error {
	for _, t := range [...]time.Time{f.Start, f.End} {
		if c.ms(t) < 0 {
			return fmt.Errorf("synth: flow time %s is before 1970: %w", t.Format(time.RFC3339), ErrNotExpressible)
		}
	}
	return nil
}

func floorSeconds(ms int64) int64 {
	if s := ms / 1000; ms >= 0 || ms%1000 == 0 {
		return s
	}
	return ms/1000 - 1
}
