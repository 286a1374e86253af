package feeds

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func utf16Text(order binary.ByteOrder, text string) string {
	b := make([]byte, 0, 2*len(text)+2)
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return string(b)
}

func TestEncodings(t *testing.T) {
	const want = "192.0.2.1/32 192.0.2.2/32"
	const text = "192.0.2.1 # 💀\n192.0.2.2"
	testRows(t, "", []rowCase{
		{text, want, 0},
		{"\ufeff" + text, want, 0},
		{utf16Text(binary.LittleEndian, text), want, 0},
		{utf16Text(binary.BigEndian, text), want, 0},
		{utf16Text(binary.LittleEndian, text) + "x", "192.0.2.1/32", 1}, // half a unit spoils its line
		{utf16Text(binary.LittleEndian, "192.0.2.1\n") + "\x00\xd8\x31\x00", "192.0.2.1/32", 1},
		{string(gzipped(t, text)), want, 0},
		{string(gzipped(t, utf16Text(binary.BigEndian, text))), want, 0},
		{utf16Text(binary.BigEndian, `[{"ip":"192.0.2.1"},{"ip":"192.0.2.2"}]`), want, 0},
		{"\ufeff" + `[{"ip":"192.0.2.1"},{"ip":"192.0.2.2"}]`, want, 0},
		{"192.0.2.1\xff\n192.0.2.2", "192.0.2.2/32", 1},
	})
}

// TestOneByteReads checks that nothing depends on how the bytes arrive.
func TestOneByteReads(t *testing.T) {
	for _, text := range []string{"192.0.2.1\r\n192.0.2.2\r192.0.2.3\n", utf16Text(binary.LittleEndian, "192.0.2.1\r\n💀\n192.0.2.2\r192.0.2.3")} {
		var l Listing
		_, err := Parse(iotest.OneByteReader(strings.NewReader(text)), document.Options{}, l.Add)
		if v4, _, _ := l.Counts(); err != nil || v4 != 3 {
			t.Errorf("%q: %d prefixes, %v", text, v4, err)
		}
	}
}

func TestBrokenSources(t *testing.T) {
	broken := errors.New("connection reset")
	zipped := gzipped(t, strings.Repeat("192.0.2.1 # some words\n", 10000))
	cases := []struct {
		name    string
		r       io.Reader
		max     int64
		verdict document.Verdict
		err     error
	}{
		{"cut gzip", bytes.NewReader(zipped[:len(zipped)-20]), 0, document.Truncated, io.ErrUnexpectedEOF},
		{"no gzip", strings.NewReader("\x1f\x8b\x08 no"), 0, document.Truncated, io.ErrUnexpectedEOF},
		{"gzip bomb", bytes.NewReader(zipped), 1000, document.RejectDocument, document.ErrRejected},
		{"too long", strings.NewReader("192.0.2.1\n192.0.2.2"), 18, document.RejectDocument, document.ErrRejected},
		{"too long JSON", strings.NewReader(`[{"ip":"192.0.2.1"}]`), 19, document.RejectDocument, document.ErrRejected},
		{"reader", io.MultiReader(strings.NewReader("192.0.2.1\n"), iotest.ErrReader(broken)), 0, document.RejectDocument, broken},
		{"JSON reader", io.MultiReader(strings.NewReader(`[{"ip":"192.0.2.1"},`), iotest.ErrReader(broken)), 0, document.RejectDocument, broken},
	}
	for _, c := range cases {
		report, err := Parse(c.r, document.Options{MaxBytes: c.max}, func(document.Entry) error { return nil })
		if !errors.Is(err, c.err) || report.Verdict != c.verdict {
			t.Errorf("%s: %v, %+v", c.name, err, report)
		}
	}
	if _, err := Parse(strings.NewReader("192.0.2.1\n192.0.2.2"), document.Options{MaxBytes: 19}, func(document.Entry) error { return nil }); err != nil {
		t.Errorf("a document of just the allowed length: %v", err)
	}
}

