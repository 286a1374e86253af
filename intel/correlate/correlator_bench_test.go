package correlate

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// BenchmarkHandle handles hits of one contact that is known: the same flow again, new
// flows to the offender, new flows from it (their ports ask for the listing anew).
func BenchmarkHandle(b *testing.B) {
	for _, c := range []struct {
		name string
		make func(i int) flow.Record
	}{
		{"same-flow", func(int) flow.Record { return beacon }},
		{"new-flows-out", func(i int) flow.Record { return tcp(us, 1024+uint16(i%60000), bad, 443, syn) }},
		{"new-flows-in", func(i int) flow.Record { return tcp(bad, 1024+uint16(i%60000), us, 22, syn) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage(b, nil)
			hits := make([]lookup.Hit, 60000)
			for i := range hits {
				hits[i] = hitOf(b, s.table, c.make(i))
				hits[i].Record.Received = t0
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Handle(hits[i:i+1], t0.Add(time.Duration(i)))
				i = (i + 1) % len(hits)
			}
		})
	}
}

// BenchmarkScan handles the flows of a scan, each of another port and host. Most of the
// time is that of the hit; what folds costs no contact and no event.
func BenchmarkScan(b *testing.B) {
	c := New(DefaultConfig(), func([]event.Event) {})
	hit := hitOf(b, listedTable(b, "v1", c2("feodo", 90)), scan)
	r := scan
	hit.Record = &r
	hits := []lookup.Hit{hit}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Dst, r.DstPort = host(i>>16), uint16(i)
		c.Handle(hits, t0)
	}
}
