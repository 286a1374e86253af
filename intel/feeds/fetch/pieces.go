package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxBadInRow is how many pieces of a source may fail one after the other by errors of the
// service or the network before a reading ends: then it is more than a piece that fails.
const maxBadInRow = 10

// A tally counts the pieces of a source that one reading asks for: collections, events,
// pulses, pages. One that fails costs only itself; it is asked for again at the next fetch.
type tally struct {
	good, bad, inRow int
	first            error // of the bad ones
}

// failed notes a piece that could not be read, and reports whether the reading may go on
// with the next one.
func (t *tally) failed(ctx context.Context, what string, err error) bool {
	status, answered := errors.AsType[*statusError](err)
	switch {
	case ctx.Err() != nil, errors.Is(err, errHeld), errors.Is(err, errTooMany), neverReached(err):
		return false
	case answered && (status.code == http.StatusTooManyRequests || status.retryAfter > 0):
		return false // it asks for silence
	}
	t.bad++
	if answered && status.code >= http.StatusInternalServerError || isNetError(err) {
		t.inRow++ // what is missing or rubbish says nothing of the next one
	}
	if t.first == nil {
		t.first = fmt.Errorf("%s: %w", what, err)
	}
	return t.inRow < maxBadInRow
}

// succeeded notes a piece that was read.
func (t *tally) succeeded() { t.good, t.inRow = t.good+1, 0 }

// note gives the words for the status; empty when all is well.
func (t *tally) note() string {
	if t.bad == 0 {
		return ""
	}
	return fmt.Sprintf("parts that could not be read: %d; the others are in force, and the next fetch asks again; the first: %v", t.bad, t.first)
}

// end gives the error of a reading of which no piece could be read.
func (t *tally) end() error {
	if t.good == 0 {
		return t.first
	}
	return nil
}
