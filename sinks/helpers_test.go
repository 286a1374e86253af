package sinks_test

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
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
	errAway     = sinktest.ErrAway
)

// inMemory opens a journal without a directory and starts it.
func inMemory(t *testing.T) *journal.Journal {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Durability = journal.InMemory
	j, report, err := journal.Open(cfg)
	if err != nil || report.Damaged() {
		t.Fatal(report, err)
	}
	j.Start()
	return j
}
