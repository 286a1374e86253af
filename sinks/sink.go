package sinks

import (
	"context"
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Sink is one way out for events. One goroutine, that of its [Runner], calls
// Send and Close; a sink needs no lock of its own against them.
type Sink interface {
	// Name distinguishes this sink from every other in status, metrics and errors. It
	// never changes.
	Name() string

	// Send delivers events in order. The slice and what it points to are lent
	// until Send returns and must not be written; a sink that needs an event
	// for longer copies it.
	//
	// A nil error means that all events are delivered, as far as this sink can
	// know. A [*RetryError], also when wrapped, asks for those that are not
	// delivered yet to be sent again later. A [*RefusedError] gives some events up
	// and means that all others are delivered; any other error gives up all. What is
	// given up is counted as failed and never comes again.
	//
	// Send returns soon after ctx is done, whatever its peer does.
	Send(ctx context.Context, events []event.Event) error

	// Close releases what the sink holds, within ctx. It is called once, after
	// the last Send has returned.
	Close(ctx context.Context) error
}

// A Holder is a Sink that cannot know at once whether events have arrived: its peer
// acknowledges nothing. The runner keeps its place in the journal behind those, so
// that they are sent again after a restart, and when a [RetryError] asks for them.
//
// While a Holder holds events and there are no others, Send is called without any, once
// a second: it looks after its connection, and may ask for what it holds.
type Holder interface {
	Sink
	// Held gives the number of events, the latest of those that Send has taken,
	// that may not have arrived. The goroutine that calls Send calls it after each
	// Send, and again after Close.
	Held() int
}

// A Prober is a Sink whose way can be proven without an event at its far end, where
// people count what comes.
type Prober interface {
	Sink
	// Probe does what Send would do with a canary, short of delivering it. A nil error
	// means that it could have been delivered, as far as this sink can know; others are
	// those of Send without events. The runner calls it, as it calls Send.
	Probe(ctx context.Context, canary *event.Event) error
}

// A RetryError means that a sink could not deliver now but may later: the disk is
// full, the broker is away.
type RetryError struct {
	// Sent is the number of events, from the first, that are delivered and must
	// not be sent again. A [Holder] may give -n: the n delivered before these, and
	// perhaps some more, must be sent again as well.
	Sent int
	// Err is the reason.
	Err error
}

// Error gives the reason and what is asked for.
func (e *RetryError) Error() string { return fmt.Sprintf("%v (will be tried again)", e.Err) }

// Unwrap gives the reason.
func (e *RetryError) Unwrap() error { return e.Err }

// A RefusedError means that a peer will never take some events, which are given up: they
// are too large for it, say.
type RefusedError struct {
	// Count is the number of events given up since the sink last said so. Some may be
	// of earlier calls of Send, of which they were said to be sent.
	Count int
	// Err is the reason of the last of them, and names it.
	Err error
}

// Error returns how many and shows the last reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("events given up: %d, the last: %v", e.Count, e.Err)
}

// Unwrap gives the last reason.
func (e *RefusedError) Unwrap() error { return e.Err }
