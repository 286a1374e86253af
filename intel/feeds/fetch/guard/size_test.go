package guard

import "testing"

// FuzzJudge: the guards have no opinion that depends on overflow.
func FuzzJudge(f *testing.F) {
	f.Add(100, 40, false)
	f.Add(0, 0, true)
	f.Fuzz(func(t *testing.T, before, entries int, empty bool) {
		before, entries = before&(1<<23-1), entries&(1<<23-1)
		reason := judgeSize(entries, before, empty && entries == 0)
		if entries == before && reason != "" {
			t.Errorf("%d entries as before: %s", entries, reason)
		}
	})
}
