package clock

import (
	"sync/atomic"
	"time"
)

// A Beat shows when a goroutine last turned, by the monotonic clock: a wall clock
// that is set must not make a dead worker look alive, nor a living one dead.
type Beat struct {
	born time.Time
	last atomic.Int64 // nanoseconds since born
}

// NewBeat begins now.
func NewBeat() Beat { return Beat{born: time.Now()} }

// Turn notes that the goroutine has turned.
func (b *Beat) Turn() { b.last.Store(int64(time.Since(b.born))) }

// Time gives the last turn, with its monotonic reading. Any goroutine may call it.
func (b *Beat) Time() time.Time { return b.born.Add(time.Duration(b.last.Load())) }
