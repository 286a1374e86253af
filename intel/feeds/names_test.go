package feeds

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
)

// namesOf parses a document and gives its names, those of URLs with a ~, and its prefixes.
func namesOf(t *testing.T, opts document.Options, text string) (names, prefixes []string, entries []document.Entry, report document.Report) {
	t.Helper()
	opts.Now = referenceTime
	opts.Names = func(e document.Entry) error {
		name := e.Name
		if e.OfURL {
			name = "~" + name
		}
		names, entries = append(names, name), append(entries, e)
		return nil
	}
	report, err := Parse(strings.NewReader(text), opts, func(e document.Entry) error {
		prefixes = append(prefixes, e.Prefix.String())
		return nil
	})
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return names, prefixes, entries, report
}

// TestNames: every format that has names yields them, beside the prefixes that it yields
// without being asked for names; what is no name is counted.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		format, text, want string
		bad                int
	}{
		{"otx", `[{"id":"a","indicators":[{"type":"domain","indicator":"Evil.example.org"},{"type":"hostname","indicator":"h.example.org."},
			{"type":"URL","indicator":"http://u.example.org/x"},{"type":"IPv4","indicator":"192.0.2.1"},{"type":"email","indicator":"a@b.org"},
			{"type":"domain","indicator":"off.example.org","is_active":0},{"type":"domain","indicator":"old.example.org","expiration":"2026-11-19T00:00:00"},
			{"type":"domain","indicator":"a b.org"},{"type":"URL","indicator":"http://192.0.2.7/"}]}]`, "evil.example.org h.example.org ~u.example.org", 1},
		{"otx-export", `{"results":[{"type":"domain","indicator":"evil.example.org","pulse_key":"p"}]}`, "evil.example.org", 0},
		{"otx-csv", "Indicator type,Indicator,Description\ndomain,evil.example.org,d\nIPv4,192.0.2.1,x\nURL,https://u.example.org/,\nemail,a@b.org,\n", "evil.example.org ~u.example.org", 0},
		{"misp", `{"Event":{"uuid":"u","Attribute":[{"type":"domain","value":"evil.example.org","to_ids":true},{"type":"domain|ip","value":"d.example.org|192.0.2.2","to_ids":true},
			{"type":"hostname|port","value":"h.example.org|443","to_ids":"1"},{"type":"url","value":"http://u.example.org/","to_ids":true},
			{"type":"domain","value":"context.example.org","to_ids":false},{"type":"domain","value":"gone.example.org","to_ids":true,"deleted":true}],
			"Object":[{"Attribute":[{"type":"domain","value":"o.example.org","to_ids":true}]},{"deleted":true,"Attribute":[{"type":"domain","value":"x.example.org","to_ids":true}]}]}}`,
			"evil.example.org d.example.org h.example.org ~u.example.org o.example.org", 0},
		{"stix", `{"type":"bundle","objects":[{"type":"indicator","id":"i1","pattern":"[domain-name:value = 'evil.example.org' OR ipv4-addr:value = '192.0.2.1']"},
			{"type":"indicator","id":"i2","pattern":"[url:value = 'http://u.example.org/']"},{"type":"indicator","id":"i3","pattern":"[url:value = 'no url']"},
			{"type":"indicator","id":"i4","pattern":"[domain-name:value = 'revoked.example.org']","revoked":true},
			{"type":"indicator","id":"i5","pattern":"[domain-name:value = 'old.example.org']","modified":"2026-01-01T00:00:00Z"},
			{"type":"indicator","id":"i5","pattern":"[domain-name:value = 'new.example.org']","modified":"2026-02-01T00:00:00Z"}]}`, "evil.example.org ~u.example.org new.example.org", 0},
		{"threatfox-json", `{"query_status":"ok","data":[{"id":"1","ioc":"evil.example.org","ioc_type":"domain","threat_type":"botnet_cc","confidence_level":80},
			{"id":"2","ioc":"http://u.example.org/","ioc_type":"url"},{"id":"3","ioc":"192.0.2.1:443","ioc_type":"ip:port"},{"id":"4","ioc":"x","ioc_type":"md5_hash"}]}`,
			"evil.example.org ~u.example.org", 0},
		{"csv:ioc_value", "ioc_value,ioc_type\n192.0.2.1:443,ip:port\nevil.example.org,domain\n0123,md5_hash\n", "evil.example.org", 0},
		{"csv:url", "# URLhaus\nid,dateadded,url,url_status,threat\n1,2026-11-01 00:00:00,http://u.example.org/bad.exe,online,malware_download\n", "~u.example.org", 0},
		{"zeek", "#fields\tindicator\tindicator_type\tmeta.source\nevil.example.org\tIntel::DOMAIN\ts\n192.0.2.1\tIntel::ADDR\ts\nx\tIntel::FILE_HASH\ts\n", "evil.example.org", 0},
		{"plain", "# hosts\n127.0.0.1 localhost\n0.0.0.0 evil.example.org two.example.org # why\n::1 ip6-localhost\n", "evil.example.org two.example.org", 0},
		{"plain", "evil.example.org\n192.0.2.1\nhttp://u.example.org/x\nindex.html\nnot a name\n0.0.0.0 spoof word\n", "evil.example.org ~u.example.org", 0},
	} {
		opts := document.Options{Format: tt.format}
		names, prefixes, _, report := namesOf(t, opts, tt.text)
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.format, got, tt.want)
		}
		if report.Names != len(names) || report.BadNames != tt.bad || report.NamedRows > report.Rejected || report.NamedRows == 0 || report.Verdict != document.OK {
			t.Errorf("%s: %+v", tt.format, report)
		}
		var without []string
		opts.Now = referenceTime
		if _, err := Parse(strings.NewReader(tt.text), opts, func(e document.Entry) error {
			if e.Name != "" {
				t.Errorf("%s: %+v among the prefixes", tt.format, e)
			}
			without = append(without, e.Prefix.String())
			return nil
		}); err != nil {
			t.Error(err)
		}
		without = slices.DeleteFunc(without, func(p string) bool { return p == "0.0.0.0/32" || p == "127.0.0.1/32" || p == "::1/128" })
		if prefixes = slices.DeleteFunc(prefixes, func(p string) bool { return p == "0.0.0.0/32" || p == "127.0.0.1/32" || p == "::1/128" }); !slices.Equal(prefixes, without) {
			t.Errorf("%s: %v with names, %v without", tt.format, prefixes, without)
		}
	}
}

