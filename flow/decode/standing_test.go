package decode_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// at sends payloads from an address.
func (b *bench) at(src string, payloads ...[]byte) {
	b.src = addrPort(src)
	b.send(payloads...)
}

// prove makes an exporter with a template one that is proven.
func (b *bench) prove(src string) {
	b.at(src, header10(0, pairTemplate(flow.IPFIX), set(300, pairAB)))
	b.now = b.now.Add(time.Minute)
	b.at(src, header10(1, set(300, pairAB)))
	b.take()
}

// reads checks that all payloads are read, with a record each.
func (b *bench) reads(what, src string, payloads ...[]byte) {
	b.t.Helper()
	b.at(src, payloads...)
	if n := len(b.take()); n != len(payloads) {
		b.t.Errorf("%s: %d records, want %d; %v", what, n, len(payloads), b.d.Stats().Problems)
	}
}

// inDomain changes the domain of a datagram of v9 or IPFIX.
func inDomain(p []byte, domain uint32) []byte {
	at := 16
	if p[1] == 10 {
		at = 12
	}
	copy(p[at:], u32(domain))
	return p
}

// crowd makes many templates of many fields, with room for the id in front.
func crowd(first uint16, n, fields int) []byte {
	var b []byte
	for i := range n {
		b = append(b, template(first+uint16(i), repeat(fields, fld{ie: 85, len: 8})...)...)
	}
	return b
}

// TestFullOfTemplates: whoever fills the memory of templates, named and known
// exporters find room for theirs, also for one of another meaning.
func TestFullOfTemplates(t *testing.T) {
	for _, c := range []struct {
		name    string
		records int // that each attacker sends, a minute apart
	}{{"templates alone", 0}, {"one record", 1}, {"proven attackers", 2}} {
		t.Run(c.name, func(t *testing.T) {
			l := decode.DefaultLimits()
			l.TemplateBytes = 1 << 20
			b := newBenchLimits(t, l)
			b.x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.2")})
			b.prove("192.0.2.1:1")
			b.now = b.now.Add(time.Minute)
			for round := range max(c.records, 1) {
				for i := range 20 {
					b.src = spoofed(i)
					for k := range 10 {
						b.send(header10(0, set(2, crowd(256+100*uint16(k), 5, 200))))
					}
					b.send(header10(0, set(2, crowd(2000, 50, 1))))
					if round < c.records {
						b.send(v5(uint32(round), 1))
					}
				}
				b.now = b.now.Add(time.Minute)
			}
			b.take()
			if n := b.x.Stats().TemplateBytes; n < 900_000 || n > 1<<20 {
				t.Fatalf("%d bytes of templates", n)
			}
			b.reads("named", "192.0.2.2:1", header10(0, pairTemplate(flow.IPFIX), set(300, pairAB)), header10(1, set(300, pairAB)))
			b.reads("known, as before", "192.0.2.1:1", header10(2, set(300, pairAB)))
			b.reads("known, another meaning", "192.0.2.1:1",
				header10(3, templateSet(flow.IPFIX, template(300, ends[0], ends[1], fld{ie: 10, len: 4})), set(300, pairAB, u32(1))))
			b.reads("known, another template", "192.0.2.1:1",
				header10(4, templateSet(flow.IPFIX, template(301, ends...)), set(301, pairAB)))
			if n := b.x.Stats().TemplateBytes; n > 1<<20 {
				t.Errorf("%d bytes of templates", n)
			}
		})
	}
}

