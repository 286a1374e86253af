package correlate

import (
	"sync/atomic"
	"time"
)

// A beat tells when a goroutine last turned, by the monotonic clock: a wall clock
// that is set must not make a dead worker look alive, nor a living one dead.
type beat struct {
	born time.Time
	last atomic.Int64 // nanoseconds since born
}

func newBeat() beat { return beat{born: time.Now()} }

func (b *beat) turn() { b.last.Store(int64(time.Since(b.born))) }

// time gives the last turn, with its monotonic reading.
func (b *beat) time() time.Time { return b.born.Add(time.Duration(b.last.Load())) }
