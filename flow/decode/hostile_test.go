package decode_test

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A counter only counts records: a hostile datagram must not be able to make us
// keep them in the first place.
type counter struct{ records int }

func (c *counter) Records(s *decode.Set) {
	var r flow.Record
	for i := range s.Len() {
		s.Record(i, &r)
	}
	c.records += s.Len()
}

// An attack sends what a stranger thinks up, while an exporter that is all right
// goes on sending: its template came before, its flows are decoded all along.
type attack struct {
	counter
	t     *testing.T
	x     *decode.Exporters
	d     *decode.Decoder
	now   time.Time
	seq   uint32
	sent  int
	heap  uint64
	bound uint64 // of memory that may be added, bytes
}

func newAttack(t *testing.T) *attack {
	a := &attack{t: t, x: decode.NewExporters(decode.DefaultLimits()), now: exportTime, bound: 4 << 20}
	a.d = decode.New(a.x, a)
	a.deliver("192.0.2.1:2055", header9(0, pairTemplate(flow.V9)))
	a.heap = heap()
	return a
}

// heap is the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (a *attack) deliver(src string, p []byte) { a.from(addrPort(src), p) }

func (a *attack) from(src netip.AddrPort, p []byte) {
	a.d.Decode(&flow.Datagram{Payload: p, Source: src, Received: a.now})
}

// honest sends two flows of the good exporter.
func (a *attack) honest() {
	a.seq++
	a.sent += 2
	a.deliver("192.0.2.1:2055", header9(a.seq, set(300, pairAB, pairAB)))
}

// bad sends payloads of the attacker, each followed by an honest one, and holds
// that they allocate no more than bound while they are decoded.
func (a *attack) bad(payloads ...[]byte) {
	a.t.Helper()
	within(a.t, func() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, p := range payloads {
			a.deliver("203.0.113.66:2055", p)
			a.honest()
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > a.bound {
			a.t.Errorf("%d bytes were allocated, at most %d may be", n, a.bound)
		}
	})
}

// end checks that memory stayed within the bound, the honest exporter lost
// nothing, and that the counter names the cause.
func (a *attack) end(reason decode.Reason, times uint64) {
	a.t.Helper()
	if h := heap(); h > a.heap+a.bound {
		a.t.Errorf("memory grew from %d to %d bytes, bound is %d", a.heap, h, a.bound)
	}
	good := statusOf(a.t, a.x, "192.0.2.1")
	if got := good.Streams[0]; got.Records != uint64(a.sent) || got.Lost != 0 || got.Templates != 1 {
		a.t.Errorf("the honest exporter sent %d flows, decoded were %d, lost %d", a.sent, got.Records, got.Lost)
	}
	if got := a.d.Stats().Problems[reason]; got < times {
		a.t.Errorf("%s counted %d times, want %d at least: %v", reason, got, times, a.d.Stats().Problems)
	}
	runtime.KeepAlive(a.x)
}

// repeat gives n fields alike.
func repeat(n int, f fld) []fld {
	fields := make([]fld, n)
	for i := range fields {
		fields[i] = f
	}
	return fields
}

const jumbo = 65507 // the longest payload of UDP over IPv4

// TestHostileTemplates: no fields, only fields of no length, 65,535 fields, more
// than 65,535 bytes, more fields than the set has; and data for each.
func TestHostileTemplates(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		data := set(300, make([]byte, 12))
		many := append(cat(u16(300, 65535)), fieldBytes(repeat(16000, fld{ie: 8, len: 4}))...)
		for _, c := range []struct {
			name   string
			record []byte
			reason decode.Reason
		}{
			{"no fields", template(300), map[flow.Version]decode.Reason{flow.V9: "template_no_length", flow.IPFIX: "template_withdrawal"}[v]},
			{"no length", template(300, repeat(500, fld{ie: 8})...), "template_no_length"},
			{"65,535 fields, 16,000 there", many, "template_cut"},
			{"16,000 fields", template(300, repeat(16000, fld{ie: 8, len: 1})...), "template_fields"},
			{"too long", template(300, repeat(2, fld{ie: 8, len: 65534})...), "template_too_long"},
			{"longer than the set", template(300, repeat(100, fld{ie: 8, len: 4})...)[:40], "template_cut"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := newAttack(t)
				for i := range uint32(100) {
					a.bad(message(v, i, templateSet(v, c.record), data))
				}
				a.end(c.reason, 100)
			})
		}
	})
}

