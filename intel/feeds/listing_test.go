package feeds

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestListing(t *testing.T) {
	var l Listing
	add := func(prefix, id string, exclude bool) {
		_ = l.Add(document.Entry{Indicator: intel.Indicator{Prefix: netip.MustParsePrefix(prefix), NativeID: id}, Exclude: exclude})
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

func TestLabels(t *testing.T) {
	for label, want := range map[string]string{
		"white": "white", "TLP:CLEAR": "white", "tlp:amber+strict": "amber", "Red": "red", "green ": "green", "tlp:x": "", "": "",
	} {
		if got := document.TLPOf(label); got != want {
			t.Errorf("%q: got %q", label, got)
		}
	}
	if document.Stricter("green", "amber") != "amber" || document.Stricter("red", "white") != "red" || document.Stricter("", "white") != "white" || document.Stricter("red", "") != "red" {
		t.Error("stricter")
	}
	for word, want := range map[string]string{"command_and_control": "c2", "Brute-Force": "bruteforce", "x": "", "": ""} {
		if got := document.CategoryOf(word); got != want {
			t.Errorf("%q: got %q", word, got)
		}
	}
}
