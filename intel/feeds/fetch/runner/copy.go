package runner

import (
	"cmp"
	"errors"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// An inUse is the copy of a feed, as the reading of its source works with it.
type inUse struct{ r *Runner }

// Open opens the copy in use; nil when there is none.
func (c inUse) Open() (*store.Reader, error) { return c.r.open(store.ExtGood) }

// Create begins a new copy.
func (c inUse) Create() (*store.Writer, error) {
	return store.NewWriter(c.r.shared.Disk, c.r.shared.Dir)
}

// Settle puts a complete new copy where it belongs.
func (c inUse) Settle(w *store.Writer, d store.Description, declared int) (source.Outcome, error) {
	return c.r.settle(w, d, declared)
}

// Anew reports whether the source is asked for all, as if there were no copy.
func (c inUse) Anew() bool { return c.r.anew() }

// InUse describes the copy in use; nil when there is none.
func (c inUse) InUse() *store.Description {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.good
}

// Newest describes the newest copy, in use or held back; nil when there is none.
func (c inUse) Newest() *store.Description {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return cmp.Or(c.r.held, c.r.good)
}

// Lost reports whether the copy in use was found damaged or missing.
func (c inUse) Lost() bool {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.read.gone != nil
}

// Unchanged is what a source means with 304. Said of a copy that is held back it
// changes nothing.
func (c inUse) Unchanged() (source.Outcome, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	switch {
	case c.r.held != nil:
		return source.HeldBack, nil
	case c.r.good == nil:
		return source.Failed, errors.New("HTTP 304 to a question without condition")
	}
	return source.Unchanged, nil
}
