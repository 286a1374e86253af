package decode_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// savedBench is a bench that knows templates, samplers and sequence numbers of
// three exporters, and what it saves.
func savedBench(t testing.TB, clean bool) (*bench, []byte) {
	t.Helper()
	b := newBench(t)
	withID := template(301, ends[0], ends[1], fld{ie: 48, len: 1}, fld{ie: 22, len: 4})
	for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
		b.send(message(v, 0, pairTemplate(v), templateSet(v, withID), samplerOptions(v), samplerData(v, 1, 1000)))
		b.send(message(v, 1, optionsSet(v, 401, system(v), []fld{{ie: 34, len: 4}, {ie: 160, len: 8}}), set(401, u32(1, 64), u64(uint64(exportTime.UnixMilli())))))
	}
	b.src = addrPort("192.0.2.5:5000")
	b.send(v5(100, 10))
	b.src = addrPort("[2001:db8::5]:6343")
	for _, d := range exportStream(t, flow.SFlow, 3, 0) {
		b.send(d.payload)
	}
	return b, save(t, b.x, clean)
}

func save(t testing.TB, x *decode.Exporters, clean bool) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := x.Save(&buf, clean, exportTime, exportTime); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// loadedBench is a bench that begins with a saved state.
func loadedBench(t testing.TB, saved []byte) (*bench, decode.LoadReport) {
	t.Helper()
	b := newBench(t)
	report, err := b.x.Load(bytes.NewReader(saved), b.now, b.now)
	if err != nil {
		t.Fatal(err)
	}
	return b, report
}

func sortedLines(b []byte) []string {
	lines := strings.Split(string(b), "\n")
	slices.Sort(lines)
	return lines
}

func TestSaveAndLoad(t *testing.T) {
	old, saved := savedBench(t, true)
	b, report := loadedBench(t, saved)
	want := decode.LoadReport{Clean: true, Exporters: 3, Templates: 8, Samplers: 4}
	if report != want {
		t.Errorf("report %+v, want %+v", report, want)
	}
	if got := save(t, b.x, true); !slices.Equal(sortedLines(got), sortedLines(saved)) {
		t.Errorf("saved again:\n%s\nwant:\n%s", got, saved)
	}
	if o, n := old.x.Stats(), b.x.Stats(); o.Templates != n.Templates || o.TemplateBytes != n.TemplateBytes || o.StateBytes < n.StateBytes {
		t.Errorf("totals %+v, were %+v", n, o)
	}
	both(t, func(t *testing.T, v flow.Version) {
		b.src = addrPort("192.0.2.1:61000") // it may have another port now
		b.send(message(v, 2, set(301, pairAB, []byte{1}, u32(500)), set(300, pairAB)))
		rs := b.take()
		wantRates(t, "sampler, then the rate for all", rs, 1000, 64)
		if v == flow.IPFIX && !rs[0].Start.Equal(exportTime.Add(500*time.Millisecond)) {
			t.Errorf("init time is gone: start %v", rs[0].Start)
		}
	})
}

// The sequence goes on: what came in between is lost, exactly after a clean stop,
// by estimate after a crash.
func TestSequenceOverRestart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		_, saved := savedBench(t, clean)
		b, _ := loadedBench(t, saved)
		b.src = addrPort("192.0.2.5:5000")
		b.send(v5(150, 10), v5(170, 10))
		got := statusOf(t, b.x, "192.0.2.5").Streams[0].Status
		want := sequence.Status{Unit: sequence.Flows, Lost: 40 + 10}
		if !clean {
			want.Estimate = 40
		}
		if got != want {
			t.Errorf("clean %v: got %+v, want %+v", clean, got, want)
		}
	}
}

func statusOf(t *testing.T, x *decode.Exporters, addr string) decode.ExporterStatus {
	t.Helper()
	for _, e := range x.Snapshot() {
		if e.Address.String() == addr {
			return e
		}
	}
	t.Fatalf("%s is not known", addr)
	return decode.ExporterStatus{}
}

