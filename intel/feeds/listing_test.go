package feeds

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
)

func TestListing(t *testing.T) {
	var l Listing
	add := func(prefix, id string, exclude bool) {
		_ = l.Add(Entry{Indicator: intel.Indicator{Prefix: netip.MustParsePrefix(prefix), NativeID: id}, Exclude: exclude})
	}
	add("2001:db8::/32", "b", false)
	add("100.0.0.0/8", "", false)
	add("9.0.0.0/24", "z", false)
	add("9.0.0.0/8", "a\tb\n", false)
	add("9.0.0.0/8", "a", false)
	add("9.0.0.0/8", "a", false)
	add("9.1.0.0/16", "x", true)
	var prefixes, refs strings.Builder
	if err := l.WritePrefixes(&prefixes); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteRefs(&refs); err != nil {
		t.Fatal(err)
	}
	if got, want := prefixes.String(), "9.0.0.0/8\n9.0.0.0/24\n!9.1.0.0/16\n100.0.0.0/8\n2001:db8::/32\n"; got != want {
		t.Errorf("got %q", got)
	}
	if got, want := refs.String(), "9.0.0.0/8\ta\n9.0.0.0/8\ta\uFFFDb\uFFFD\n9.0.0.0/24\tz\n2001:db8::/32\tb\n"; got != want {
		t.Errorf("got %q", got)
	}
	if v4, v6, excluded := l.Counts(); v4 != 3 || v6 != 1 || excluded != 1 || l.Duplicates() != 2 {
		t.Errorf("got %d, %d, %d, %d", v4, v6, excluded, l.Duplicates())
	}
}

func TestParseTime(t *testing.T) {
	cases := map[string]string{
		"2026-11-20T01:02:03Z":            "2026-11-20T01:02:03Z",
		"2026-11-20T01:02:03.123456":      "2026-11-20T01:02:03.123456Z",
		"2026-11-20T01:02:03+02:00":       "2026-11-19T23:02:03Z",
		"2026-11-20 01:02:03 UTC":         "2026-11-20T01:02:03Z",
		"2026-11-20 01:02:03":             "2026-11-20T01:02:03Z",
		"2026-11-20":                      "2026-11-20T00:00:00Z",
		"1795000000":                      "2026-11-18T11:06:40Z",
		"Fri, 20 Nov 2026 04:11:02 GMT":   "2026-11-20T04:11:02Z",
		"Sat, 22 Aug 2026 03:00:29 +0200": "2026-08-22T01:00:29Z",
		"Tue Dec 15 15:33:38 2015 UTC":    "2015-12-15T15:33:38Z",
		"Wed Jan 24 10:38:10 UTC 2024":    "2024-01-24T10:38:10Z",
		"":                                "",
		"never":                           "",
		"-5":                              "",
		"99999999999999999":               "",
		"Mon, 20Mar 2025 16:37:54 UTC":    "",
		"0001-01-01T00:00:00Z":            "",
	}
	for text, want := range cases {
		got := ""
		if at := parseTime(text); !at.IsZero() {
			got = at.Format("2006-01-02T15:04:05.999999Z07:00")
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestLabels(t *testing.T) {
	for label, want := range map[string]string{
		"white": "white", "TLP:CLEAR": "white", "tlp:amber+strict": "amber", "Red": "red", "green ": "green", "tlp:x": "", "": "",
	} {
		if got := tlpOf(label); got != want {
			t.Errorf("%q: got %q", label, got)
		}
	}
	if stricter("green", "amber") != "amber" || stricter("red", "white") != "red" || stricter("", "white") != "white" || stricter("red", "") != "red" {
		t.Error("stricter")
	}
	for word, want := range map[string]string{"command_and_control": "c2", "Brute-Force": "bruteforce", "x": "", "": ""} {
		if got := categoryOf(word); got != want {
			t.Errorf("%q: got %q", word, got)
		}
	}
}