func TestYieldError(t *testing.T) {
	stop := errors.New("stop")
	for _, text := range []string{"192.0.2.1", `[{"ip":"192.0.2.1"}]`, `{"objects":[` + stixText("i", "192.0.2.1", "") + `]}`} {
		_, err := Parse(strings.NewReader(text), document.Options{}, func(document.Entry) error { return stop })
		if err != stop { //nolint:errorlint // it must come back as it is
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", document.MaxLineChars)
	testRows(t, "plain", []rowCase{
		{"192.0.2.1 #" + long[11:] + "\n192.0.2.2", "192.0.2.1/32 192.0.2.2/32", 0},
		{"192.0.2.1 #" + long[10:] + "\n192.0.2.2", "192.0.2.2/32", 1},
		{"192.0.2.1 #" + strings.Repeat("💀", document.MaxLineChars-11) + "\n192.0.2.2", "192.0.2.1/32 192.0.2.2/32", 0},
		{strings.Repeat(long, 30) + "\r\n192.0.2.2\r" + strings.Repeat(long, 30), "192.0.2.2/32", 2},
		{"192.0.2.1\r\n" + long + "y\r192.0.2.2", "192.0.2.1/32 192.0.2.2/32", 1},
	})
	testRows(t, "csvcol:0", []rowCase{{long + "y\n192.0.2.2,x", "192.0.2.2/32", 1}})
}

func TestLineNumbers(t *testing.T) {
	_, report := parseEntries(t, document.Options{Format: "plain"}, "# a\r\n\rx\n\n192.0.2.1\ny\x1b[31m")
	want := []document.Reject{{Line: 3, Text: "x", Reason: prefix.ErrNotAddress.Error()}, {Line: 6, Text: `y\x1b[31m`, Reason: prefix.ErrNotAddress.Error()}}
	if !slices.Equal(report.Samples, want) {
		t.Errorf("got %+v", report.Samples)
	}
	_, report = parseEntries(t, document.Options{}, "[\n{\"ip\":\"192.0.2.1\"},\n\n{\"ip\":\n\"x\"}\n]")
	if want := []document.Reject{{Line: 5, Text: "x", Reason: prefix.ErrNotAddress.Error()}}; !slices.Equal(report.Samples, want) {
		t.Errorf("got %+v", report.Samples)
	}
	_, _, err := parseAll(t, "isc-json", "[\n{\"ip\":\"192.0.2.1\"},\n oops")
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

func TestJSONLimits(t *testing.T) {
	const n = 17 << 20 // a value may have 16 MiB
	long := strings.Repeat("x", n)
	for name, text := range map[string]string{
		"long string":  `[{"ip":"` + long + `"}]`,
		"long blanks":  `[` + strings.Repeat(" ", n) + `]`,
		"deep skipped": `{"results":[],"x":` + strings.Repeat("[", 5000),
		"deep row":     `[` + strings.Repeat("[", 20000),
	} {
		format := "isc-json"
		if strings.HasPrefix(text, "{") {
			format = "otx"
		}
		if _, report, err := parseAll(t, format, text); !errors.Is(err, document.ErrRejected) || report.Verdict != document.RejectDocument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// endless gives a start, then a row again and again, then an end.
func endless(start, row, end string, rows int) io.Reader {
	readers := []io.Reader{strings.NewReader(start)}
	block := strings.Repeat(row, 1000)
	for range rows / 1000 {
		readers = append(readers, strings.NewReader(block))
	}
	return io.MultiReader(append(readers, strings.NewReader(end))...)
}

// TestStreaming reads documents of more than 10 MB and looks at the heap now and
// then: it must not grow with the document.
func TestStreaming(t *testing.T) {
	padding := strings.Repeat("x", 900)
	cases := []struct{ format, start, row, end string }{
		{"plain", "", "192.0.2.1 # " + padding + "\n", ""},
		{"csvcol:0", "", "192.0.2.1,\"" + padding + "\n\"\n", ""},
		{"isc-json", "[", `{"ip":"192.0.2.1","description":"` + padding + `"},`, `{}]`},
		{"otx", `{"results":[{"id":"a","indicators":[`, `{"type":"IPv4","indicator":"192.0.2.1","x":"` + padding + `"},`, `{}]}]}`},
		{"misp", `{"Event":{"uuid":"a","x":[`, `{"y":"` + padding + `"},`, `{}],"Attribute":[]}}`},
		{"misp-warn", `{"list":[`, `"192.0.2.1","` + padding + `",`, `""]}`},
		{"stix", `{"objects":[`, `{"type":"x","y":"` + padding + `"},`, `{}]}`},
	}
	for _, c := range cases {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := 0
		check := func() {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Fatalf("%s: the heap has grown by %d bytes after %d rows", c.format, grown, n)
			}
		}
		_, err := Parse(endless(c.start, c.row, c.end, 12000), document.Options{Format: c.format}, func(document.Entry) error {
			if n++; n%4000 == 0 {
				check()
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
		}
		check()
	}
}
