package feeds

import (
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// parseEntries parses text and gives its entries.
func parseEntries(t *testing.T, opts document.Options, text string) ([]document.Entry, document.Report) {
	t.Helper()
	if opts.Now.IsZero() {
		opts.Now = referenceTime
	}
	var entries []document.Entry
	report, err := Parse(strings.NewReader(text), opts, func(e document.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", opts.Format, err)
	}
	return entries, report
}

func TestDShieldRows(t *testing.T) {
	testRows(t, "dshield", []rowCase{
		{"043.229.053.000\t043.229.053.255\t24\t1\t\t\t", "43.229.53.0/24", 0},
		{"43.229.53.77\t\t24", "43.229.53.0/24", 0},
		{" 43.229.53.0 \t43.229.53.255 \t 24 ", "43.229.53.0/24", 0},
		{"046.101.124.074", "46.101.124.74/32", 0},
		{"START\tEND\tNetblock", "", 0},
		{"43.229.53.0\t43.229.53.255", "", 1},
		{"43.229.53.0\t43.229.53.255\t0", "", 1},
		{"43.229.53.0\t43.229.53.255\t33", "", 1},
		{"43.229.53.0\t43.229.53.255\t\t1", "", 1},
		{"43.229.53.0000\t43.229.53.255\t24", "", 1},
		{"43.229.53.256\t43.229.53.255\t24", "", 1},
		{"43.229.53\t43.229.53.255\t24", "", 1},
		{"2001:db8::\t2001:db8::ffff\t32", "2001:db8::/32", 0},
		{"# x\n\n#\tupdated: y", "", 0},
	})
	testRows(t, "dshield-ips", []rowCase{
		{"011.063.089.001\t23\t6\t61", "11.63.89.1/32", 0},
		{"011.063.089.001", "11.63.89.1/32", 0},
		{"011.063.089.001 23", "", 1},
		{"11.63.89.1/24\t23", "", 1},
	})
}

func TestDShieldEvidence(t *testing.T) {
	entries, report := parseEntries(t, document.Options{Format: "dshield"},
		"# updated: Tue Dec 15 15:33:38 2015 UTC\n192.0.2.0\t192.0.2.255\t24\t788\tNet, of Name\tJP\ta@b.example\n")
	e := entries[0]
	if e.Description != "788 attacks, Net, of Name, JP" || e.Ref != "https://isc.sans.edu/ipinfo/192.0.2.0" ||
		e.Category != "scan" || e.LastSeen != report.Updated || report.Updated.Year() != 2015 {
		t.Errorf("got %+v", e)
	}
}

func TestDropVerdicts(t *testing.T) {
	const row, row6 = `{"cidr":"192.0.2.0/24","sblid":"SBL1","rir":null}`, `{"cidr":"2001:db8::1/32","sblid":"SBL2"}`
	cases := []struct {
		name, text string
		verdict    document.Verdict
		accepted   int
		rejected   int
	}{
		{"complete", row + "\n" + row6 + "\r\n" + `{"type":"metadata","records":2}`, document.OK, 2, 0},
		{"no count", row + "\n" + `{"type":"metadata"}`, document.OK, 1, 0},
		{"cut between rows", row + "\n", document.Truncated, 1, 0},
		{"cut in a row", row + "\n" + row6[:20], document.Truncated, 1, 1},
		{"empty", "", document.Truncated, 0, 0},
		{"declared empty", `{"type":"metadata","records":0}`, document.Empty, 0, 0},
		{"fewer", row + "\n" + `{"type":"metadata","records":2}`, document.Mismatch, 1, 0},
		{"count of bad rows", row + "\n" + `{"cidr":"x"}` + "\n" + `{"type":"metadata","records":2}`, document.OK, 1, 1},
		{"after the end", row + "\n" + `{"type":"metadata","records":1}` + "\n" + row6, document.OK, 1, 0},
		{"other rows", `{"asn":1}` + "\n" + `{"type":"metadata","records":0}`, document.NoPrefix, 0, 1},
		{"whole space", `{"cidr":"0.0.0.0/0"}` + "\n" + `{"type":"metadata","records":1}`, document.NoPrefix, 0, 1},
		{"null", `{"cidr":null}` + "\n" + `{"type":"metadata","records":0}`, document.NoPrefix, 0, 1},
	}
	for _, c := range cases {
		_, report, err := parseAll(t, "drop-json", c.text)
		if err != nil || report.Verdict != c.verdict || report.Accepted != c.accepted || report.Rejected != c.rejected {
			t.Errorf("%s: %v, %+v", c.name, err, report)
		}
	}
	for _, text := range []string{"Too many requests", "[1]", "<html>"} {
		if _, report, err := parseAll(t, "drop-json", text); err == nil || report.Verdict != document.RejectDocument {
			t.Errorf("%q: %v, %+v", text, err, report)
		}
	}
}

func TestDropEvidence(t *testing.T) {
	entries, report := parseEntries(t, document.Options{},
		`{"cidr":"1.10.16.0/20","sblid":"SBL256894","rir":"apnic"}`+"\n"+`{"type":"metadata","timestamp":1744682874,"records":1}`)
	e := entries[0]
	if report.Format != "drop-json" || e.NativeID != "SBL256894" || report.Declared != 1 || report.Updated.Unix() != 1744682874 ||
		e.Ref != "https://check.spamhaus.org/listed/?searchterm=SBL256894" {
		t.Errorf("got %+v, %+v", e, report)
	}
}

func TestPipeAndTor(t *testing.T) {
	testRows(t, "pipe", []rowCase{
		{"NA | NA | 192.0.2.1 | 2026-11-01 00:00:00 | sshclient", "192.0.2.1/32", 0},
		{"1 | A | B|C | 2001:db8::1 | 2026-11-01 00:00:00 | x", "2001:db8::1/128", 0},
		{"192.0.2.1 | b | c", "192.0.2.1/32", 0},
		{"192.0.2.1 | b", "", 1},
		{"1 | A | host.example | 2026 | x", "", 1},
	})
	testRows(t, "tor-exit", []rowCase{
		{"ExitNode A\nPublished x\nExitAddress 192.0.2.1 2026-11-01 00:00:00\nExitAddress 2001:db8::1", "192.0.2.1/32 2001:db8::1/128", 0},
		{"ExitAddress x 2026-11-01 00:00:00", "", 1},
		{"ExitAddress", "", 1},
	})
	entries, _ := parseEntries(t, document.Options{}, "64500 | N | 192.0.2.1 | 2026-11-01 10:20:30 | sshpwauth")
	if e := entries[0]; e.Category != "bruteforce" || e.LastSeen.Format("15:04:05") != "10:20:30" {
		t.Errorf("got %+v", e)
	}
	entries, _ = parseEntries(t, document.Options{}, "ExitNode AB12\nExitAddress 192.0.2.1 2026-11-01 10:20:30")
	if e := entries[0]; e.NativeID != "AB12" || e.LastSeen.IsZero() || e.Category != "anonymizer" {
		t.Errorf("got %+v", e)
	}
}

func TestZeekRows(t *testing.T) {
	const head = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.url\n"
	testRows(t, "zeek", []rowCase{
		{head + "192.0.2.1\tIntel::ADDR\ts\t-", "192.0.2.1/32", 0},
		{head + "192.0.2.0/24\tIntel::SUBNET\ts\t-", "192.0.2.0/24", 0},
		{head + "192.0.2.1\tIntel::ADDR\ts\t-\tmore", "192.0.2.1/32", 0},
		{head + "192.0.2.1\tIntel::ADDR\ts", "", 1},
		{head + "192.0.2.1 \tIntel::ADDR\ts\t-", "", 1},
		{head + "192.0.2.1    Intel::ADDR s -", "", 1},
		{head + "x.example\tIntel::DOMAIN\ts\t-", "", 1},
		{"192.0.2.1\tIntel::ADDR\ts\t-", "", 1},
		{"#fields\tindicator\tx\n192.0.2.1\tIntel::ADDR", "", 1},
		{head, "", 0},
	})
	entries, _ := parseEntries(t, document.Options{}, head+"192.0.2.1\tIntel::ADDR\tsrc\thttps://x.example/")
	if e := entries[0]; e.Ref != "https://x.example/" || e.Description != "src" {
		t.Errorf("got %+v", e)
	}
}

func TestIPRepRows(t *testing.T) {
	testRows(t, "iprep", []rowCase{
		{"192.0.2.1,1,127", "192.0.2.1/32", 0},
		{" 192.0.2.0/24 , 60 , 1 ", "192.0.2.0/24", 0},
		{"2001:db8::1,1,10", "2001:db8::1/128", 0},
		{"192.0.2.1,1,0", "", 1},
		{"192.0.2.1,1,128", "", 1},
		{"192.0.2.1,0,1", "", 1},
		{"192.0.2.1,61,1", "", 1},
		{"192.0.2.1,1", "", 1},
		{"192.0.2.1,1,1,1", "", 1},
		{"192.0.2.1,-1,1", "", 1},
	})
	entries, _ := parseEntries(t, document.Options{Format: "iprep"}, "192.0.2.1,1,127\n192.0.2.2,1,1")
	if entries[0].Score != 100 || entries[1].Score != 1 {
		t.Errorf("got %+v", entries)
	}
}

func TestCDBRows(t *testing.T) {
	testRows(t, "cdb", []rowCase{
		{"192.0.2.1:x", "192.0.2.1/32", 0},
		{"192.0.2.1:", "192.0.2.1/32", 0},
		{"10.:x", "10.0.0.0/8", 0},
		{"10.1.:x", "10.1.0.0/16", 0},
		{"10.1.2.:x", "10.1.2.0/24", 0},
		{"10.1.2.3.:x", "", 1},
		{".:x", "", 1},
		{"010.:x", "", 1},
		{"0.:x", "0.0.0.0/8", 0},
		{`"2001:db8::1":"x"`, "2001:db8::1/128", 0},
		{`"2001:db8::/32":`, "2001:db8::/32", 0},
		{"2001:db8::1:x", "", 1},
		{`"192.0.2.1`, "", 1},
		{`"192.0.2.1"`, "", 1},
		{"192.0.2.1", "", 1},
	})
}

func TestIPSetRows(t *testing.T) {
	testRows(t, "ipset", []rowCase{
		{"create bl hash:net family inet\nadd bl 192.0.2.0/24", "192.0.2.0/24", 0},
		{"add bl 192.0.2.0/24 nomatch", "!192.0.2.0/24", 0},
		{`add bl 192.0.2.0/24 comment "a nomatch b"`, "192.0.2.0/24", 0},
		{`add bl 192.0.2.0/24 comment "a b" nomatch`, "!192.0.2.0/24", 0},
		{"add bl 192.0.2.1,tcp:443", "192.0.2.1/32", 0},
		{"add bl 2001:db8::1,udp:53", "2001:db8::1/128", 0},
		{"add bl 192.0.2.0/24,eth0", "192.0.2.0/24", 0},
		{"add bl 192.0.2.0-192.0.2.3", "192.0.2.0/30", 0},
		{"add ports 80", "", 1},
		{"add macs 00:11:22:33:44:55", "", 1},
		{"add bl", "", 1},
		{"del bl 192.0.2.1", "", 1},
	})
	entries, _ := parseEntries(t, document.Options{}, `add bl 192.0.2.1,tcp:443 timeout 9 comment "why so"`)
	if e := entries[0]; e.Port != 443 || e.Description != "why so" {
		t.Errorf("got %+v", e)
	}
}

func TestP2PAndDatRows(t *testing.T) {
	testRows(t, "p2p", []rowCase{
		{"a:b:192.0.2.0-192.0.2.255", "192.0.2.0/24", 0},
		{"\xe9:192.0.2.0 - 192.0.2.1", "192.0.2.0/31", 0},
		{":192.0.2.0-192.0.2.1", "192.0.2.0/31", 0},
		{"a:192.0.2.0", "", 1},
		{"a:192.000.002.000-192.0.2.1", "", 1},
		{"a:0.0.0.0-255.255.255.255", "", 1},
	})
	testRows(t, "dat", []rowCase{
		{"192.000.002.000 - 192.000.002.255 , 000 , l, m", "192.0.2.0/24", 0},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", 0},
		{"192.0.2.0 - 192.0.2.255 , 127 , l", "192.0.2.0/24", 0},
		{"192.0.2.0 - 192.0.2.255 , 128 , l", "", 0},
		{"192.0.2.0 - 192.0.2.255 , , l", "192.0.2.0/24", 0},
		{"192.0.2.0 , 0 , l", "", 1},
		{"192.0.2.9 - 192.0.2.0 , 0 , l", "", 1},
	})
}