// TestHostileOptionsTemplates: the same of options templates, whose data goflow2
// would unfold into gigabytes: 65,000 records of 1,000 fields each.
func TestHostileOptionsTemplates(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		a := newAttack(t)
		wide := append(repeat(998, fld{ie: 34}), fld{ie: 35, len: 1})
		a.bad(message(v, 0, optionsSet(v, 400, []fld{{ie: 1}}, wide)), message(v, 1, set(400, make([]byte, 65000))))
		if got := statusOf(t, a.x, "203.0.113.66").Streams[0].OptionRecords; got != 65000 {
			t.Errorf("%d option records, want 65,000", got)
		}
		a.bad(message(v, 2, optionsSet(v, 401, nil, repeat(20, fld{ie: 34}))))
		a.end("template_no_length", 1)
	})
}

// TestHostileSets: lengths of 0 to 3, and data records of the least length with
// the most fields.
func TestHostileSets(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		a := newAttack(t)
		for n := range uint16(4) {
			a.bad(message(v, 0, cat(u16(256, n), make([]byte, 1000), []byte{1})))
		}
		a.end("set_length", 4)

		a = newAttack(t)
		wide := append(repeat(999, fld{ie: 8}), fld{ie: 1, len: 1})
		a.bad(message(v, 0, templateSet(v, template(300, wide...))), message(v, 0, set(300, make([]byte, 65000))))
		a.bad(message(v, 0, templateSet(v, template(301, repeat(1000, fld{ie: 1, len: 65535})...))), message(v, 0, set(301, make([]byte, 65000))))
		a.end("record_overrun", 0)

		a = newAttack(t)
		a.bad(message(v, 0, templateSet(v, template(300, fld{ie: 1, len: 65535}, ends[0])), set(300, []byte{255, 255, 255}, make([]byte, 60000))))
		a.end("record_overrun", 1)
	})
}

func TestHostileCounts(t *testing.T) {
	a := newAttack(t)
	rec := v5record("192.0.2.10", "198.51.100.20", 0, 0)
	a.bad(v5at(0, 65535, 0, uptime, rec))
	a.end("v5_count", 1)
	for _, length := range []uint16{0, 1, 15, 16, 17, 65535} {
		a := newAttack(t)
		p := header10(0, pairTemplate(flow.IPFIX), set(300, pairAB))
		copy(p[2:], u16(length))
		a.bad(p)
		a.end("ipfix_length", 1)
	}
}

// TestHostileSizes: datagrams of 0, 1 and 65,507 bytes, of nothing but one byte
// value too.
func TestHostileSizes(t *testing.T) {
	a := newAttack(t)
	a.bad(nil, []byte{0}, []byte{9})
	a.end("not_export", 3)
	for _, head := range [][]byte{u16(5, 65535), u16(9, 65535), u16(10, jumbo), u32(5)} {
		for _, fill := range []byte{0, 1, 4, 0x45, 0x7f, 0xff} {
			p := make([]byte, jumbo)
			for i := range p {
				p[i] = fill
			}
			copy(p, head)
			a := newAttack(t)
			a.bad(p, p)
			a.end("", 0)
		}
	}
}

// TestHostileSFlow: counts of 2^32-1 at every level, lengths that lie.
func TestHostileSFlow(t *testing.T) {
	const most = math.MaxUint32
	head := func(samples uint32, rest ...[]byte) []byte {
		return cat(u32(5, 1), ip("192.0.2.9"), u32(0, 1, 1000, samples), cat(rest...))
	}
	flowSample := func(records uint32, rest ...[]byte) []byte {
		return cat(u32(1, 1, 100, 0, 0, 1, 2, records), cat(rest...))
	}
	gateway := cat(u32(1), ip("192.0.2.1"), u32(1, 2, 3, most), u32(2, most, 1, 2))
	for name, p := range map[string][]byte{
		"samples":                 head(most),
		"samples, one there":      head(most, u32(1), u32(32), flowSample(0)),
		"length of a sample":      head(1, u32(1, most), flowSample(0)),
		"records of a sample":     head(1, u32(1, 32), flowSample(most)),
		"records, expanded":       head(1, u32(3, 44), u32(1, 0, 1, 100, 0, 0, 0, 1, 0, 2, most)),
		"records, discarded":      head(1, u32(5, 32), u32(1, 0, 1, 0, 1, 2, 3, most)),
		"length of a record":      head(1, u32(1, 40), flowSample(1, u32(1, most))),
		"longer than the sample":  head(1, u32(1, 44), flowSample(1, u32(1, 100, 1)), make([]byte, 200)),
		"agent of another family": cat(u32(5, 3), make([]byte, 100)),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttack(t)
			a.bad(p, cat(p, make([]byte, 3)))
			reason := decode.Reason("sflow_sample")
			if name == "agent of another family" {
				reason = "short_header"
			}
			a.end(reason, 2)
		})
	}
	// These lie within a record, where nothing else is lost.
	for name, record := range map[string][]byte{
		"length of the header": u32(1, 100, 4, most),
		"path of the gateway":  gateway,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttack(t)
			format := map[bool]uint32{true: 1, false: 1003}[name == "length of the header"]
			a.bad(head(1, u32(1, uint32(32+8+len(record))), flowSample(1, u32(format, uint32(len(record))), record)))
			a.end("", 0)
			if a.records != a.sent+1 {
				t.Errorf("%d records, want the sample, too", a.records-a.sent)
			}
		})
	}
	t.Run("a million sources", func(t *testing.T) {
		a := newAttack(t)
		a.bound = 200 << 20 // in passing: it is the memory at the end that counts
		for i := range uint32(rounds(1000)) {
			var samples []byte
			for j := range uint32(1000) {
				samples = append(samples, u32(1, 32, 1, 1000*i+j, 100, 0, i, 1, 2, 0)...)
			}
			a.deliver("203.0.113.66:6343", head(1000, samples))
		}
		a.bound = 4 << 20
		a.honest()
		a.end("", 0)
	})
}

