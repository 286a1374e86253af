package feeds

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// parsePath is parseAll with a path.
func parsePath(t *testing.T, path, text string) ([]string, document.Report, error) {
	t.Helper()
	var l Listing
	report, err := Parse(strings.NewReader(text), document.Options{Path: path, Now: referenceTime}, l.Add)
	var b strings.Builder
	if err := l.WritePrefixes(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(b.String()), report, err
}

func TestJSONPaths(t *testing.T) {
	for _, c := range []struct {
		path, text, want string
		rejected         int
	}{
		{"data.ip", `{"data":{"ip":["192.0.2.1","192.0.2.2"]}}`, "192.0.2.1/32 192.0.2.2/32", 0},
		{"$.data.ip[*]", `{"data":{"ip":["192.0.2.1","192.0.2.2"]}}`, "192.0.2.1/32 192.0.2.2/32", 0},
		{".data[].ip", `{"data":[{"ip":"192.0.2.1"},{"ip":"192.0.2.2"}]}`, "192.0.2.1/32 192.0.2.2/32", 0},
		{"a.4, a.6", `{"a":[{"4":"192.0.2.0/24"},{"6":"2001:db8::/32"}]}`, "192.0.2.0/24 2001:db8::/32", 0},
		{"a.4", `{"a":[{"4":"192.0.2.0/24"},{"6":"2001:db8::/32"}]}`, "192.0.2.0/24", 1},
		{"*.ip", `{"x":{"ip":"192.0.2.1"},"y":{"ip":"192.0.2.2"}}`, "192.0.2.1/32 192.0.2.2/32", 0},
		{`["a.b"].c`, `{"a.b":{"c":"192.0.2.1"}}`, "192.0.2.1/32", 0},
		{"ips", `{"ips":{"192.0.2.1":{"n":1},"x":2}}`, "192.0.2.1/32", 1},
		{"ips", `{"ips":"192.0.2.1, 192.0.2.2;192.0.2.5"}`, "192.0.2.1/32 192.0.2.2/32 192.0.2.5/32", 0},
		{"ips", `{"ips":["192.0.2.1",1,null,true,["192.0.2.2"],"x"]}`, "192.0.2.1/32 192.0.2.2/32", 4},
		{"ips", `{"ips":[]}`, "", 0},
		{"ip", `{"ip":"192.0.2.1"}` + "\n\n" + `{"ip":"192.0.2.2"}` + "\n" + `{"x":1}` + "\n" + `{"ip":`, "192.0.2.1/32 192.0.2.2/32", 2},
		{"ip", `{"ip":"192.0.2.1"} {"ip":"192.0.2.2"}`, "192.0.2.1/32 192.0.2.2/32", 0},
		{"ip", `["192.0.2.1",{"ip":"192.0.2.2"}]`, "192.0.2.2/32", 1},
		{"", `["192.0.2.1","192.0.2.2",["192.0.2.3"]]`, "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32", 0},
		{"", `["192.0.2.1"]` + "\n" + `["192.0.2.2"]`, "192.0.2.1/32 192.0.2.2/32", 0},
		{"", `{"192.0.2.1":{"x":1},"192.0.2.2":null}`, "192.0.2.1/32 192.0.2.2/32", 0},
	} {
		got, report, err := parsePath(t, c.path, c.text)
		if err != nil || !slices.Equal(got, strings.Fields(c.want)) || report.Rejected != c.rejected {
			t.Errorf("%s of %s: got %v, %v, %+v", c.path, c.text, got, err, report)
		}
		if len(got) == 0 && c.rejected == 0 && report.Verdict != document.Empty {
			t.Errorf("%s of %s: %+v", c.path, c.text, report)
		}
	}
}

// No JSON in which something stands is an empty list.
func TestJSONIsNeverEmptyByMistake(t *testing.T) {
	for _, text := range []string{
		`{"data":{"ip":["192.0.2.1"]}}`, `{"data":["192.0.2.1"]}`, `{"data":null}`, `{"data":"192.0.2.1"}`, `{"data":{}}`,
		`{"results":{"ip":["192.0.2.1"]}}`, `{"results":null}`, `{"results":["192.0.2.1"]}`, `{"results":[["192.0.2.1"]]}`,
		`{"results":[{"ip":"192.0.2.1"}]}`, `{"objects":null}`, `{"objects":["192.0.2.1"]}`, `{"objects":{"a":"192.0.2.1"}}`,
		`{"objects":[{"ip":"192.0.2.1"}]}`, `{"objects":[{"type":"ipv4-addr","value":"192.0.2.1"}]}`, `{"list":null}`, `{"list":{"192.0.2.1":1}}`,
		`{"response":null}`, `{"response":["192.0.2.1"]}`, `{"response":{"ip":["192.0.2.1"]}}`, `{"Event":null}`, `{"Event":["192.0.2.1"]}`,
		`{"indicators":{"192.0.2.1":{}}}`, `{"indicators":["192.0.2.1"]}`, `{"Attribute":{"a":"192.0.2.1"}}`, `[{"ip_address":["192.0.2.1"]}]`,
		`[["192.0.2.1"]]`, `[[]]x`, `[{}]`, `[null]`, `[1]`, `[{"address":"192.0.2.1"}]`, `[[{"a":1}]]`, `{"ips":["192.0.2.1"]}`, `{"a":{}}`, `{"a":[]}`,
		`{"query_status":"ok","data":"192.0.2.1"}`, `{"error":"no"}`, `"192.0.2"`, `null`, `{"type":"bundle","objects":{}}`,
		`{"ip":"192.0.2.1"}` + "\n" + `{"ip":"192.0.2.2"}`, `{"nftables":[{"set":{"elem":["192.0.2.1"]}}]}`,
	} {
		for _, format := range []string{"", "json", "stix", "misp", "otx", "otx-export", "misp-warn", "abuseipdb-json", "threatfox-json", "feodo-json", "isc-json"} {
			got, report, err := parseAll(t, format, text)
			if err == nil && len(got) == 0 && report.Verdict != document.NoPrefix && report.Verdict != document.Truncated {
				t.Errorf("%s %s: %+v", format, text, report)
			}
		}
	}
}

func TestJSONHints(t *testing.T) {
	for text, want := range map[string]string{
		`{"data":{"ip":["192.0.2.1"]}}`:               "set path: data.ip if",
		`{"a":[{"x y":"192.0.2.1"}],"b":"192.0.2.2"}`: `set path: [\"x y\"]`,
		`{"n":1}`: "without addresses",
		`[{"address":"192.0.2.1"},{"address":"192.0.2.2"}]`: "set path: address if",
	} {
		_, report, err := parseAll(t, "", text)
		if report.Verdict != document.RejectDocument || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), strings.TrimPrefix(want, "set path: ")) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, _, err := parsePath(t, "ip", `{"data":{"ip":["192.0.2.1"]}}`); err == nil || !strings.Contains(err.Error(), `no member "ip"; set path: data.ip`) {
		t.Error(err)
	}
}

func TestCheckPath(t *testing.T) {
	for _, path := range []string{"a", "a.b[].c", `$["a.b"]['c']`, "a,b", ".a", "*"} {
		if err := CheckPath(path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"a[0]", `["a`, ",", "$", "[]", strings.Repeat("a.", 100) + "b", strings.Repeat("a,", 20)} {
		if CheckPath(path) == nil {
			t.Errorf("%q is taken", path)
		}
	}
}
