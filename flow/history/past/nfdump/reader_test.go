package nfdump

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
)

// read gives all flows of an input.
func read(tb testing.TB, in io.Reader, zone *time.Location) ([]field.Flow, Report) {
	tb.Helper()
	r, err := NewReader(in, zone)
	if err != nil {
		tb.Fatal(err)
	}
	var flows []field.Flow
	for {
		var f field.Flow
		if err := r.Next(&f); errors.Is(err, io.EOF) {
			return flows, r.Report()
		} else if err != nil {
			tb.Fatal(err)
		}
		flows = append(flows, f)
	}
}

func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		tb.Skip("no time zones on this machine: ", err)
	}
	return z
}

// TestForms: one file of nfcapd, printed by nfdump 1.7.1 and 1.7.5 in every form, gives the same
// flows, as far as the form has their fields; its bytes and packets are those of nfdump's summary.
func TestForms(t *testing.T) {
	want, _ := read(t, bytes.NewReader(sample(t, "v175.ndjson")), time.UTC)
	if len(want) != 39 {
		t.Fatalf("%d flows, want 39", len(want))
	}
	var octets, packets uint64
	for _, f := range want {
		octets, packets = octets+f.Bytes+f.RevBytes, packets+f.Packets+f.RevPackets
	}
	summary := strings.Split(strings.TrimSpace(string(sample(t, "legacy.csv"))), "\n")
	line := strings.Split(summary[len(summary)-1], ",")
	if line[0] != "39" || line[1] != strconv.FormatUint(octets, 10) || line[2] != strconv.FormatUint(packets, 10) {
		t.Errorf("%d flows, %d bytes, %d packets; nfdump says %v", len(want), octets, packets, line[:3])
	}
	all := func(*field.Flow) {}
	seconds := func(f *field.Flow) {
		f.First, f.Last = f.First/1000*1000, f.Last/1000*1000
		f.Sampled, f.FirewallEvent = false, 0
		noNAT(f)
	}
	for _, test := range []struct {
		name, zone string
		form       Form
		lacks      func(*field.Flow) // removes what the form has not
	}{
		{"v171.json", "UTC", JSON, all},
		{"v175.json", "UTC", JSON, all},
		{"v175.ndjson", "UTC", JSON, all},
		{"legacy.csv", "UTC", LegacyCSV, seconds},
		{"legacy-quiet.csv", "UTC", LegacyCSV, seconds},
		{"legacy-zurich.csv", "Europe/Zurich", LegacyCSV, seconds},
		{"v175-chosen.csv", "UTC", CSV, func(f *field.Flow) { f.Sampled = false }},
		{"v175.csv", "UTC", CSV, few},
		{"v175-fast.csv", "UTC", CSV, func(f *field.Flow) {
			flags := f.TCPFlags
			few(f)
			f.TCPFlags = flags
			if f.ICMP() { // printed as ports, which it has not
				f.SrcPort, f.DstPort = 0, 0
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, report := read(t, bytes.NewReader(sample(t, test.name)), zone(t, test.zone))
			if report.Form != test.form || report.Rows != 39 || report.Bad != 0 {
				t.Errorf("report %+v", report)
			}
			if len(got) != len(want) {
				t.Fatalf("%d flows, want %d", len(got), len(want))
			}
			for i := range want {
				w := want[i]
				test.lacks(&w)
				if test.name == "v175-fast.csv" && w.ICMP() {
					got[i].SrcPort, got[i].DstPort = 0, 0
				}
				if got[i] != w {
					t.Errorf("flow %d\n%+v, want\n%+v", i, got[i], w)
				}
			}
		})
	}
}

func noNAT(f *field.Flow) {
	var none field.Flow
	f.PostNATSrc, f.PostNATDst = none.PostNATSrc, none.PostNATDst
	f.PostNATSrcPort, f.PostNATDstPort = 0, 0
}

// few removes what the default csv of 1.7.5 has not.
func few(f *field.Flow) {
	noNAT(f)
	f.Sampled, f.FirewallEvent, f.TCPFlags, f.Received = false, 0, 0, 0
	f.RevBytes, f.RevPackets = 0, 0
	f.Exporter = field.Flow{}.Exporter
}

// TestConcatenated: the output of several runs, one after the other, is one input.
func TestConcatenated(t *testing.T) {
	for _, names := range [][]string{{"legacy.csv", "v175.csv", "legacy.csv"}, {"v171.json", "v175.ndjson", "v175.json"}} {
		var all []byte
		for _, name := range names {
			all = append(all, sample(t, name)...)
		}
		flows, report := read(t, bytes.NewReader(all), time.UTC)
		if len(flows) != 3*39 || report.Bad != 0 {
			t.Errorf("%v: %d flows, %+v", names, len(flows), report)
		}
		if lines := bytes.Count(all, []byte{'\n'}); report.Lines != lines {
			t.Errorf("%v: %d lines, want %d", names, report.Lines, lines)
		}
	}
}

// TestSmallReads: where the input is cut between reads changes nothing.
func TestSmallReads(t *testing.T) {
	for _, name := range []string{"legacy.csv", "v171.json", "v175.ndjson"} {
		b := sample(t, name)
		want, report := read(t, bytes.NewReader(b), time.UTC)
		for _, size := range []int{1, 7, 4096} {
			got, r := read(t, &slow{b, size}, time.UTC)
			if len(got) != len(want) || r.Lines != report.Lines {
				t.Fatalf("%s by %d bytes: %d flows, want %d", name, size, len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s by %d bytes: flow %d differs", name, size, i)
				}
			}
		}
	}
}

type slow struct {
	rest []byte
	size int
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// TestBadRows: a row that cannot be read is counted with its line and reason, and those
// around it are read.
func TestBadRows(t *testing.T) {
	const head = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
	const good = "2026-11-30 13:19:06.816,18.641,6,50.232.191.79,443,192.168.247.44,12159,49,36897,1\n"
	const object = `{"first":"2026-11-30T13:19:06.816","proto":6,"src4_addr":"192.0.2.1","dst4_addr":"192.0.2.2","in_packets":1,"in_bytes":40}` + "\n"
	for _, test := range []struct {
		name, in string
		line     int
		reason   string
		rows     uint64
	}{
		{"address", head + good + strings.Replace(good, "50.232.191.79", "50.232.191.279", 1) + good, 3, `"50.232.191.279" is not a valid address`, 2},
		{"time", head + strings.Replace(good, "13:19:06", "13:69:06", 1) + good, 2, `"2026-11-30 13:69:06.816" is not a valid time`, 1},
		{"month", head + strings.Replace(good, "2026-11", "2026-13", 1) + good, 2, `"2026-13-30 13:19:06.816" is not a valid time`, 1},
		{"no time", head + strings.Replace(good, "2026-11-30 13:19:06.816", "0000-00-00 00:00:00.000", 1) + good, 2, "no time", 1},
		{"counter", head + strings.Replace(good, "36897", "36.9 K", 1) + good, 2, `"36.9 K" is not a valid number`, 1},
		{"negative", head + strings.Replace(good, "36897", "-1", 1) + good, 2, `"-1" is not a valid number`, 1},
		{"protocol", head + strings.Replace(good, ",6,", ",TCQ,", 1) + good, 2, `"TCQ" is not a valid protocol`, 1},
		{"port", head + strings.Replace(good, "12159", "72159", 1) + good, 2, `"72159" is not a valid port`, 1},
		{"too few", head + "2026-11-30 13:19:06.816,18.641\n" + good, 2, "another number of fields than the first line names", 1},
		{"too many", head + strings.Replace(good, "\n", ",1\n", 1) + good, 2, "another number of fields than the first line names", 1},
		{"cut", head + good + good[:66], 3, `"" is not a valid port`, 1},
		{"terminal", head + "\x1b[31m" + good + good, 2, "\" [31m2026-11-30 13:19:06.816\" is not a valid time", 1},
		{"statistics behind", head + good + "ts,te,td,pr,val,fl,flP,ipkt,ipktP\n2026-11-30 13:19:06,x\n", 3, "its fields have no source and destination address; statistics (-s) and most aggregations (-A) are no flows", 1},
		{"long", head + good + strings.Repeat("x", 300_000) + "\n" + good, 3, "longer than 64 KB; nfdump 1.7.0 prints csv without line breaks, so use -o json there", 2},
		{"object without end", object + `{"first":"2026-11-30T13:19:06.816",` + "\n" + object + object, 2, "an object that does not end", 3},
		{"object cut", "[\n" + object + object[:50], 3, "an object that does not end", 1},
		{"object of another kind", object + `{"hello":{"src4_addr":"}"},"x":[1,{"y":2}]}` + "\n" + object, 2, "no source or destination address", 2},
		{"member", object + strings.Replace(object, `"192.0.2.2"`, `"host"`, 1) + object, 2, `dst4_addr: "host" is not a valid address`, 2},
		{"object that is long", object + `{"x":"` + strings.Repeat("y", 300_000) + "\"}\n" + object, 2, "an object that does not end", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, report := read(t, strings.NewReader(test.in), time.UTC)
			if report.Bad != 1 || len(report.Samples) != 1 || report.Rows != test.rows {
				t.Fatalf("%+v", report)
			}
			if s := report.Samples[0]; s.Line != test.line || s.Reason != test.reason {
				t.Errorf("line %d: %s, want line %d: %s", s.Line, s.Reason, test.line, test.reason)
			}
		})
	}
}

// TestNotNfdump: other inputs are refused with what they are.
func TestNotNfdump(t *testing.T) {
	for in, want := range map[string]string{
		"":               "it is empty",
		" \n\n":          "it is empty",
		"hello\nworld":   `neither a capture nor csv or json of nfdump; it begins with "hello"`,
		"\x1b]0;x\x07\n": `neither a capture nor csv or json of nfdump; it begins with " ]0;x "`,
		"Date first seen          Duration Proto\n":            "text of nfdump for people; print it with -o csv or -o json",
		"ts,te,td,pr,val,fl,flP,ipkt,ipktP,ibyt,ibytP\n":       "csv of nfdump, but its fields have no source and destination address; statistics (-s) and most aggregations (-A) are no flows",
		"srcAddr,dstAddr,packets\n1.2.3.4,1.2.3.5,7\n":         "csv of nfdump, but its fields have no time",
		"2|1622292103|245|1622292436|993|0|0|0|0|167772160|1|": "the pipe format of nfdump; print it with -o csv or -o json",
	} {
		_, err := NewReader(strings.NewReader(in), time.UTC)
		var format *FormatError
		if !errors.As(err, &format) || format.Reason != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

// TestPacketsAsBytes: versions of nfdump print the number of packets as bytes; that is seen,
// and no wrong bytes are taken.
func TestPacketsAsBytes(t *testing.T) {
	const in = `{"first":"2026-11-30T13:19:06.816","proto":6,"src4_addr":"192.0.2.1","dst4_addr":"192.0.2.2","in_packets":49,"in_bytes":49}`
	flows, report := read(t, strings.NewReader(in), time.UTC)
	if len(flows) != 1 || flows[0].Bytes != 0 || flows[0].Packets != 49 || report.PacketsAsBytes != 1 {
		t.Errorf("%+v, %+v", flows, report)
	}
}

// FuzzReader: no input stops the reader, allocates without bound or gives a flow that lacks
// what every flow has; rows and lines add up.
func FuzzReader(f *testing.F) {
	for _, name := range []string{"legacy.csv", "v171.json", "v175.csv", "v175.ndjson", "v175-chosen.csv"} {
		b := sample(f, name)
		f.Add(b[:min(len(b), 3000)])
	}
	f.Add([]byte(`[{"a":"\"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), time.UTC)
		if err != nil {
			return
		}
		n := uint64(0)
		for {
			var flow field.Flow
			if err := r.Next(&flow); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			n++
			if !flow.Src.IsValid() || !flow.Dst.IsValid() || flow.At() <= 0 {
				t.Fatalf("incomplete: %+v", flow)
			}
		}
		report := r.Report()
		if report.Rows != n || len(report.Samples) > maxSamples || report.Lines > bytes.Count(b, []byte{'\n'})+1 {
			t.Fatalf("%d flows, report %+v", n, report)
		}
	})
}

// BenchmarkReader is the time per row.
func BenchmarkReader(b *testing.B) {
	for _, name := range []string{"legacy.csv", "v175.csv", "v171.json", "v175.ndjson"} {
		b.Run(name, func(b *testing.B) {
			in := sample(b, name)
			r, err := NewReader(&endless{all: in}, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(in) / 39))
			var f field.Flow
			for b.Loop() {
				if err := r.Next(&f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// endless is an input again and again.
type endless struct{ all, rest []byte }

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.all
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}
