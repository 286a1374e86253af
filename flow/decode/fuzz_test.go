package decode_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// seeds are payloads of one version: of the synthetic exporter, and by hand.
func seeds(f *testing.F, v flow.Version) (out [][]byte) {
	for _, d := range exportStream(f, v, 3, 100) {
		out = append(out, d.payload)
	}
	switch v {
	case flow.V5:
		out = append(out, v5(0, 1), v5(7, 30)[:100], v5at(1, 65535, 0xffff, 0))
	case flow.V9, flow.IPFIX:
		out = append(out,
			message(v, 0, pairTemplate(v), set(300, pairAB)),
			message(v, 1, optionsSet(v, 400, system(v), []fld{{ie: 34, len: 4}}), set(400, u32(1, 100))),
			message(v, 2, templateSet(v, template(301, fld{ie: 82, len: 65535}, ends[0], fld{ie: 315, len: 65535})), set(301, long(3), ip("192.0.2.1"), long(40))),
			message(v, 3, templateSet(v, template(302)), templateSet(v, template(303, fld{ie: 8})), set(302, pairAB), make([]byte, 9)))
	case flow.SFlow:
		out = append(out, cat(u32(5, 1), ip("192.0.2.9"), u32(0, 1, 1000, 1), u32(1, 32), u32(1, 1, 100, 0, 0, 1, 2, 0xffffffff)))
	}
	return out
}

// fuzzOne decodes a payload as that version, twice as the second time its own
// templates are known, and compares columns and records.
func fuzzOne(f *testing.F, v flow.Version, head []byte) {
	for _, s := range seeds(f, v) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < 4 || len(p) > jumbo {
			return
		}
		copy(p, head)
		c := newColumnChecker(t, false)
		for range 2 {
			c.d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
		}
		if s := c.d.Stats(); s.Datagrams() != 2 || s.Records() != uint64(c.records) {
			t.Errorf("%d datagrams and %d records counted, the handler saw %d", s.Datagrams(), s.Records(), c.records)
		}
	})
}

func FuzzV5(f *testing.F)    { fuzzOne(f, flow.V5, u16(5)) }
func FuzzV9(f *testing.F)    { fuzzOne(f, flow.V9, u16(9)) }
func FuzzIPFIX(f *testing.F) { fuzzOne(f, flow.IPFIX, u16(10)) }
func FuzzSFlow(f *testing.F) { fuzzOne(f, flow.SFlow, u32(5)) }

// stringOf puts datagrams into one input of FuzzSequence: two bytes of length and
// one that says what happens before.
func stringOf(before byte, datagrams ...[]byte) (b []byte) {
	for _, d := range datagrams {
		b = append(append(b, u16(uint16(len(d)))...), before)
		b = append(b, d...)
	}
	return b
}

// FuzzSequence decodes a string of datagrams of several senders, over time, and
// then holds that the books are in order: what is counted as kept is there, and
// what is saved can be loaded.
func FuzzSequence(f *testing.F) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for before := range byte(4) {
			f.Add(stringOf(before<<2, seeds(f, v)...))
		}
	}
	both := append(seeds(f, flow.V9), seeds(f, flow.IPFIX)...)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
	f.Add(stringOf(1, both...))
	l := decode.DefaultLimits()
	l.Exporters, l.DomainsPerExporter, l.TemplatesPerExporter, l.Templates, l.EarlyBytes, l.EarlyBytesPerExporter = 3, 4, 5, 8, 5000, 2000
	sources := []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[2001:db8::1]:1", "192.0.2.3:1"}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBenchLimits(t, l)
		for len(in) >= 3 {
			n, what := min(int(in[0])<<8|int(in[1]), len(in)-3), in[2]
			b.src = addrPort(sources[int(what&15)%len(sources)])
			b.now = b.now.Add(time.Duration(what>>4) * 20 * time.Second)
			b.send(in[3 : 3+n])
			in = in[3+n:]
			b.take()
		}
		checkBooks(t, b, l)
	})
}

func checkBooks(t *testing.T, b *bench, l decode.Limits) {
	s := b.x.Stats()
	templates, early := 0, 0
	for _, e := range b.x.Snapshot() {
		early += e.EarlyBytes
		for _, st := range e.Streams {
			templates += st.Templates
		}
	}
	if int64(templates) != s.Templates || int64(early) != s.Early.WaitingBytes {
		t.Errorf("%d templates and %d bytes are there, counted are %+v", templates, early, s)
	}
	if s.Exporters > l.Exporters || s.Templates > int64(l.Templates) || early > l.EarlyBytes || s.TemplateBytes < 0 || s.StateBytes < 0 {
		t.Errorf("over the limits: %+v", s)
	}
	x := decode.NewExporters(l)
	r, err := x.Load(bytes.NewReader(save(t, b.x, true)), b.now, b.now)
	if err != nil || r.Damaged+r.Refused+r.Expired > 0 || x.Stats().Templates != s.Templates {
		t.Errorf("loaded %+v, %v; saved were %+v", r, err, s)
	}
	b.x.Sweep(b.now.Add(48 * time.Hour))
	if s := b.x.Stats(); s.Exporters+int(s.Templates+s.TemplateBytes+s.StateBytes+s.Early.WaitingBytes) != 0 {
		t.Errorf("after all is forgotten: %+v", s)
	}
}

// FuzzLoad reads a state file: as it is, and with its checksums put right.
func FuzzLoad(f *testing.F) {
	_, saved := savedBench(f, true)
	f.Add(saved)
	for _, line := range strings.SplitAfter(string(saved), "\n") {
		f.Add([]byte(line))
	}
	f.Add([]byte(stateLine(`{"kind":"stream","exporter":"192.0.2.1","version":77}`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := decode.DefaultLimits()
		l.Templates = 10
		b := newBenchLimits(t, l)
		_, _ = b.x.Load(bytes.NewReader(in), b.now, b.now)
		var right strings.Builder
		for _, line := range strings.Split(string(in), "\n") {
			if len(line) > 9 {
				right.WriteString(stateLine(line[9:]))
			}
		}
		_, _ = b.x.Load(strings.NewReader(right.String()), b.now, b.now)
		for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
			b.send(message(v, 5, set(300, make([]byte, 60)), set(301, make([]byte, 60)), set(400, make([]byte, 60))))
		}
		if s := b.x.Stats(); s.Templates > 10 {
			t.Errorf("%+v", s)
		}
		save(t, b.x, false)
	})
}
