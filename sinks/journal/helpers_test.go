package journal

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

type fakeSink = sinktest.Sink

// named gives a sink a name of its own.
type named struct {
	*fakeSink
	name string
}

func (n named) Name() string { return n.name }

var (
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

// testLane is the lane of the events that the tests make, see TestUrgentLane; lanes = both
// in turn.
var testLane = ordinary

// numbered gives n events of that lane that carry the numbers from first on.
func numbered(first, n int) []event.Event {
	events := sinktest.Numbered(first, n)
	for i := range events {
		if testLane == urgent || testLane == lanes && i%2 == 0 {
			events[i].Severity = event.High
		}
	}
	return events
}

// laneDir gives the directory of that lane.
func laneDir(dir string) string {
	if testLane == urgent {
		dir = filepath.Join(dir, urgentDir)
		_ = os.MkdirAll(dir, 0o750)
	}
	return dir
}

// patience is how long Append waits for a disk that is sound.
const patience = time.Minute

// putUnder puts another file system under an open journal, which fails or hangs: Append waits
// as long for it as it does outside tests.
func putUnder(j *Journal, files disk.FS) {
	j.disk, j.wait = disk.NewWatch(files), appendWait
	for _, l := range j.lanes {
		l.dir.Disk = j.disk
	}
}

// records gives the bytes of n records numbered from first on, and where each begins.
func records(first, n int) (b []byte, begins []int) {
	for _, e := range numbered(first, n) {
		begins = append(begins, len(b))
		b, _ = record.Append(b, e.Flows, &e)
	}
	return b, begins
}

// found gives the numbers of all records in b, in one piece.
func found(b []byte) (all []uint64) {
	for {
		r, _, end, ok := record.Find(b, true)
		if !ok {
			return all
		}
		all = append(all, r.Number)
		b = b[end:]
	}
}