// TestFullOfStreams: headers in many domains of many senders leave room for those that
// are named, known, or new and modest.
func TestFullOfStreams(t *testing.T) {
	l := decode.DefaultLimits()
	l.StateBytes = 1 << 20
	b := newBenchLimits(t, l)
	b.x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.2")})
	b.prove("192.0.2.1:1")
	for i := range 20 {
		b.src = spoofed(i)
		for domain := range uint32(256) {
			b.send(inDomain(header10(0), domain))
		}
	}
	one := func(v flow.Version, domain uint32) []byte {
		return inDomain(message(v, 0, pairTemplate(v), set(300, pairAB)), domain)
	}
	b.reads("named", "192.0.2.2:1", one(flow.V9, 1), one(flow.IPFIX, 1), v5(0, 1))
	b.reads("known, a new domain", "192.0.2.1:1", one(flow.IPFIX, 8), inDomain(header10(2, set(300, pairAB)), 7))
	b.reads("new", "192.0.2.3:1", one(flow.V9, 1), v5(0, 1))
	if s := b.x.Stats(); s.Displaced == 0 || s.StateBytes > 1<<20 {
		t.Errorf("%+v", s)
	}
}

// TestForgedDomains: headers under the address of an exporter, named or not, leave room
// for its own domain at once; domains with a record each do after a minute.
func TestForgedDomains(t *testing.T) {
	for _, records := range []bool{false, true} {
		b := newBench(t)
		b.src = addrPort("192.0.2.1:6000")
		for d := range uint32(300) {
			p := header10(0)
			if records {
				p = header10(0, pairTemplate(flow.IPFIX), set(300, pairAB))
			}
			b.send(inDomain(p, 1000+d))
		}
		b.take()
		if records {
			b.now = b.now.Add(time.Minute)
		}
		b.reads("own domain", "192.0.2.1:5000", header9(0, pairTemplate(flow.V9), set(300, pairAB)))
		b.reads("its next", "192.0.2.1:5000", header9(1, set(300, pairAB)))
		b.x.Sweep(b.now.Add(40 * time.Minute))
		for _, e := range b.x.Snapshot() {
			if len(e.Streams) != 0 {
				t.Errorf("records %v: %d streams after 40 minutes of silence", records, len(e.Streams))
			}
		}
		if s := b.x.Stats(); s.StateBytes != 0 || s.Templates != 0 || s.TemplateBytes != 0 {
			t.Errorf("records %v: %+v", records, s)
		}
	}
}

// TestForgedPorts: an exporter that is split by source port comes back from another port,
// whatever number of ports was forged, also after a restart of ours.
func TestForgedPorts(t *testing.T) {
	b := newBench(t)
	for i := range uint32(8) { // two that contradict each other
		b.at("192.0.2.1:5000", header10(i, pairTemplate(flow.IPFIX), set(300, pairAB)))
		b.at("192.0.2.1:6000", header10(0, templateSet(flow.IPFIX, template(300, ends[1]))))
	}
	if !b.x.Snapshot()[0].Split {
		t.Fatal("not split")
	}
	for port := range 300 {
		b.at(fmt.Sprintf("192.0.2.1:%d", 10000+port), header10(0))
	}
	b.take()
	b.reads("another port", "192.0.2.1:5001", header10(8, pairTemplate(flow.IPFIX), set(300, pairAB)))
	after, report := loadedBench(t, save(t, b.x, false))
	if report.Refused != 0 {
		t.Errorf("%+v", report)
	}
	after.reads("after a restart", "192.0.2.1:5002", header10(9, pairTemplate(flow.IPFIX), set(300, pairAB)))
}

// TestForgedTemplates: templates under the address of an exporter leave room for those
// that it sends a second later.
func TestForgedTemplates(t *testing.T) {
	b := newBench(t)
	for k := range 12 {
		b.at("192.0.2.1:6000", header10(0, set(2, crowd(1000+100*uint16(k), 100, 1))))
	}
	b.now = b.now.Add(time.Second)
	b.reads("own template", "192.0.2.1:5000", header10(0, pairTemplate(flow.IPFIX), set(300, pairAB)))
	for k := range 12 {
		b.now = b.now.Add(time.Second)
		b.at("192.0.2.1:6000", header10(0, set(2, crowd(3000+100*uint16(k), 100, 1))))
	}
	b.reads("one that has been used stays", "192.0.2.1:5000", header10(1, set(300, pairAB)))
}

