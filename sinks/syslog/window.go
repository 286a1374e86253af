package syslog

import "time"

// A window keeps account of events that were written to a connection and may not have
// arrived. It holds no events: they are in the journal.
type window struct {
	parts  []part // in the order of writing
	events int    // in all parts
}

// A part is what one call of Send wrote.
type part struct {
	events int
	at     time.Time // of writing
	end    uint64    // bytes written to the connection up to its end
}

// add notes events written.
func (w *window) add(p part) {
	w.parts = append(w.parts, p)
	w.events += p.events
}

// settle lets go of parts that have been acknowledged and are older than keep. acked
// is how many bytes the peer's kernel has taken.
func (w *window) settle(now time.Time, acked uint64, keep time.Duration) {
	n := 0
	for n < len(w.parts) && w.parts[n].end <= acked && now.Sub(w.parts[n].at) >= keep {
		w.events -= w.parts[n].events
		n++
	}
	w.parts = append(w.parts[:0], w.parts[n:]...)
}

// stuck gives how long the oldest bytes have gone without acknowledgement.
func (w *window) stuck(now time.Time, acked uint64) time.Duration {
	for _, p := range w.parts {
		if p.end > acked {
			return now.Sub(p.at)
		}
	}
	return 0
}

// clear lets go of everything and gives the number of events that were in it.
func (w *window) clear() int {
	n := w.events
	*w = window{parts: w.parts[:0]}
	return n
}
