package link

import "time"

// A window keeps account of events that were written to a connection and may not have
// arrived. It holds no events: they are in the journal.
type window struct {
	parts  []part    // in the order of writing
	events int       // in all parts
	acked  uint64    // bytes that the peer's kernel had taken when it was looked at last
	moved  time.Time // when it last took some, or had everything
}

// A part is what one call of Send wrote.
type part struct {
	events int
	at     time.Time // of writing
	end    uint64    // bytes written to the connection up to its end
}

// add notes events written.
func (w *window) add(p part) {
	if !w.waiting() {
		w.moved = p.at
	}
	w.parts = append(w.parts, p)
	w.events += p.events
}

// waiting reports whether bytes are not acknowledged, as far as is known.
func (w *window) waiting() bool { return len(w.parts) > 0 && w.parts[len(w.parts)-1].end > w.acked }

// look notes how many bytes the peer's kernel has taken by now.
func (w *window) look(now time.Time, acked uint64) {
	moved := acked > w.acked
	w.acked = acked
	if moved || !w.waiting() {
		w.moved = now
	}
}

// settle lets go of parts that are acknowledged, and were for keep while the peer went
// on taking what it was sent: one that has stopped reading may have stopped before.
func (w *window) settle(keep time.Duration) {
	n := 0
	for n < len(w.parts) && w.parts[n].end <= w.acked && w.moved.Sub(w.parts[n].at) >= keep {
		w.events -= w.parts[n].events
		n++
	}
	w.parts = append(w.parts[:0], w.parts[n:]...)
}

// stuck gives how long nothing has been acknowledged of what waits for it.
func (w *window) stuck(now time.Time) time.Duration {
	if !w.waiting() {
		return 0
	}
	return now.Sub(w.moved)
}
