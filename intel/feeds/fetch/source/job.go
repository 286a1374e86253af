package source

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A Job is one fetch of a feed.
type Job struct {
	Spec   *spec.Spec
	Client *client.Client
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
	Open() (*store.Reader, error)
	// Create begins a new copy.
	Create() (*store.Writer, error)
	// Settle puts a complete new copy where it belongs. declared is the number of entries
	// that the source announces; -1 = it does not.
	Settle(w *store.Writer, d store.Description, declared int) (Outcome, error)
	// InUse and Newest describe the copy in use, and the newest one, in use or held back;
	// nil when there is none.
	InUse() *store.Description
	Newest() *store.Description
	// Anew reports whether the source is asked for all, as if there were no copy; Lost,
	// whether the copy in use was found damaged or missing.
	Anew() bool
	Lost() bool
	// Unchanged is what a source means with 304.
	Unchanged() (Outcome, error)
}

// An Outcome is the result of an attempt.
type Outcome string

// The outcomes.
const (
	Updated   Outcome = "updated"   // there is a new copy in use
	Unchanged Outcome = "unchanged" // the copy in use is the newest
	HeldBack  Outcome = "held back" // there is a new copy that a guard does not let through
	Failed    Outcome = "failed"    // the copy in use stays
	NotYet    Outcome = "not yet"   // the provider may not be asked so soon
)

// ErrTooMany ends the parsing of a document that lists more than a table may hold.
var ErrTooMany = errors.New("too many entries")

// TakeNames gives the function that takes the names of a document into w, which counts those
// that it has no room for.
func TakeNames(w *store.Writer) func(document.Entry) error {
	return func(e document.Entry) error { return w.Entry(&e) }
}

// Take gives the function that takes the entries of a document into w, at most limit.
func Take(w *store.Writer, limit int) func(document.Entry) error {
	return func(e document.Entry) error {
		if w.Entries >= limit {
			return fmt.Errorf("%w: more than the %d of max_indicators", ErrTooMany, limit)
		}
		return w.Entry(&e)
	}
}
