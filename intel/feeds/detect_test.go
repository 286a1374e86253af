package feeds

import (
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestDetect(t *testing.T) {
	cases := []struct{ head, want string }{
		{"", "plain"},
		{"# words only\n", "plain"},
		{"192.0.2.1\n", "plain"},
		{"[2001:db8::1]:443\n", "plain"},
		{"[fe80::1]\n", "plain"},
		{"::1\n", "plain"},
		{"192.0.2.1|x|y\n", "plain"},
		{"192.0.2.1\t3\t5\n", "plain"},
		{"add some words\n", "plain"},
		{"# c\nStart\tEnd\tNetblock\n", "dshield"},
		{"043.229.053.000\t043.229.053.255\t24\t7\n", "dshield"},
		{"1 | n | 192.0.2.1 | 2026-01-01 00:00:00 | x\n", "pipe"},
		{"#separator \\x09\n#fields\tindicator\n", "zeek"},
		{"create a hash:ip family inet\n", "ipset"},
		{"add a 192.0.2.1\n", "ipset"},
		{"ExitNode AA\n", "tor-exit"},
		{"\ufeffIndicator type,Indicator,Description\r\n", "otx-csv"},
		{`{"cidr":"x"}`, "drop-json"},
		{`{"type":"metadata","records":0}`, "drop-json"},
		{`{"results":[{"id":"a","indicators":[{"indicator":"x","type":"IPv4"}]}]}`, "otx"},
		{`[{"description":"x","author_name":"y"`, "otx"},
		{`{"id":"a","indicators":[`, "otx"},
		{`{"results":[{"id":1,"indicator":"x","type":"IPv4"}]}`, "otx-export"},
		{`{"Event":{"objects":[]}}`, "misp"},
		{`{"response":[]}`, "misp"},
		{`{"info":"x","Attribute":[`, "misp"},
		{`{"description":"x","list":["192.0`, "misp-warn"},
		{`{"type":"bundle"`, "stix"},
		{`{"type":"bundle","id":"x"}`, "stix"},
		{`{"objects":[]}`, "stix"},
		{`{"more":false}`, "stix"},
		{`[{"type":"identity","id":"identity--1"}]`, "stix"},
		{`{}`, "stix"},
		{`[{"port":1},{"ip_address":"x"}]`, "feodo-json"},
		{`{"query_status":"ok","data":[]}`, "threatfox-json"},
		{`{"meta":{"generatedAt":"x"},"data":[]}`, "abuseipdb-json"},
		{`{"data":[{"ipAddress":"x"}]}`, "abuseipdb-json"},
		{` [ { "ip": "x" } ]`, "isc-json"},
		{`{"unknown":1}`, "json"},
		{`["192.0.2.1"]`, "json"},
		{`{"data":{"ip":["192.0.2.1"]}}`, "json"},
		{`{"data":["192.0.2.1"]}`, "json"},
		{`{"results":["192.0.2.1"]}`, "json"},
		{`{"indicators":["192.0.2.1"]}`, "json"},
		{`{"objects":["192.0.2.1"]}`, "json"},
		{`{"data":null}`, "json"},
		{`[]`, "stix"},
		{`<html>`, ""},
		{"\n <?xml", ""},
	}
	for _, c := range cases {
		got, ok := Detect([]byte(c.head))
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q: got %q, %v; want %q", c.head, got, ok, c.want)
		}
	}
	if got, _ := Detect(gzipped(t, `{"objects":[]}`)); got != "stix" {
		t.Errorf("gzip: got %q", got)
	}
}

func TestFormats(t *testing.T) {
	names := Formats()
	for _, want := range []string{"plain", "csv:NAME", "csvcol:N", "csvport:N", "silk-ranges", "isc-json"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is missing in %v", want, names)
		}
	}
	for _, name := range detectable {
		if err := CheckFormat(name); err != nil {
			t.Error(err)
		}
	}
	if _, report, err := parseAll(t, "", `{"unknown":1}`); err == nil || report.Verdict != document.RejectDocument {
		t.Errorf("%v, %+v", err, report)
	}
}
