package feeds

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// parseAll parses text and gives its listing, one prefix a string.
func parseAll(t *testing.T, format, text string) ([]string, document.Report, error) {
	t.Helper()
	var l Listing
	report, err := Parse(strings.NewReader(text), document.Options{Format: format, Now: referenceTime}, l.Add)
	var b strings.Builder
	if err := l.WritePrefixes(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(b.String()), report, err
}

// rowCase is one document, most often of one row, and what comes of it.
type rowCase struct {
	text     string
	want     string // prefixes, separated by blanks
	rejected int
}

func testRows(t *testing.T, format string, cases []rowCase) {
	t.Helper()
	for _, c := range cases {
		got, report, err := parseAll(t, format, c.text)
		if err != nil {
			t.Errorf("%s %q: %v", format, c.text, err)
			continue
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s %q: got %v, want %v", format, c.text, got, c.want)
		}
		if report.Rejected != c.rejected {
			t.Errorf("%s %q: rejected %d, want %d (%v)", format, c.text, report.Rejected, c.rejected, report.Samples)
		}
	}
}

func TestPlainRows(t *testing.T) {
	testRows(t, "plain", []rowCase{
		{"192.0.2.1", "192.0.2.1/32", 0},
		{" \t192.0.2.1 \v\f", "192.0.2.1/32", 0},
		{"192.0.2.1 # words", "192.0.2.1/32", 0},
		{"192.0.2.1#words", "192.0.2.1/32", 0},
		{"192.0.2.1;words", "192.0.2.1/32", 0},
		{"192.0.2.1 // words", "192.0.2.1/32", 0},
		{"192.0.2.1//words", "", 1},
		{"192.0.2.1\t3", "192.0.2.1/32", 0},
		{"192.0.2.1,a,b", "192.0.2.1/32", 0},
		{"192.0.2.1|a", "192.0.2.1/32", 0},
		{`"192.0.2.1"`, "192.0.2.1/32", 0},
		{`'192.0.2.1'`, "192.0.2.1/32", 0},
		{`""192.0.2.1""`, "", 1},
		{`"192.0.2.1'`, "", 1},
		{`"`, "", 1},
		{"192.0.2.1:80", "192.0.2.1/32", 0},
		{"192.0.2.1:0", "", 1},
		{"192.0.2.1:", "", 1},
		{"192.0.2.1:080808", "", 1},
		{"192.0.2.0/24:80", "", 1},
		{"[2001:db8::1]", "2001:db8::1/128", 0},
		{"[2001:db8::1]:443", "2001:db8::1/128", 0},
		{"[2001:db8::1]443", "", 1},
		{"[2001:db8::]/32", "", 1},
		{"[192.0.2.1]:80", "", 1},
		{"[]", "", 1},
		{"2001:db8::1:443", "2001:db8::1:443/128", 0},
		{"fe80::1%eth0/64", "", 1},
		{"192.0.2.77/24", "192.0.2.0/24", 0},
		{"192.0.2.77/255.255.255.0", "192.0.2.0/24", 0},
		{"192.0.2.77/255.255.255.255", "192.0.2.77/32", 0},
		{"192.0.2.77/255.0.255.0", "", 1},
		{"192.0.2.77/0.0.0.255", "", 1},
		{"192.0.2.77/0.0.0.0", "", 1},
		{"2001:db8::/255.0.0.0", "", 1},
		{"192.0.2.77/024", "192.0.2.0/24", 0},
		{"192.0.2.77/0024", "", 1},
		{"192.0.2.77/33", "", 1},
		{"192.0.2.77/", "", 1},
		{"192.0.2.77/2 4", "192.0.0.0/2", 0},
		{"0.0.0.0/0", "", 1},
		{"0.0.0.0/000", "", 1},
		{"::/0", "", 1},
		{"::ffff:0:0/96", "", 1},
		{"::ffff:0:0/95", "", 1},
		{"::ffff:0:0/0", "", 1},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24", 0},
		{"::fffe:0:0/95", "::fffe:0:0/95", 0},
		{"2001:DB8:0::1/128", "2001:db8::1/128", 0},
		{"2001:db8::/129", "", 1},
		{"010.0.0.1", "", 1},
		{"192.0.2.1\x00", "", 1},
		{"192.0.2\x01.1", "", 1},
		{"192.0.2.1 \xff\xfe", "192.0.2.1/32", 0},
		{"192.0.2.1\xff", "", 1},
		{"\u00a0192.0.2.1", "", 1},
		{"3221225985", "", 1},
		{"192.0.2", "", 1},
		{"host.example 192.0.2.1", "", 1},
		{"# a\n; b\n// c\n\n", "", 0},
		{"192.0.2.1\r\n192.0.2.2\r192.0.2.3\n192.0.2.4", "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.4/32", 0},
		{"192.0.2.1\u2028192.0.2.2", "", 1},
	})
}

func TestPlainRanges(t *testing.T) {
	testRows(t, "plain", []rowCase{
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", 0},
		{"192.0.2.0 - 192.0.2.255", "192.0.2.0/24", 0},
		{"192.0.2.0\t-\t192.0.2.1\twords", "192.0.2.0/31", 0},
		{"192.0.2.0- 192.0.2.1", "192.0.2.0/31", 0},
		{"192.0.2.0 -192.0.2.1", "192.0.2.0/31", 0},
		{"192.0.2.1-192.0.2.1", "192.0.2.1/32", 0},
		{"192.0.2.1-192.0.2.0", "", 1},
		{"192.0.2.1 - 192.0.2.0", "", 1},
		{"192.0.2.1-2001:db8::1", "", 1},
		{"192.0.2.1-192.0.2.2-192.0.2.3", "", 1},
		{"192.0.2.1 - 192.0.2", "", 1},
		{"192.0.2.1-9", "", 1},
		{"192.0.2.1 - scanner", "192.0.2.1/32", 0},
		{"192.0.2.1 - 2026-11-01 seen", "192.0.2.1/32", 0},
		{"192.0.2.0/25-192.0.2.128/25", "", 1},
		{"0.0.0.0-255.255.255.255", "", 1},
		{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 1},
		{"0.0.0.0-127.255.255.255", "0.0.0.0/1", 0},
		{"::ffff:192.0.2.0-::ffff:192.0.2.3", "192.0.2.0/30", 0},
		{"::fffe:ffff:ffff-::1:0:0:0", "", 1},
		{"2001:db8::1-2001:db8::2", "2001:db8::1/128 2001:db8::2/128", 0},
	})
}

func TestPlainEvidence(t *testing.T) {
	cases := []struct {
		row, description, ref, id string
		port                      uint16
	}{
		{"192.0.2.0/24 ; SBL256894", "SBL256894", "https://check.spamhaus.org/listed/?searchterm=SBL256894", "SBL256894", 0},
		{"192.0.2.1:4433 # c2 of x", "c2 of x", "", "", 4433},
		{"192.0.2.1\t5", "5", "", "", 0},
		{"192.0.2.1 - 192.0.2.1 , 100 , note", "100 , note", "", "", 0},
		{"192.0.2.1 # \xff", "\uFFFD", "", "", 0},
	}
	for _, c := range cases {
		_, err := Parse(strings.NewReader(c.row), document.Options{Format: "plain"}, func(e document.Entry) error {
			if e.Description != c.description || e.Ref != c.ref || e.NativeID != c.id || e.Port != c.port || e.Line != 1 {
				t.Errorf("%q: got %+v", c.row, e)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
