package app

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestMemoryStatus: what is held counts, what was given back does not.
func TestMemoryStatus(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory()
	before := memoryStatus()
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	held := memoryStatus()
	runtime.KeepAlive(block)
	block = nil
	debug.FreeOSMemory()
	after := memoryStatus()
	if held.InUse < before.InUse+size/2 || after.InUse > held.InUse-size/2 {
		t.Errorf("%d bytes before, %d with %d more, %d without them", before.InUse, held.InUse, size, after.InUse)
	}
	if before.Goroutines == 0 {
		t.Error("no goroutine runs this test")
	}
}
