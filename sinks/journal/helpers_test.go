package journal

import (
	"sync/atomic"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
)

type fakeSink = sinktest.Sink

// named gives a sink a name of its own.
type named struct {
	*fakeSink
	name string
}

func (n named) Name() string { return n.name }

var (
	numbered    = sinktest.Numbered
	numbers     = sinktest.Numbers
	newRunner   = sinktest.NewRunner
	add         = sinktest.Add
	stopAll     = sinktest.StopAll
	checkCursor = sinktest.CheckCursor
	waitFor     = sinktest.WaitFor
	errAway     = sinktest.ErrAway
)

// inMemory opens a journal without a directory and starts it.
func inMemory(t *testing.T) *Journal {
	t.Helper()
	j, _ := openDir(t, "", InMemory)
	j.Start()
	return j
}

// unsure is a sink that does not know what has arrived.
type unsure struct {
	*fakeSink
	held atomic.Int32
}

func (u *unsure) Held() int { return int(u.held.Load()) }
