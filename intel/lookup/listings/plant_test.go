package listings

import (
	"runtime/debug"
	"sync"
	"testing"
)

// TestPlantTwice: two large sets that are built at once leave the collector as it was.
func TestPlantTwice(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(123))
	for range 3 {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				setOf(nil, many(2*fewPrefixes))
			})
		}
		both.Wait()
	}
	if got := debug.SetGCPercent(123); got != 123 {
		t.Errorf("the collector is left at %d percent, want 123", got)
	}
}