// TestHostileSamplers: options that announce a million samplers, and rates that
// cannot be.
func TestHostileSamplers(t *testing.T) {
	a := newAttack(t)
	a.bad(header9(0, optionsSet(flow.V9, 400, nil, []fld{{ie: 48, len: 4}, {ie: 34, len: 4}})))
	datagrams := rounds(125)
	for i := range uint32(datagrams) {
		var body []byte
		for j := range uint32(8000) {
			body = append(body, u32(8000*i+j, 1+j)...)
		}
		p := header9(1+i, set(400, body))
		a.bad(p)
	}
	want := decode.DefaultLimits().Samplers
	if n := len(statusOf(t, a.x, "203.0.113.66").Streams[0].Sampling); n != want {
		t.Errorf("%d samplers are known, want %d", n, want)
	}
	a.end("cap_samplers", uint64(8000*datagrams-want))
	for _, rate := range []uint32{0, math.MaxUint32} {
		a := newAttack(t)
		a.bad(header9(0, optionsSet(flow.V9, 400, nil, []fld{{ie: 34, len: 4}}), set(400, u32(rate)), pairTemplate(flow.V9), set(300, pairAB)))
		a.end("sampling_absurd", 1)
	}
}

// TestHostileManyTemplates: 65,536 templates from one exporter, small and large.
func TestHostileManyTemplates(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		for _, fields := range []int{1, 300} {
			a := newAttack(t)
			a.bound = 40 << 20 // 1,000 templates of 300 fields
			within(t, func() {
				for domain := range uint32(16) {
					p := message(v, 0, templateSet(v, template(0, repeat(fields, fld{ie: 8, len: 4})...)))
					header := map[flow.Version]int{flow.V9: 20, flow.IPFIX: 16}[v]
					copy(p[map[flow.Version]int{flow.V9: 16, flow.IPFIX: 12}[v]:], u32(domain))
					for id := uint16(256); id < 256+4096; id++ {
						copy(p[header+4:], u16(id))
						a.deliver("203.0.113.66:2055", p)
					}
					a.honest()
				}
			})
			a.end("cap_templates", 65536-1000)
			if n := a.x.Stats().Templates; n != 1001 {
				t.Errorf("%d templates are kept, want 1,001", n)
			}
		}
	})
}

// TestHostileAlternation: a template that means something else in every other
// datagram costs no more than its two meanings.
func TestHostileAlternation(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		a := newAttack(t)
		a.bound = 64 << 20 // in passing
		meanings := [][]fld{repeat(100, ends[0]), {ends[1], ends[0]}}
		for i := range uint32(2000) {
			a.bad(message(v, i, templateSet(v, template(300, meanings[i%2]...)), set(300, make([]byte, 400))))
		}
		a.bound = 4 << 20
		a.end("", 0)
		if s := statusOf(t, a.x, "203.0.113.66").Streams[0]; len(s.History) != 16 || s.Records != 1000*(1+50) {
			t.Errorf("%d changes are remembered, %d records decoded", len(s.History), s.Records)
		}
	})
}

// spoofed gives the n-th made-up sender.
func spoofed(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), 2055)
}

// TestHostileExporters: 1,000,000 spoofed senders within 17 minutes. Memory stays within
// 64 MiB: 10,000 exporters of 2 KiB for a stream, their maps and what waits for a template.
// Those that have templates stay, and so does the named one that is silent.
func TestHostileExporters(t *testing.T) {
	a := newAttack(t)
	a.bound = 64 << 20
	a.x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.99")})
	a.deliver("192.0.2.99:2055", v5(0, 1))
	v5one, data := v5(0, 1), header9(0, set(300, pairAB))
	senders := rounds(1_000_000)
	for i := range senders {
		if i%3 == 0 {
			a.from(spoofed(i), v5one)
		} else {
			a.from(spoofed(i), data)
		}
		if i%(senders/100) == 0 {
			a.now = a.now.Add(10 * time.Second)
			a.honest()
		}
	}
	a.end("cap_exporters", uint64(senders/10))
	statusOf(t, a.x, "192.0.2.99")
	if s := a.x.Stats(); s.Exporters > 10_000 || s.Forgotten == 0 {
		t.Errorf("%+v", s)
	}
	// A configured exporter finds room in the full table.
	a.x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.98")})
	a.deliver("192.0.2.98:2055", v5(0, 1))
	statusOf(t, a.x, "192.0.2.98")
}

