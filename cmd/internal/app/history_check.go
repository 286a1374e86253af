package app

import (
	"cmp"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// What is worth a warning.
const (
	manyUnmerged = 100  // files to be merged
	leastTransit = 1000 // flows within observe.Window, for a share that is meaningful
)

// historyCheck looks for contacts that are lost, and for a disk that does not take them. It is never
// critical: matching goes on, whatever becomes of the history. limit is the share of flows in
// transit that is no reason to warn, in percent.
func historyCheck(stats func() history.Stats, limit float64) observe.Check {
	var past observe.History[history.Stats]
	return observe.Check{Name: "history", State: func(now time.Time) observe.Finding {
		var f finding
		s := stats()
		before := past.Note(now, s)
		if s.Off != "" {
			f.Warn("off", "no contacts are kept: %s", s.Off)
		}
		if s.Disk != "" {
			f.Warn("hangs", "the disk of the history does not answer (%s): look for one that is overloaded or breaking", s.Disk)
		}
		if trouble := cmp.Or(s.Files.Trouble, s.Trouble); trouble != "" {
			f.Warn("trouble", "%s", trouble)
		}
		if n := s.Files.Bad; n > 0 {
			f.Warn("damaged", "%d files of the history are damaged, and hunts miss what was in them: look for a broken disk, then remove the files that end in .bad", n)
		}
		if n := s.Files.Waiting; n > manyUnmerged {
			f.Warn("merges", "%d files of the history wait to be merged, and hunts take longer: the disk or the CPU does not keep up", n)
		}
		if share := historyTransit(&s.Recorded, &before.Recorded); share > limit {
			f.Warn("transit", "%.0f %% of the flows have no end in 'home', so that each of their contacts takes two rows of the history: add your public prefixes to 'home' (health.transit is the limit)", share)
		}
		if !s.Enabled {
			f.Otherwise("no contacts are kept (history.enabled)")
		}
		f.Otherwise("contacts are kept")
		return f.Finding
	}}
}

// historyTransit gives the share of transit among the flows since before, in percent; 0 while there
// are too few.
func historyTransit(s, before *recorder.Stats) float64 {
	flows := observe.Grown(s.Kept+s.Folded+s.Lost+s.Internal, before.Kept+before.Folded+before.Lost+before.Internal)
	if flows < leastTransit {
		return 0
	}
	return 100 * float64(observe.Grown(s.Transit, before.Transit)) / float64(flows)
}