// TestFullOfEarlyData: sets that wait leave room for those of named and known exporters.
func TestFullOfEarlyData(t *testing.T) {
	l := decode.DefaultLimits()
	l.EarlyBytes, l.EarlyBytesPerExporter = 50_000, 20_000
	b := newBenchLimits(t, l)
	b.x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.2")})
	b.prove("192.0.2.1:1")
	for i := range 10 {
		b.src = spoofed(i)
		for id := range uint16(20) {
			b.send(header9(0, set(300+id, make([]byte, 1000))))
		}
	}
	for _, src := range []string{"192.0.2.1:1", "192.0.2.2:1"} {
		b.at(src, inDomain(header10(0, set(300, pairAB, make([]byte, 1000))), 99))
		b.at(src, inDomain(header10(126, pairTemplate(flow.IPFIX)), 99))
		if n := len(b.take()); n != 126 {
			t.Errorf("%s: %d records, want 126", src, n)
		}
	}
	if e := b.x.Stats().Early; e.Displaced == 0 || e.WaitingBytes > 50_000 || e.Replayed != 2 {
		t.Errorf("%+v", e)
	}
}

// TestProof: records at times a minute apart prove an exporter, over a restart too;
// headers, templates and a second datagram right after the first do not.
func TestProof(t *testing.T) {
	b := newBench(t)
	step := func(what string, wait time.Duration, p []byte, want bool) {
		t.Helper()
		b.now = b.now.Add(wait)
		b.send(p)
		if got := !b.x.Snapshot()[0].Unproven; got != want {
			t.Errorf("%s: proven %v", what, got)
		}
	}
	step("a header", 0, header10(0), false)
	step("a template", time.Hour, header10(0, pairTemplate(flow.IPFIX)), false)
	step("a record", time.Hour, header10(0, set(300, pairAB)), false)
	step("another one", time.Second, header10(1, set(300, pairAB)), false)
	b.x.Sweep(b.now)
	now := b.now
	saved := new(bytes.Buffer)
	if err := b.x.Save(saved, true, now, now); err != nil {
		t.Fatal(err)
	}
	b = newBench(t)
	b.now = now
	if _, err := b.x.Load(bytes.NewReader(saved.Bytes()), now, now); err != nil {
		t.Fatal(err)
	}
	step("a header a minute later", time.Minute, header10(2), false)
	step("a record a minute later", 0, header10(2, set(300, pairAB)), true)
	saved.Reset()
	if err := b.x.Save(saved, true, b.now, b.now); err != nil {
		t.Fatal(err)
	}
	x := decode.NewExporters(decode.DefaultLimits())
	if _, err := x.Load(saved, b.now, b.now); err != nil || x.Snapshot()[0].Unproven {
		t.Errorf("not proven after a restart: %v", err)
	}
}

// TestStrangersAge: a sender that is not proven goes after minutes of silence.
func TestStrangersAge(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		stays   time.Duration
		goes    time.Duration
	}{
		"template": {header10(0, pairTemplate(flow.IPFIX)), 9 * time.Minute, 11 * time.Minute},
		"record":   {v5(0, 1), 29 * time.Minute, 31 * time.Minute},
	} {
		b := newBench(t)
		b.send(c.payload)
		b.x.Sweep(b.now.Add(c.stays))
		if n := b.x.Stats().Exporters; n != 1 {
			t.Errorf("%s: gone after %v", name, c.stays)
		}
		b.x.Sweep(b.now.Add(c.goes))
		if n := b.x.Stats().Exporters; n != 0 {
			t.Errorf("%s: still there after %v", name, c.goes)
		}
	}
}