// TestHostileDomains: every sender makes all the streams that it can, with all the
// template ids missing that are remembered.
func TestHostileDomains(t *testing.T) {
	a := newAttack(t)
	a.bound = 160 << 20 // 64 MiB of state, 16 MiB of early data, and maps with room to grow
	var missing []byte
	for id := range uint16(64) {
		missing = cat(missing, set(256+id, []byte{1}))
	}
	within(t, func() {
		for i := range 400 {
			for domain := range uint32(300) {
				p := header9(0, missing)
				copy(p[16:], u32(domain))
				a.from(spoofed(i), p)
			}
			a.honest()
		}
	})
	a.end("cap_streams", 400*44)
	if s := a.x.Stats(); s.StateBytes > 64<<20 || s.StateBytes < 60<<20 || s.Early.WaitingBytes > 16<<20 {
		t.Errorf("%+v", s)
	}
}

// A table full of strangers makes room for one that is not known either: the one that
// has been silent for longest goes. Those that are proven stay.
func TestStrangersMakeRoom(t *testing.T) {
	l := decode.DefaultLimits()
	l.Exporters = 3
	b := newBenchLimits(t, l)
	for i := range 3 {
		b.src = spoofed(i)
		b.send(v5(0, 1))
		b.now = b.now.Add(time.Second)
	}
	b.src = addrPort("192.0.2.1:1")
	b.send(v5(0, 1), v5(1, 1))
	b.problems(map[decode.Reason]uint64{"cap_exporters": 1})
	if n := len(b.take()); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
	if s := b.x.Stats(); s.Exporters != 3 || s.Forgotten != 1 || s.Displaced != 1 {
		t.Errorf("%+v", s)
	}
	for _, e := range b.x.Snapshot() {
		if e.Address == spoofed(0).Addr() {
			t.Error("the one that has been silent for longest stays")
		}
	}
	b.now = b.now.Add(2 * time.Minute)
	for range 2 {
		for i := range 3 {
			b.src = spoofed(i)
			b.send(v5(uint32(b.frame), 1))
		}
		b.now = b.now.Add(time.Minute)
	}
	b.src = addrPort("192.0.2.2:1")
	b.send(v5(0, 1))
	for _, e := range b.x.Snapshot() {
		if e.Unproven {
			t.Errorf("%v is not proven", e.Address)
		}
		if e.Address == b.src.Addr() {
			t.Error("a stranger displaced one that is proven")
		}
	}
	if n := len(b.take()); n != 7 {
		t.Errorf("%d records, want 7: v5 needs no state", n)
	}
}

// A proven exporter stays for as long as limits say, then goes.
func TestForget(t *testing.T) {
	b := newBench(t)
	b.send(header9(0, pairTemplate(flow.V9), set(300, pairAB)))
	b.now = b.now.Add(time.Minute)
	b.send(header9(1, set(300, pairAB)))
	b.take()
	b.x.Sweep(b.now.Add(23 * time.Hour))
	if s := b.x.Stats(); s.Exporters != 1 || s.Templates != 1 {
		t.Errorf("after 23 hours: %+v", s)
	}
	b.x.Sweep(b.now.Add(25 * time.Hour))
	if s := b.x.Stats(); s.Exporters != 0 || s.Templates != 0 || s.TemplateBytes != 0 || s.StateBytes != 0 {
		t.Errorf("after 25 hours: %+v", s)
	}
	b.now = b.now.Add(26 * time.Hour)
	b.send(header9(1, set(300, pairAB)), header9(2, pairTemplate(flow.V9)))
	if n := len(b.take()); n != 1 {
		t.Errorf("the decoder remembers one that was forgotten: %d records", n)
	}
}

func TestLimitsValidate(t *testing.T) {
	for _, change := range []func(l *decode.Limits){
		func(l *decode.Limits) { l.Exporters = 0 }, func(l *decode.Limits) { l.Templates = -1 },
		func(l *decode.Limits) { l.StateBytes = 1 }, func(l *decode.Limits) { l.EarlyAge = -1 },
		func(l *decode.Limits) { l.Forget = 0 },
	} {
		l := decode.DefaultLimits()
		change(&l)
		if err := l.Validate(); err == nil {
			t.Errorf("%s should not be", fmt.Sprintf("%+v", l))
		}
	}
	if err := decode.DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
}
