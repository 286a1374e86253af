package sinks

import (
	"context"
	"fmt"
	"io"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Console is a sink that prints events for people, see [AppendText]. It does not
// close its writer. What cannot be printed is gone: a terminal that is not there
// any more will not come back.
type Console struct {
	w      io.Writer
	colour bool
	buf    []byte
}

// NewConsole makes a sink that prints to w, in colour if w is a terminal that
// wants it, which the caller knows.
func NewConsole(w io.Writer, colour bool) *Console { return &Console{w: w, colour: colour} }

// Name gives "console".
func (c *Console) Name() string { return "console" }

// Send prints the events with one Write.
func (c *Console) Send(_ context.Context, events []event.Event) error {
	c.buf = c.buf[:0]
	for i := range events {
		c.buf = AppendText(c.buf, &events[i], c.colour)
	}
	if _, err := c.w.Write(c.buf); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// Close does nothing.
func (c *Console) Close(context.Context) error { return nil }
