package dedup

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
)

// perFlow is what a remembered flow may cost, in bytes: the worst of the cases below. The
// default cap of all of them is reckoned with it.
const perFlow = 320

// liveHeap gives the bytes of the heap that are in use after a collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryOfFlows fills the memory of flows, with up to 16 observers of each.
func TestMemoryOfFlows(t *testing.T) {
	if testing.Short() {
		t.Skip("measures 80,000 flows; run without -short")
	}
	const n, ceiling = 20_000, perFlow + 20
	for _, observers := range []int{1, 2, 3, maxObservers} {
		before := liveHeap()
		flows := New(n)
		forgot := 0
		for by := range observers {
			for i := range n {
				s := conversation.Sight{Observer: conversation.Observer{Device: netip.AddrFrom4([4]byte{192, 0, 2, byte(by)})}}
				s.Sender = conversation.Offender
				note := flows.Note(Key{uint64(i), 1, 2}, &s, 0)
				forgot += note.Forgot
				if note.Full {
					t.Fatal("a flow has no room for an observer")
				}
			}
		}
		per := (liveHeap() - before) / n
		t.Logf("%d observers: %d bytes a flow that may be remembered, %d are", observers, per, len(flows.byKey))
		if per > ceiling || flows.observers > observersPerFlow*n || observers <= observersPerFlow && (forgot > 0 || len(flows.byKey) != n) {
			t.Errorf("%d observers: %d bytes a flow, want at most %d; %d observers and %d flows are remembered", observers, per, ceiling, flows.observers, len(flows.byKey))
		}
		all := 0
		for f := flows.first; f != nil; f = f.next {
			all += int(f.n)
		}
		if all != flows.observers {
			t.Errorf("%d observers are counted, %d are there", flows.observers, all)
		}
		flows.Expire(0)
		if len(flows.byKey) != 0 || flows.observers != 0 || flows.latest != nil {
			t.Error("something is left of no flow")
		}
	}
}
