package feeds

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/rows"
)

func TestSplitCSV(t *testing.T) {
	cases := []struct {
		record string
		want   []string
		open   bool
	}{
		{"", []string{""}, false},
		{"a,b ,  c", []string{"a", "b", "c"}, false},
		{`"a","b,c",""`, []string{"a", "b,c", ""}, false},
		{`"a" , "b"`, []string{"a", "b"}, false},
		{`"a ""q"" b",c`, []string{`a "q" b`, "c"}, false},
		{`""""`, []string{`"`}, false},
		{`"a \"q\" b",c`, []string{`a "q" b`, "c"}, false},
		{`"a \"q\"",c`, []string{`a "q"`, "c"}, false},
		{`"C:\",c`, []string{`C:\`, "c"}, false},
		{`"a" b,c`, []string{"a b", "c"}, false},
		{`a "b",c`, []string{`a "b"`, "c"}, false},
		{"\"a\nb\",c", []string{"a\nb", "c"}, false},
		{`a,"b`, []string{"a", "b"}, true},
		{`a,`, []string{"a", ""}, false},
	}
	for _, c := range cases {
		got, open := rows.SplitCSV(c.record)
		if !slices.Equal(got, c.want) || open != c.open {
			t.Errorf("%q: got %q, %v", c.record, got, open)
		}
	}
}

func TestCSVRows(t *testing.T) {
	testRows(t, "csv:ip", []rowCase{
		{"id,ip\n1,192.0.2.1\n", "192.0.2.1/32", 0},
		{"id, \"IP\" \n1, \"192.0.2.1\"\n", "192.0.2.1/32", 0},
		{"# banner\n# id,ip\n1,192.0.2.1\n# END\n", "192.0.2.1/32", 0},
		{"#\"id\",\"ip\"\r\n\"1\",\"192.0.2.1\"\r\n", "192.0.2.1/32", 0},
		{"id,ip\n\n1\n2,192.0.2.0/24,x\n3,x.example\n", "192.0.2.0/24", 2},
		{"id,ip\n\"a\nb\",192.0.2.1\n", "192.0.2.1/32", 0},
		{"id,ip\n\"open,192.0.2.1\n2,192.0.2.2\n", "192.0.2.2/32", 1},
		{"id,ip\n2,192.0.2.2\n\"open", "192.0.2.2/32", 1},
		{"id,ip\n", "", 0},
		{"# only\n", "", 0},
	})
	testRows(t, "csvcol:0", []rowCase{
		{"192.0.2.1,x\n\"192.0.2.2\"\nip,y\n", "192.0.2.1/32 192.0.2.2/32", 1},
	})
	testRows(t, "csvport:1", []rowCase{
		{"x,192.0.2.1:80\n", "192.0.2.1/32", 0},
		{"x,2001:db8::1:80\n", "2001:db8::1/128", 0},
		{"x,[2001:db8::1]:80\n", "2001:db8::1/128", 0},
		{"x,[2001:db8::1]\n", "", 1},
		{"x,192.0.2.1\n", "", 1},
		{"x,192.0.2.1:0\n", "", 1},
		{"x,192.0.2.0/24:80\n", "", 1},
	})
}

func TestCSVWithoutColumn(t *testing.T) {
	_, report, err := parseAll(t, "csv:ip", "id,address\n1,192.0.2.1\n")
	if err == nil || report.Verdict != document.RejectDocument || !strings.Contains(err.Error(), "id, address") {
		t.Errorf("%v, %+v", err, report)
	}
	for _, format := range []string{"csv", "csv:", "csvcol", "csvcol:x", "csvcol:-1", "csvport:256", "plain:x", "nothing"} {
		if err := CheckFormat(format); err == nil {
			t.Errorf("%q is no format", format)
		}
	}
	for _, format := range []string{"csv:ip address", "csvcol:0", "csvport:255", "plain"} {
		if err := CheckFormat(format); err != nil {
			t.Error(err)
		}
	}
}

func TestCSVEvidence(t *testing.T) {
	entries, _ := parseEntries(t, document.Options{Format: "csv:dst_ip"},
		"\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\r\n"+
			"\"2026-01-17 07:30:05\",\"192.0.2.1\",\"443\",\"offline\",\"2026-11-10\",\"Dridex\"\r\n")
	e := entries[0]
	if e.Port != 443 || !e.Offline || e.Description != "Dridex" || e.FirstSeen.Month() != 1 || e.LastSeen.Day() != 10 {
		t.Errorf("got %+v", e)
	}
	entries, _ = parseEntries(t, document.Options{Format: "csvport:2"},
		`# "first_seen_utc","ioc_id","ioc_value","ioc_type","threat_type","malware_printable","confidence_level"`+"\n"+
			`"2026-11-19 00:00:00", "900000", "192.0.2.1:8080", "ip:port", "botnet_cc", "X", "75"`+"\n")
	e = entries[0]
	if e.Port != 8080 || e.Score != 75 || e.Category != "c2" || e.Ref != "https://threatfox.abuse.ch/ioc/900000/" || e.NativeID != "900000" {
		t.Errorf("got %+v", e)
	}
}

func TestOTXCSV(t *testing.T) {
	testRows(t, "otx-csv", []rowCase{
		{"Indicator type,Indicator,Description\r\nIPv4,192.0.2.1,\r\nCIDR,192.0.2.0/24,\"a, b\"\r\nhostname,192.0.2.3,\r\n", "192.0.2.0/24 192.0.2.1/32", 1},
	})
}
