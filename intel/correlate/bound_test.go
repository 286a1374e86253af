package correlate

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestBound: what a record shows of a contact to an offender of score 90.
func TestBound(t *testing.T) {
	for _, c := range []struct {
		name string
		flow flow.Record
		want event.Severity
	}{
		{"we open", tcp(us, 51515, bad, 443, syn), event.Critical},
		{"we open, the answer", tcp(bad, 443, us, 51515, syn|ack), event.Critical},
		{"nobody knows who opened", udp(us, 40000, bad, 40001), event.Critical},
		{"we open, blocked", denied(tcp(us, 51515, bad, 443, syn)), event.High},
		{"a scan", tcp(bad, 40000, us, 22, syn), event.Low},
		{"a scan of a high port", tcp(bad, 40000, us, 40001, syn), event.Low},
		{"a scan without flags", udp(bad, 40000, us, 53), event.Low},
		{"a scan, blocked", denied(tcp(bad, 40000, us, 22, syn)), event.Low},
		{"they open, we answer", tcp(us, 22, bad, 40000, syn|ack), event.High},
		{"a refused scan", tcp(us, 22, bad, 40000, 0x14), event.Low},
		{"a refused scan of a high port", tcp(us, 40001, bad, 40000, 0x14), event.Low},
		{"they refuse us", tcp(bad, 443, us, 40000, 0x14), event.Critical},
		{"they open, an established connection", tcp(bad, 40000, us, 22, ack), event.High},
		{"they open, a biflow", rev(tcp(bad, 40000, us, 22, syn), 3), event.High},
		{"transit", tcp(public, 40000, bad, 22, syn), event.Medium},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			h := hitOf(t, listedTable(t, "v1", c2("feodo", 90)), c.flow)
			if got := New(cfg, nil).Bound(&h); got != c.want {
				t.Errorf("bound %s, want %s", got, c.want)
			}
		})
	}
}

// TestBoundIsNeverBelow: the first event of a contact is never more severe than the bound
// of its hit, whatever feeds agree.
func TestBoundIsNeverBelow(t *testing.T) {
	for _, listings := range [][]intel.Indicator{
		{c2("feodo", 90)}, {c2("a", 25), c2("b", 25)}, {c2("a", 50), c2("b", 55), c2("c", 50)}, {c2("a", 78), c2("b", 75), c2("c", 1), c2("d", 1)},
	} {
		table := listedTable(t, "v1", listings...)
		for _, r := range []flow.Record{beacon, answer, scan, denied(scan), rev(scan, 2), udp(us, 40000, bad, 40001), udp(bad, 53, us, 40001), ip(us, bad, 47), tcp(public, 1, bad, 2, ack)} {
			s := newStage(t, nil)
			s.table = table
			s.at(0, r)
			h := hitOf(t, table, r)
			if got, e := s.Bound(&h), s.one(event.KindHit); e.Severity > got {
				t.Errorf("bound %s of a hit of severity %s: %s", got, e.Severity, e.Reason)
			}
		}
	}
}