// TestNameEvidence: names have what prefixes of the same rows have.
func TestNameEvidence(t *testing.T) {
	_, _, e, _ := namesOf(t, document.Options{Format: "otx"}, `[{"id":"p1","name":"N","TLP":"amber","tags":["c2"],"modified":"2026-11-10T00:00:00","indicators":[
		{"type":"domain","indicator":"evil.example.org","title":"T","created":"2026-11-01T00:00:00","expiration":"2026-12-01T00:00:00"}]}]`)
	if got := fmt.Sprint(e[0].NativeID, e[0].TLP, e[0].Category, e[0].Description, e[0].FirstSeen.Day(), e[0].LastSeen.Day(), e[0].Expires.Month()); got != "p1amberc2N: T1 10 December" {
		t.Errorf("%s", got)
	}
	_, _, e, _ = namesOf(t, document.Options{Format: "csv:url"}, "id,dateadded,url,url_status,threat\n1,2026-11-01 00:00:00,http://u.example.org/bad.exe,offline,malware_download\n")
	if !e[0].Offline || e[0].Category != "malware" || e[0].FirstSeen.Day() != 1 {
		t.Errorf("%+v", e[0])
	}
	_, _, e, _ = namesOf(t, document.Options{Format: "stix"}, `{"type":"bundle","objects":[{"type":"indicator","id":"i1","confidence":70,"valid_until":"2027-01-01T00:00:00Z","pattern":"[domain-name:value = 'evil.example.org']",
		"object_marking_refs":["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]}]}`)
	if e[0].NativeID != "i1" || e[0].Score != 70 || e[0].TLP != "red" || e[0].Expires.Year() != 2027 {
		t.Errorf("%+v", e[0])
	}
}

// checkNames checks that what foreign bytes yield as names are names.
func checkNames(t *testing.T, e document.Entry) {
	t.Helper()
	if name, err := hostname.Parse(e.Name); err != nil || name != e.Name || e.Prefix.IsValid() || e.Port != 0 {
		t.Fatalf("%+v", e)
	}
}