// Processes that contradict each other stay apart.
func TestSplitOverRestart(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		own := [][]byte{template(300, ends...), template(300, ends[1], ends[0])}
		ports := []string{"192.0.2.1:1", "192.0.2.1:2"}
		for i := range 8 {
			b.src = addrPort(ports[i%2])
			b.send(message(v, uint32(i), templateSet(v, own[i%2])))
		}
		b, _ = loadedBench(t, save(t, b.x, true))
		for i := range 4 {
			b.src = addrPort(ports[i%2])
			b.send(message(v, uint32(8+i), set(300, pairAB)))
			if r := b.one(); (r.Src.String() == "192.0.2.10") != (i%2 == 0) {
				t.Errorf("process %d: src %v", i%2, r.Src)
			}
		}
	})
}

// A damaged line is left out and counted, wherever it is; the rest is used.
func TestLoadDamaged(t *testing.T) {
	_, saved := savedBench(t, true)
	lines := bytes.SplitAfter(saved, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		for name, damage := range map[string]func(b []byte) []byte{
			"a bit flipped":    func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
			"the sum flipped":  func(b []byte) []byte { b[3] ^= 1; return b },
			"torn":             func(b []byte) []byte { return append(b[:len(b)/2], '\n') },
			"zeros":            func(b []byte) []byte { return append(make([]byte, 50), '\n') },
			"empty":            func([]byte) []byte { return []byte("\n") },
			"too long a line":  func(b []byte) []byte { return append(bytes.Repeat([]byte("x"), 300_000), '\n') },
			"other text":       func([]byte) []byte { return []byte("# a comment\n") },
			"no space":         func(b []byte) []byte { b[8] = 'x'; return b },
			"not hexadecimals": func(b []byte) []byte { b[0] = 'g'; return b },
		} {
			changed := slices.Clone(lines)
			changed[i] = damage(bytes.Clone(lines[i]))
			x := decode.NewExporters(decode.DefaultLimits())
			report, err := x.Load(bytes.NewReader(bytes.Join(changed, nil)), exportTime, exportTime)
			if err != nil || report.Damaged != 1 || report.Exporters < 2 || report.Templates < 7 || report.Clean != (i != 0) {
				t.Errorf("line %d, %s: %+v, %v", i+1, name, report, err)
			}
			if got := x.Stats(); got.Exporters != 3 {
				t.Errorf("line %d, %s: %d exporters, want 3", i+1, name, got.Exporters)
			}
		}
	}
}

// A file may end anywhere.
func TestLoadTorn(t *testing.T) {
	_, saved := savedBench(t, true)
	for n := range saved {
		x := decode.NewExporters(decode.DefaultLimits())
		report, err := x.Load(bytes.NewReader(saved[:n]), exportTime, exportTime)
		if torn := n > 0 && saved[n-1] != '\n'; err != nil || (report.Damaged == 1) != torn {
			t.Fatalf("%d bytes: %+v, %v", n, report, err)
		}
	}
}

func TestLoadOtherFormat(t *testing.T) {
	x := decode.NewExporters(decode.DefaultLimits())
	_, err := x.Load(strings.NewReader(stateLine(`{"kind":"header","format":2}`)), exportTime, exportTime)
	if err == nil || !strings.Contains(err.Error(), "line 1: format 2 is not known") {
		t.Errorf("error %v", err)
	}
}

