package folder

import (
	"sync"
	"time"
)

// What can be wrong with the disk while it takes events.
const (
	Names     = iota // the directory is not synced
	Positions        // a cursor or the list of sinks is not saved
	Removal          // a file is not removed
	Place            // the directory is not there
	kinds
)

// Health is what is wrong with the disk under a folder now, and what was last. Its methods
// may be called from any goroutine, and under any lock: it calls nothing under its own.
type Health struct {
	mu         sync.Mutex
	now        [kinds]error
	last       error
	lastAt     time.Time
	readErrors uint64
}

// Note notes that something is wrong, or with nil that it is right again.
func (h *Health) Note(kind int, err error) {
	h.mu.Lock()
	h.now[kind] = err
	h.mu.Unlock()
	h.Failed(err)
}

// Failed notes the latest error; nil is none.
func (h *Health) Failed(err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.lastAt = err, time.Now()
}

// CannotRead counts an error of reading.
func (h *Health) CannotRead(err error) {
	h.mu.Lock()
	h.readErrors++
	h.mu.Unlock()
	h.Failed(err)
}

// Is gives what is wrong of a kind; nil = nothing.
func (h *Health) Is(kind int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now[kind]
}

// Worst gives the worst that is wrong; nil = nothing is.
func (h *Health) Worst() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.now {
		if err != nil {
			return err
		}
	}
	return nil
}

// Last gives the number of errors of reading, and when the latest of all errors came and
// which it was, kept after recovery.
func (h *Health) Last() (readErrors uint64, at time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readErrors, h.lastAt, h.last
}
