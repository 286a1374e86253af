package lookup

import (
	"runtime"
	"testing"
)

// A million random /32 with evidence, trie, filters and all, stay below 140 bytes an
// entry: that is what lets a table live on a small machine, and two of them while
// one replaces the other.
func TestMemory(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("builds a table of 1,000,000 entries; run without -short and -race")
	}
	const n, ceiling = 1_000_000, 140
	before := liveHeap()
	table, _ := benchTable(n, false)
	per := float64(liveHeap()-before) / float64(table.Len())
	if per > ceiling {
		t.Errorf("%.1f bytes an entry, want at most %d", per, ceiling)
	}
	t.Logf("%.1f bytes an entry", per)
	runtime.KeepAlive(table)
}

// liveHeap gives the bytes of the heap that are in use after a collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
