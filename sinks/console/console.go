// Package console is the sink that prints events for people, one coloured line each, on a
// terminal or into a pipe: see [form.AppendText] for the line. It owns nothing but a buffer,
// and keeps nothing that could not be printed. cmd/internal/app makes it.
package console

import (
	"context"
	"fmt"
	"io"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// Sink is a sink that prints events for people, see [form.AppendText]. It does not
// close its writer. What cannot be printed is gone: a terminal that is not there
// any more will not come back.
type Sink struct {
	w      io.Writer
	colour bool
	buf    []byte
}

// New makes a sink that prints to w, in colour if w is a terminal that
// wants it, which the caller knows.
func New(w io.Writer, colour bool) *Sink { return &Sink{w: w, colour: colour} }

// Name gives "console".
func (c *Sink) Name() string { return "console" }

// Send prints the events with one Write.
func (c *Sink) Send(_ context.Context, events []event.Event) error {
	c.buf = c.buf[:0]
	for i := range events {
		c.buf = form.AppendText(c.buf, &events[i], c.colour)
	}
	if _, err := c.w.Write(c.buf); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// Close does nothing.
func (c *Sink) Close(context.Context) error { return nil }
