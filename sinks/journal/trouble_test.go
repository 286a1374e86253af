package journal

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// TestTroubleIsThatOfTheFiles: a sync and the writer note what has failed in two steps, with
// calls to the disk in between. Whatever the other does then, the lane is in trouble as long
// as events are to be written again, and no longer.
func TestTroubleIsThatOfTheFiles(t *testing.T) {
	for name, c := range map[string]struct {
		events int
		first  func(l *lane) // ends with a file being closed
		then   func(l *lane) // while it is
		fails  func(syncs int) bool
		again  bool
	}{
		"a sync fails while the writer makes up for one": {10, func(l *lane) { _ = l.sync(); _ = l.writeAgain() }, func(l *lane) { _ = l.sync() },
			func(n int) bool { return n != 2 }, true}, // 1: the first; 2: of what is written again; 3: that in between
		"the writer makes up for a sync before that is noted": {300, func(l *lane) { _ = l.sync() }, func(l *lane) { _ = l.writeAgain() },
			func(n int) bool { return n == 2 }, false}, // 1: of the file that is full; 2: of the last
	} {
		var l *lane
		syncs, met := 0, false
		hook := func(call disktest.Call) error {
			if l == nil || !strings.Contains(call.Path, record.Suffix) {
				return nil
			}
			switch call.What {
			case "sync":
				if syncs++; c.fails(syncs) {
					return syscall.EIO
				}
			case "close":
				if !met {
					met = true
					c.then(l)
				}
			}
			return nil
		}
		j, _, err := openOn(t.TempDir(), Always, &disktest.Faults{Hook: hook})
		if err != nil {
			t.Fatal(err)
		}
		l = j.lanes[ordinary]
		for _, e := range large(1, c.events) {
			l.mu.Lock()
			l.push(&e, time.Now())
			l.mu.Unlock()
			l.flush()
		}
		c.first(l)
		l.mu.Lock()
		trouble, again := l.trouble, l.files.Again()
		l.mu.Unlock()
		if !met || (again != nil) != c.again || (trouble != nil) != c.again {
			t.Errorf("%s: %d syncs, in between %v, to be written again: %v, trouble: %v", name, syncs, met, again, trouble)
		}
		j.closeFiles()
	}
}
