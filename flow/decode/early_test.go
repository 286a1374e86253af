package decode_test

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A data set ahead of its template comes with it, with times, frame and port of
// its own datagram.
func TestEarlyData(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		fields := []fld{ends[0], ends[1], {ie: 158, len: 4}, {ie: 22, len: 4}}
		early := message(v, 0, set(300, pairAB, u32(1_000_000, uptime)), set(301, pairAB))
		b.send(early)
		clear(early) // the buffer is the socket's
		if s := b.stream(); len(s.Missing) != 2 || s.Missing[0] != (decode.MissingTemplate{ID: 300, Sets: 1}) {
			t.Errorf("missing %v", s.Missing)
		}
		b.now, b.src = b.now.Add(time.Minute), addrPort("192.0.2.1:50001")
		late := message(v, 1, templateSet(v, template(300, fields...)))
		copy(late[8:], u32(uint32(exportTime.Add(time.Hour).Unix()))) // v9: seconds; IPFIX: sequence
		b.send(late)
		frame := b.frames[0]
		r := b.one()
		if !r.Received.Equal(exportTime) || frame != 1 || r.Exporter.Port != 50000 || r.Template != 300 || r.Src.String() != "192.0.2.10" {
			t.Errorf("frame %d, record %+v", frame, r)
		}
		if want := exportTime.Add(-time.Second); !r.Start.Equal(want) {
			t.Errorf("start %v, want %v", r.Start, want)
		}
		e := b.x.Stats().Early
		if e.Kept != 2 || e.Replayed != 1 || e.Records != 1 || e.Expired != 0 || e.Full != 0 || e.WaitingBytes <= 0 {
			t.Errorf("counters %+v", e)
		}
		if s := b.stream(); len(s.Missing) != 1 || s.Missing[0].ID != 301 || s.Records != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

// Options data may wait, too, and then its rates count.
func TestEarlyOptions(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		b.send(message(v, 0, set(400, u32(1, 100)), pairTemplate(v)))
		b.send(message(v, 1, optionsSet(v, 400, system(v), []fld{{ie: 34, len: 4}}), set(300, pairAB)))
		wantRates(t, "options that waited", b.take(), 100)
		if s := b.stream(); s.OptionRecords != 1 {
			t.Errorf("%d option records, want 1", s.OptionRecords)
		}
	})
}

// Sets that waited come in their order; a template that comes again brings none
// of them twice.
func TestEarlyOrder(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.send(header9(uint32(i), set(300, ip("192.0.2.1"), []byte{10, 0, 0, byte(i)})))
	}
	b.send(header9(5, pairTemplate(flow.V9)), header9(6, pairTemplate(flow.V9)))
	rs := b.take()
	for i := range rs {
		if rs[i].Dst.As4()[3] != byte(i) {
			t.Errorf("record %d is of %v", i, rs[i].Dst)
		}
	}
	if len(rs) != 5 {
		t.Errorf("%d records, want 5", len(rs))
	}
}

func TestEarlyAge(t *testing.T) {
	b := newBench(t)
	b.send(header9(0, set(300, pairAB)))
	b.now = b.now.Add(6 * time.Minute)
	b.send(header9(1, set(300, pairAB), set(301, pairAB)))
	b.now = b.now.Add(5 * time.Minute)
	b.send(header9(2, pairTemplate(flow.V9)))
	if n := len(b.take()); n != 1 {
		t.Errorf("%d records, want the one that is 5 minutes old", n)
	}
	if e := b.x.Stats().Early; e.Kept != 3 || e.Replayed != 1 || e.Expired != 1 {
		t.Errorf("counters %+v", e)
	}
	// What nobody asks for goes with the sweep.
	b.x.Sweep(b.now.Add(time.Hour))
	if e := b.x.Stats().Early; e.Expired != 2 || e.WaitingBytes != 0 {
		t.Errorf("after a sweep: %+v", e)
	}
}

func TestEarlyCaps(t *testing.T) {
	l := decode.DefaultLimits()
	l.EarlyBytes, l.EarlyBytesPerExporter = 50_000, 20_000
	b := newBenchLimits(t, l)
	body := make([]byte, 1000)
	for _, src := range []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"} {
		b.src = addrPort(src)
		for i := range 100 {
			b.send(header9(uint32(i), set(uint16(300+i), body)))
		}
	}
	e := b.x.Stats().Early
	if e.WaitingBytes > 50_000 || e.WaitingBytes < 45_000 || e.Kept+e.Full != 400 || e.Kept < 30 {
		t.Errorf("counters %+v", e)
	}
	for _, x := range b.x.Snapshot() {
		if x.EarlyBytes > 20_000 {
			t.Errorf("%v keeps %d bytes", x.Address, x.EarlyBytes)
		}
	}
	if s := b.d.Stats(); s.UnknownSets != 400 || s.UnknownBytes != 400_000 {
		t.Errorf("%d sets and %d bytes unknown", s.UnknownSets, s.UnknownBytes)
	}
}

// A forgotten exporter takes its early data along.
func TestEarlyForgotten(t *testing.T) {
	b := newBench(t)
	b.send(header9(0, set(300, pairAB)))
	b.x.Sweep(b.now.Add(48 * time.Hour))
	s := b.x.Stats()
	if s.Exporters != 0 || s.Forgotten != 1 || s.Early.WaitingBytes != 0 || s.Early.Expired != 1 || s.StateBytes != 0 {
		t.Errorf("got %+v", s)
	}
}
