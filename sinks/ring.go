package sinks

import "github.com/flowsnitch/flowsnitch/intel"

// A ring holds events in order in a buffer that grows up to a limit: a sink that
// keeps up costs little memory, whatever it is allowed to hold back.
type ring struct {
	buf  []intel.Event
	head int // index of the oldest event
	n    int // events held
}

// push takes as many of events as fit under limit and returns their number.
func (r *ring) push(events []intel.Event, limit int) int {
	events = events[:min(len(events), limit-r.n)]
	if r.n+len(events) > len(r.buf) {
		r.grow(min(limit, max(64, 2*len(r.buf), r.n+len(events))))
	}
	tail := r.head + r.n
	for i := range events {
		r.buf[(tail+i)%len(r.buf)] = events[i]
	}
	r.n += len(events)
	return len(events)
}

// grow moves everything into a new buffer. What peek has lent out stays valid,
// for the old one is left as it is.
func (r *ring) grow(size int) {
	buf := make([]intel.Event, size)
	first := copy(buf, r.buf[r.head:min(r.head+r.n, len(r.buf))])
	copy(buf[first:], r.buf[:r.n-first])
	r.buf, r.head = buf, 0
}

// peek lends out the oldest events, as many as lie side by side up to limit.
func (r *ring) peek(limit int) []intel.Event {
	return r.buf[r.head : r.head+min(limit, r.n, len(r.buf)-r.head)]
}

// drop removes the n oldest events and forgets what they point to.
func (r *ring) drop(n int) {
	first := min(n, len(r.buf)-r.head)
	clear(r.buf[r.head : r.head+first])
	clear(r.buf[:n-first])
	r.n -= n
	if r.head += n; r.head >= len(r.buf) {
		r.head -= len(r.buf)
	}
}
