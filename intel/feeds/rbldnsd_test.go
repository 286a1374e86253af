package feeds

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestIP4Set(t *testing.T) {
	testRows(t, "ip4set", []rowCase{
		{"127/8", "127.0.0.0/8", 0},
		{"127", "127.0.0.0/8", 0},
		{"127.0.0", "127.0.0.0/24", 0},
		{"127.0.0.1", "127.0.0.1/32", 0},
		{"10-12", "10.0.0.0/7 12.0.0.0/8", 0},
		{"127.16.0-31", "127.16.0.0/19", 0},
		{"127.16-31", "127.16.0.0/12", 0},
		{"1.2.3.4-9", "1.2.3.4/30 1.2.3.8/31", 0},
		{"1.2.3.4-1.2.3.9", "1.2.3.4/30 1.2.3.8/31", 0},
		{"1.2.3-1.2.4", "1.2.3.0/24 1.2.4.0/24", 0},
		{"1.2.3.9-4", "", 1},
		{"1.2.3.4-1.2.4", "", 1},
		{"0-255", "", 1},
		{"0/0", "", 1},
		{"10.1.2.3/8", "10.0.0.0/8", 0},
		{"10/33", "", 1},
		{"!10.1", "!10.1.0.0/16", 0},
		{"! 10.1", "!10.1.0.0/16", 0},
		{"10.1.2.3:2:text", "10.1.2.3/32", 0},
		{"10.1.2.3 text", "10.1.2.3/32", 0},
		{"10.1.2.3;x\n10.1.2.4#y", "10.1.2.3/32 10.1.2.4/32", 0},
		{"$SOA 1\n#$NS x\n:$TTL 5\n:2:text\n; c\n\n", "", 0},
		{"010.1.2.3", "", 1},
		{"1.2.3.4.5", "", 1},
		{"1..2", "", 1},
		{"2001:db8::1", "", 1}, // the colon ends the entry 2001
	})
}

func TestRBLTries(t *testing.T) {
	testRows(t, "ip4trie", []rowCase{
		{"10.0.0.0/8\n10.1\n!10.2/16 :1:x", "10.0.0.0/8 10.1.0.0/16 !10.2.0.0/16", 0},
		{"10.1.2.3-9", "", 1},
	})
	testRows(t, "ip6trie", []rowCase{
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"2001:db8::1", "2001:db8::1/128", 0},
		{"2001:db8:1", "2001:db8:1::/48", 0},
		{"2001:db8:1/40", "2001:db8::/40", 0},
		{"1:2:3:4:5:6:7:8 :2:text", "1:2:3:4:5:6:7:8/128", 0},
		{"!2001:db8::/64", "!2001:db8::/64", 0},
		{"0::/0", "", 1},
		{"::1", "", 0}, // a leading colon sets the default value
		{"2001:db8::/129", "", 1},
		{"192.0.2.1", "", 1},
		{"2001:db8:", "", 1},
		{"2001", "", 1},
	})
}

func TestCombined(t *testing.T) {
	testRows(t, "combined", []rowCase{
		{"$DATASET ip4set:a @\n10/8\n$DATASET dnset @\nx.example\n192.0.2.1\n$DATASET ip6trie b c\n2001:db8:1\n", "10.0.0.0/8 2001:db8:1::/48", 0},
		{"10/8", "", 0},
		{"$DATASET ip4trie @\n10.1-2\n", "", 1},
	})
	entries, report := parseEntries(t, document.Options{Format: "combined"},
		"$DATASET ip4set @\n:127.0.0.2:default $\n10/8\n11/8 :3:own\n12/8 words\n$DATASET generic @\nx A 1\n$DATASET ip4trie @\n13/8\n")
	for i, want := range []string{"default $", "own", "words", ""} {
		if entries[i].Description != want {
			t.Errorf("%v: %q, want %q", entries[i].Prefix, entries[i].Description, want)
		}
	}
	if report.Skipped != 1 {
		t.Errorf("skipped %d", report.Skipped)
	}
}
