package console

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
)

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	c := New(&out, false)
	if err := c.Send(t.Context(), []event.Event{eventtest.Hit(), eventtest.Alert()}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || c.Name() != "console" || c.Close(t.Context()) != nil {
		t.Errorf("%d lines: %s", n, out.String())
	}
	err := New(brokenWriter{}, false).Send(context.Background(), []event.Event{eventtest.Hit()})
	if retry := new(sinks.RetryError); !errors.Is(err, errBroken) || errors.As(err, &retry) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