// What was silent for too long is not taken up again.
func TestLoadExpired(t *testing.T) {
	_, saved := savedBench(t, true)
	x := decode.NewExporters(decode.DefaultLimits())
	report, err := x.Load(bytes.NewReader(saved), exportTime.Add(25*time.Hour), exportTime.Add(25*time.Hour))
	if err != nil || report.Exporters != 0 || report.Templates != 0 || report.Expired != bytes.Count(saved, []byte("\n"))-1 || x.Stats().Exporters != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestLoadInAnotherYear: what stamps datagrams may say another year in each run, and
// jump. By the date that can be trusted hardly any time has passed.
func TestLoadInAnotherYear(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, years := range []time.Duration{-56, -1, 1, 56} {
		b, _ := savedBench(t, true)
		for _, minutes := range []time.Duration{-2, -1} { // all are proven
			b.now = exportTime.Add(minutes * time.Minute)
			for _, src := range []string{"192.0.2.1:1", "192.0.2.5:1", "[2001:db8::5]:6343"} {
				b.src = addrPort(src)
				b.send(v5(uint32(b.frame), 1))
			}
		}
		var buf bytes.Buffer
		if err := b.x.Save(&buf, true, exportTime, exportTime.Add(3*year)); err != nil {
			t.Fatal(err)
		}
		x, now := decode.NewExporters(decode.DefaultLimits()), exportTime.Add(years*year)
		report, err := x.Load(&buf, now, exportTime.Add(3*year+time.Hour))
		if err != nil || report.Expired != 0 || report.Templates == 0 {
			t.Fatalf("%d years: %+v, %v", years, report, err)
		}
		x.Sweep(now.Add(22 * time.Hour))
		if got := x.Stats().Exporters; got != report.Exporters {
			t.Errorf("%d years: %d exporters within the day, want %d", years, got, report.Exporters)
		}
		x.Sweep(now.Add(24 * time.Hour))
		if got := x.Stats().Exporters; got != 0 {
			t.Errorf("%d years: %d exporters after a day of silence", years, got)
		}
	}
}

// The limits hold while loading, too.
func TestLoadCaps(t *testing.T) {
	_, saved := savedBench(t, true)
	l := decode.DefaultLimits()
	l.Exporters, l.TemplatesPerExporter, l.Samplers = 2, 2, 1
	x := decode.NewExporters(l)
	report, err := x.Load(bytes.NewReader(saved), exportTime, exportTime)
	if err != nil || report.Refused == 0 || x.Stats().Exporters != 2 || x.Stats().Templates > 2 {
		t.Errorf("%+v, %v, %+v", report, err, x.Stats())
	}
}

// failing is a file system that is full, or a disk that dies.
type failing struct{}

var errFailing = errors.New("no space left on device")

func (failing) Write([]byte) (int, error) { return 0, errFailing }
func (failing) Read([]byte) (int, error)  { return 0, errFailing }

func TestSaveAndLoadErrors(t *testing.T) {
	b, _ := savedBench(t, true)
	if err := b.x.Save(failing{}, true, exportTime, exportTime); !errors.Is(err, errFailing) {
		t.Errorf("Save: %v", err)
	}
	if _, err := b.x.Load(failing{}, b.now, b.now); !errors.Is(err, errFailing) {
		t.Errorf("Load: %v", err)
	}
}

// Changes tells when it is worth saving: not for data of a known stream, nor for
// templates that come again as they were.
func TestChanges(t *testing.T) {
	b := newBench(t)
	step := func(what string, changes bool, p []byte) {
		before := b.x.Changes()
		b.send(p)
		if (b.x.Changes() != before) != changes {
			t.Errorf("%s: changed from %d to %d", what, before, b.x.Changes())
		}
	}
	step("template", true, header9(0, pairTemplate(flow.V9)))
	step("the same", false, header9(1, pairTemplate(flow.V9)))
	step("data", false, header9(2, set(300, pairAB)))
	step("another meaning", true, header9(3, templateSet(flow.V9, template(300, ends[1], ends[0]))))
	step("sampler", true, header9(4, samplerOptions(flow.V9), samplerData(flow.V9, 1, 10)))
	step("the same sampler", false, header9(5, samplerData(flow.V9, 1, 10)))
	step("another rate", true, header9(6, samplerData(flow.V9, 1, 20)))
	step("a stream without templates", true, v5(100, 10))
	step("its next datagram", false, v5(110, 10))
}
