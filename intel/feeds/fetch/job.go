package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

// A Job is one fetch of a feed.
type Job struct {
	Spec   *spec
	Client *client
	Copy   Copy
	Now    func() time.Time // the date
	// MaxIndicators bounds the entries of the feed, MaxObjects its pulses, events or
	// indicators.
	MaxIndicators, MaxObjects int
	// Failures is how many fetches in a row have failed, if this one does.
	Failures int
	// Slow is how many readings in a row were too much for the service, Bad are the pieces
	// that could not be read, by name. Both are changed by the job.
	Slow int
	Bad  map[string]Piece
}

// A Copy is the copy of a feed in use, and how a new one takes its place. Descriptions are
// read only.
type Copy interface {
	// Open opens the copy in use; nil when there is none.
	Open() (*reader, error)
	// Create begins a new copy.
	Create() (*writer, error)
	// Settle puts a complete new copy where it belongs. declared is the number of entries
	// that the source announces; -1 = it does not.
	Settle(w *writer, d Description, declared int) (Outcome, error)
	// InUse and Newest describe the copy in use, and the newest one, in use or held back;
	// nil when there is none.
	InUse() *Description
	Newest() *Description
	// Anew reports whether the source is asked for all, as if there were no copy; Lost,
	// whether the copy in use was found damaged or missing.
	Anew() bool
	Lost() bool
	// Unchanged is what a source means with 304.
	Unchanged() (Outcome, error)
}

// An Outcome says what became of an attempt.
type Outcome string

// The outcomes.
const (
	Updated   Outcome = "updated"   // there is a new copy in use
	Unchanged Outcome = "unchanged" // the copy in use is the newest
	HeldBack  Outcome = "held back" // there is a new copy that a guard does not let through
	Failed    Outcome = "failed"    // the copy in use stays
	NotYet    Outcome = "not yet"   // the provider may not be asked so soon
)

// Pull asks the source. The note is for the status.
func (j *Job) Pull(ctx context.Context) (out Outcome, note string, err error) {
	switch j.Spec.kind {
	case kindOTX:
		return pullOTX(ctx, j)
	case kindTAXII:
		return pullTAXII(ctx, j)
	case kindMISPFeed:
		return pullMISPFeed(ctx, j)
	case kindMISPSearch:
		return pullMISPSearch(ctx, j)
	}
	out, err = pullHTTP(ctx, j)
	return out, "", err
}

// errTooMany ends the parsing of a document that lists more than a table may hold.
var errTooMany = errors.New("too many entries")

// Take gives the function that takes the entries of a document into w, at most limit.
func Take(w *writer, limit int) func(feeds.Entry) error {
	return func(e feeds.Entry) error {
		if w.entries >= limit {
			return fmt.Errorf("%w: more than the %d of max_indicators", errTooMany, limit)
		}
		return w.entry(&e)
	}
}
