package dedup

import (
	"net/netip"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
)

// TestRunningTotalsAreBounded: flows that are reported by running totals are bounded for each
// pair of ports and in all, and go with the flow that they belong to.
func TestRunningTotalsAreBounded(t *testing.T) {
	m := New(100)
	for i := range 1000 {
		s := conversation.Sight{
			Observer: conversation.Observer{Device: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 3)})},
			Forth:    conversation.Counters{Packets: 1, PacketsRaw: 1},
			Totals:   flow.TotalPackets, Rate: 1, Began: int64(1 + i%7), Domain: uint32(i % 2),
		}
		s.Sender = conversation.Party(1 + i%2)
		m.Note(Key{Contact: 1, LocalPort: uint16(i % 50)}, &s, 0)
		all := 0
		for _, r := range m.runs {
			n := 0
			for ; r != nil; r = r.next {
				n++
			}
			if n > maxRunning {
				t.Fatalf("%d of one observer of one pair of ports, at most %d may be", n, maxRunning)
			}
			all += n
		}
		if all != m.running || all > m.maxRunning {
			t.Fatalf("%d are remembered and %d counted, at most %d may be", all, m.running, m.maxRunning)
		}
	}
	if m.running == 0 {
		t.Fatal("none is remembered")
	}
	m.Expire(0)
	if m.running != 0 || len(m.runs) != 0 || m.Len() != 0 {
		t.Errorf("%d are left of no flow, of %d observers", m.running, len(m.runs))
	}
}
