package match_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
)

// TestHitsLeaveWithinADatagram: a datagram may hold thousands of records. The matcher hands
// their hits over while it reads, in batches of a bounded size, and loses none.
func TestHitsLeaveWithinADatagram(t *testing.T) {
	const records = 16_000
	most, all := 0, 0
	m, d := path(t, func(b *queue.Batch) {
		most, all = max(most, b.Len()), all+b.Len()
		b.Reset()
	})
	p := []byte{0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4, 1, 0, 0, 0}
	p[len(p)-2], p[len(p)-1] = byte((4+4*records)>>8), byte((4+4*records)&0xff)
	for range records {
		p = append(p, 203, 0, 113, 9)
	}
	p[2], p[3] = byte(len(p)>>8), byte(len(p)&0xff)
	d.Decode(&flow.Datagram{Payload: p, Source: netip.MustParseAddrPort("198.51.100.7:9999"), Received: time.Unix(1_800_000_000, 0)})
	m.Flush()
	if all != records || m.Matched() != records || most > 100 {
		t.Errorf("%d hits in batches of up to %d, want %d in batches of up to 100", all, most, records)
	}
}