// Templates of a file that an earlier version wrote prove their exporter.
func TestLoadEarlierVersion(t *testing.T) {
	_, saved := savedBench(t, true)
	lines := strings.SplitAfter(string(saved), "\n")
	lines[0] = stateLine(`{"kind":"header","format":1,"clean":true}`)
	b, report := loadedBench(t, []byte(strings.Join(lines, "")))
	if report.Exporters != 3 || report.Templates != 8 {
		t.Errorf("%+v", report)
	}
	for _, e := range b.x.Snapshot() {
		if e.Unproven {
			t.Errorf("%v is not proven", e.Address)
		}
	}
}

// TestForgedRate: one datagram cannot take a sampling rate far; the next one that
// announces the same can.
func TestForgedRate(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		options := optionsSet(v, 400, system(v), []fld{{ie: 34, len: 4}})
		withID := templateSet(v, template(301, ends[0], ends[1], fld{ie: 48, len: 1}))
		told := func(rates ...uint32) []byte {
			sets := [][]byte{options}
			for _, r := range rates {
				sets = append(sets, set(400, u32(1, r)))
			}
			return message(v, 0, sets...)
		}
		byID := func(rate uint32) []byte { return message(v, 0, samplerOptions(v), samplerData(v, 1, rate)) }
		for _, c := range []struct {
			name  string
			first []byte // before any flow; nil = nothing is announced
			then  [][]byte
			want  uint32
		}{
			{"unsampled, raised", nil, [][]byte{told(10_000_000)}, 1},
			{"unsampled, twice in a datagram", nil, [][]byte{told(1000, 1000)}, 1},
			{"unsampled, a little", nil, [][]byte{told(10)}, 10},
			{"unsampled, confirmed", nil, [][]byte{told(1000), told(1000)}, 1000},
			{"unsampled, different ones", nil, [][]byte{told(1000), told(2000)}, 1},
			{"unsampled, absurd", nil, [][]byte{told(0)}, 1},
			{"by sampler, raised", nil, [][]byte{byID(5000)}, 1},
			{"raised", told(100), [][]byte{told(1001)}, 100},
			{"raised by ten", told(100), [][]byte{told(1000)}, 1000},
			{"raised, contradicted, raised", told(100), [][]byte{told(5000), told(100), told(5000)}, 100},
			{"raised, confirmed", told(100), [][]byte{told(5000), told(5000)}, 5000},
			{"lowered", told(10_000), [][]byte{told(1)}, 10_000},
			{"lowered, confirmed", told(10_000), [][]byte{told(1), told(1)}, 1},
			{"absurd", told(100), [][]byte{told(0)}, 100},
			{"absurd and high", told(100), [][]byte{told(4_000_000_000)}, 100},
			{"a rate for all beside a sampler", byID(100), [][]byte{told(50_000)}, 100},
			{"sampler raised", byID(100), [][]byte{byID(5000)}, 100},
			{"sampler confirmed", byID(100), [][]byte{byID(5000), byID(5000)}, 5000},
		} {
			b := newBench(t)
			if c.first != nil {
				b.send(c.first)
			}
			b.send(message(v, 0, withID, set(301, pairAB, []byte{1})))
			b.take()
			b.send(c.then...)
			b.send(message(v, 1, set(301, pairAB, []byte{1})))
			wantRates(t, c.name, b.take(), c.want)
			b, _ = loadedBench(t, save(t, b.x, true))
			b.send(message(v, 1, set(301, pairAB, []byte{1})))
			wantRates(t, c.name+", after a restart", b.take(), c.want)
		}
	})
}

// Options of another domain must not raise the rate either.
func TestForgedRateOfAnotherDomain(t *testing.T) {
	b := newBench(t)
	b.send(header9(0, pairTemplate(flow.V9), set(300, pairAB)))
	b.send(inDomain(header9(0, optionsSet(flow.V9, 400, nil, []fld{{ie: 34, len: 4}}), set(400, u32(100_000))), 9))
	b.take()
	b.send(header9(1, set(300, pairAB)))
	wantRates(t, "another domain", b.take(), 1)
	b.problems(map[decode.Reason]uint64{"sampling_unconfirmed": 1})
}
