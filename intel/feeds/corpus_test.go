package feeds

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// referenceTime is the time at which the references of the corpus were made.
var referenceTime = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// detectable are the formats that must be told by content.
var detectable = []string{
	"plain", "dshield", "drop-json", "otx", "otx-export", "otx-csv", "misp", "misp-warn", "stix", "feodo-json",
	"threatfox-json", "abuseipdb-json", "isc-json", "zeek", "ipset", "tor-exit", "pipe",
}

// corpusFile is a row of the corpus' INDEX.tsv.
type corpusFile struct {
	path, format, verdict                  string
	prefixes, v4, v6, exclusions, rejected int
}

func corpus(t *testing.T) []corpusFile {
	t.Helper()
	root := os.Getenv("FLOWSNITCH_CORPUS")
	if root == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the corpus folder to test against it")
	}
	index, err := os.ReadFile(filepath.Join(root, "feeds", "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var files []corpusFile
	for line := range strings.Lines(string(index)) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || c[1] == "aux" {
			continue
		}
		f := corpusFile{path: filepath.Join(root, "feeds", c[0]), format: c[1], verdict: c[2]}
		for i, n := range []*int{&f.prefixes, &f.v4, &f.v6, &f.exclusions, &f.rejected} {
			if *n, err = strconv.Atoi(c[3+i]); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		f.follow(t)
		files = append(files, f)
	}
	return files
}

// follow takes the number of prefixes from the reference list, where there is one: the
// index counts the patterns that name an address and more as rejected, as it was
// before they were read.
func (f *corpusFile) follow(t *testing.T) {
	t.Helper()
	body, err := os.ReadFile(f.path + ".expect.txt")
	if err != nil {
		return
	}
	v4, v6 := 0, 0
	for line := range strings.Lines(string(body)) {
		switch {
		case strings.HasPrefix(line, "!"):
		case strings.Contains(line, ":"):
			v6++
		default:
			v4++
		}
	}
	if f.format == "stix" {
		f.rejected -= v4 + v6 - f.prefixes
		f.v4, f.v6, f.prefixes = v4, v6, v4+v6
	}
}

func TestCorpus(t *testing.T) {
	for _, f := range corpus(t) {
		t.Run(filepath.Base(f.path), func(t *testing.T) {
			f.check(t, f.format)
			for _, name := range detectable {
				if name == f.format {
					f.check(t, "")
				}
			}
		})
	}
}

// check parses the file and compares everything that the corpus knows of it.
func (f corpusFile) check(t *testing.T, format string) {
	t.Helper()
	body, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	var l Listing
	report, err := Parse(bytes.NewReader(body), document.Options{Format: format, Now: referenceTime}, l.Add)
	if (err != nil) != (f.verdict == "reject-document") {
		t.Errorf("error %v", err)
	}
	if format == "" && f.verdict != "reject-document" && report.Format != f.format {
		t.Errorf("detected %q, want %q", report.Format, f.format)
	}
	if string(report.Verdict) != f.verdict {
		t.Errorf("verdict %q, want %q", report.Verdict, f.verdict)
	}
	v4, v6, excluded := l.Counts()
	if v4+v6 != f.prefixes || v4 != f.v4 || v6 != f.v6 || excluded != f.exclusions {
		t.Errorf("v4 %d, v6 %d, excluded %d; want %+v", v4, v6, excluded, f)
	}
	if report.Rejected != f.rejected {
		t.Errorf("rejected %d, want %d: %+v", report.Rejected, f.rejected, report.Samples)
	}
	var got, refs bytes.Buffer
	if err := l.WritePrefixes(&got); err != nil {
		t.Fatal(err)
	}
	compareFile(t, f.path+".expect.txt", got.String())
	if err := l.WriteRefs(&refs); err != nil {
		t.Fatal(err)
	}
	compareFile(t, f.path+".expect-refs.tsv", refs.String())
}

// compareFile compares with a reference, if there is one.
func compareFile(t *testing.T, path, got string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("%s line %d: got %q, want %q", filepath.Base(path), i+1, g[i], w[i])
			return
		}
	}
	if len(g) != len(w) {
		t.Errorf("%s: got %d lines, want %d", filepath.Base(path), len(g), len(w))
	}
}

// TestCases reads the small lists that were once read wrongly.
func TestCases(t *testing.T) {
	root := os.Getenv("FLOWSNITCH_CORPUS")
	if root == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the corpus folder to test against it")
	}
	lists, err := filepath.Glob(filepath.Join(root, "cases", "intel", "*.expect.txt"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	for _, expect := range lists {
		base := strings.TrimSuffix(expect, ".expect.txt")
		t.Run(filepath.Base(base), func(t *testing.T) {
			var body []byte
			for _, ext := range []string{".txt", ".json", ".netset"} {
				if b, err := os.ReadFile(base + ext); err == nil {
					body = b
				}
			}
			if body == nil {
				t.Fatal("there is no list")
			}
			var l Listing
			report, err := Parse(bytes.NewReader(body), document.Options{Now: referenceTime}, l.Add)
			if err != nil {
				t.Errorf("%v; %+v", err, report)
			}
			var got bytes.Buffer
			if err := l.WritePrefixes(&got); err != nil {
				t.Fatal(err)
			}
			compareFile(t, expect, got.String())
		})
	}
}
