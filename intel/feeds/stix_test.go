package feeds

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

func TestPatternAddresses(t *testing.T) {
	cases := []struct {
		pattern string
		want    string // values, separated by blanks
		err     error
	}{
		{"[ipv4-addr:value = 'a']", "a", nil},
		{"[ipv4-addr:value='a']", "a", nil},
		{"[ipv4-addr:value == 'a']", "a", nil},
		{" [ ipv6-addr:value  =\t'a' ] ", "a", nil},
		{"[ipv4-addr:value = 'a' OR ipv4-addr:value = 'b' OR domain-name:value = 'c']", "a b", nil},
		{"[ipv4-addr:value IN ('a','b')]", "a b", nil},
		{"[ipv4-addr:value IN ('a')]", "a", nil},
		{"[ipv4-addr:value ISSUBSET 'a']", "a", nil},
		{"[ipv4-addr:value = 'a'] OR [ipv6-addr:value = 'b']", "a b", nil},
		{"([ipv4-addr:value = 'a'] OR ([ipv6-addr:value = 'b']))", "a b", nil},
		{"[(ipv4-addr:value = 'a' OR (ipv4-addr:value = 'b')) OR x:y = 1]", "a b", nil},
		{"[file:hashes.'SHA-256' = 'x' OR ipv4-addr:value = 'a']", "a", nil},
		{"[x:y[*].z[0].'q\\'q' = true OR ipv4-addr:value = 'a']", "a", nil},
		{"[x:y = t'2020-01-01T00:00:00Z' OR x:z = h'ff' OR x:w = -1.5 OR ipv4-addr:value = 'a']", "a", nil},
		{`[x:y = 'it\'s AND \\' OR ipv4-addr:value = 'a']`, "a", nil},
		{`[ipv4-addr:value = 'a\'b']`, "a'b", nil},
		{"[domain-name:value = 'a AND b' OR ipv4-addr:value = 'a']", "a", nil},

		{"[network-traffic:dst_ref.value = 'a']", "a", nil},
		{"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a']", "a", nil},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:src_ref.type = 'ipv6-addr']", "a", nil},
		{"[(network-traffic:dst_ref.type IN ('ipv4-addr', 'ipv6-addr') AND network-traffic:dst_ref.value IN ('a', 'b'))]", "a b", nil},
		{"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a' AND network-traffic:dst_port = '443']", "a:443", nil},
		{"[(network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a') AND network-traffic:dst_port = 443]", "a:443", nil},
		{"[network-traffic:dst_port IN (80, 443) AND (ipv4-addr:value = 'a' OR ipv4-addr:value = 'b')]", "a:80 a:443 b:80 b:443", nil},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 80 OR ipv4-addr:value = 'b']", "a:80 b", nil},
		{"[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'x' OR ipv4-addr:value = 'a']", "a", nil},

		{"[domain-name:value = 'a']", "", errNoAddresses},
		{"[network-traffic:dst_ref.type = 'ipv4-addr']", "", errNoAddresses},
		{"[network-traffic:dst_port = 443]", "", errNoAddresses},
		{"[network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'x']", "", errNoAddresses},
		{"[domain-name:value = 'x' AND domain-name:resolves_to_refs[*].value = 'a']", "", errNarrow},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:dst_ref.value = 'b']", "", errNarrow},
		{"[network-traffic:src_ref.value = 'a' AND network-traffic:dst_port = 22]", "", errNarrow},
		{"[network-traffic:src_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = 'a']", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 1 AND network-traffic:src_port = 2]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port > 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:protocols[*] = 'tcp']", "", errNarrow},
		{"[(ipv4-addr:value = 'a' OR domain-name:value = 'x') AND network-traffic:dst_port = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] AND [network-traffic:dst_port = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' AND network-traffic:dst_port = 70000]", "", errPort},
		{"[ipv4-addr:value = 'a' AND]", "", errPattern},
		{"[ipv4-addr:value = 'a' AND x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] AND [x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a' OR x:y = 1 AND x:z = 2]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] FOLLOWEDBY [x:y = 1]", "", errNarrow},
		{"[ipv4-addr:value = 'a'] WITHIN 5 SECONDS", "", errNarrow},
		{"[ipv4-addr:value = 'a'] REPEATS 2 TIMES", "", errNarrow},
		{"[ipv4-addr:value = 'a'] START t'x' STOP t'y'", "", errNarrow},
		{"[ipv4-addr:value != 'a']", "", errNarrow},
		{"[ipv4-addr:value NOT = 'a']", "", errNarrow},
		{"[NOT ipv4-addr:value = 'a']", "", errNarrow},
		{"[ipv4-addr:value NOT IN ('a')]", "", errNarrow},
		{"[ipv4-addr:value LIKE 'a%']", "", errNarrow},
		{"[ipv4-addr:value MATCHES 'a']", "", errNarrow},
		{"[ipv4-addr:value ISSUPERSET 'a']", "", errNarrow},
		{"[EXISTS ipv4-addr:value]", "", errNarrow},
		{"[ipv4-addr:value > 'a']", "", errNarrow},

		{"", "", errPattern},
		{"[]", "", errPattern},
		{"[ipv4-addr:value = 'a'", "", errPattern},
		{"[ipv4-addr:value = 'a]", "", errPattern},
		{"[ipv4-addr:value = 'a']]", "", errPattern},
		{"[ipv4-addr:value 'a']", "", errPattern},
		{"[ipv4-addr:value = ]", "", errPattern},
		{"[ipv4-addr:value = 'a' OR]", "", errPattern},
		{"[ipv4-addr:value = 'a' or x:y = 1]", "", errPattern},
		{"[ipv4-addr:value IN ()]", "", errPattern},
		{"[ipv4-addr:value IN ('a' 'b')]", "", errPattern},
		{"[= 'a']", "", errPattern},
		{"ipv4-addr:value = 'a'", "", errPattern},
		{"[x:y.'z = 1]", "", errPattern},
		{strings.Repeat("(", 1000) + "[ipv4-addr:value = 'a']" + strings.Repeat(")", 1000), "", errPattern},
	}
	for _, c := range cases {
		got, err := patternAddresses(c.pattern)
		var texts []string
		for _, a := range got {
			text := a.value
			if a.port != 0 {
				text += fmt.Sprintf(":%d", a.port)
			}
			texts = append(texts, text)
		}
		if err != c.err || !slices.Equal(texts, strings.Fields(c.want)) {
			t.Errorf("%s: got %q, %v; want %q, %v", fit.Cut(c.pattern, 80), texts, err, c.want, c.err)
		}
	}
}

// stixText makes an indicator with further members.
func stixText(id, value, members string) string {
	return `{"type":"indicator","id":"` + id + `","pattern":"[ipv4-addr:value = '` + value + `']"` + members + `}`
}

func TestSTIXShapes(t *testing.T) {
	i := stixText("i", "192.0.2.1", "")
	testRows(t, "stix", []rowCase{
		{`{"type":"bundle","objects":[` + i + `]}`, "192.0.2.1/32", 0},
		{`{"more":true,"next":"x","objects":[` + i + `]}`, "192.0.2.1/32", 0},
		{`[` + i + `]`, "192.0.2.1/32", 0},
		{`{"type":"bundle","id":"bundle--1"}`, "", 0},
		{`{"more":false}`, "", 0},
		{`{}`, "", 0},
		{`{"objects":[null,1,{"type":"ipv4-addr","value":"192.0.2.1"},{"type":"indicator"}]}`, "", 3},
	})
	for _, text := range []string{`{"title":"Unauthorized","http_status":"401"}`, `{"objects":[`, `x`} {
		if _, report, err := parseAll(t, "stix", text); err == nil || report.Verdict != RejectDocument {
			t.Errorf("%q: %v, %+v", text, err, report)
		}
	}
}

func TestSTIXValidity(t *testing.T) {
	cases := []struct {
		members string
		want    bool
	}{
		{`,"pattern_type":"stix"`, true},
		{`,"pattern_type":"snort"`, false},
		{`,"revoked":false`, true},
		{`,"revoked":true`, false},
		{`,"valid_from":"2026-11-20T00:00:00Z"`, true},
		{`,"valid_from":"2026-11-20T00:00:00.001Z"`, false},
		{`,"valid_until":"2026-11-20T00:00:00Z"`, false},
		{`,"valid_until":"2026-11-20T00:00:00.000001Z"`, true},
		{`,"valid_until":null`, true},
	}
	for _, c := range cases {
		_, report, err := parseAll(t, "stix", `[`+stixText("i", "192.0.2.1", c.members)+`]`)
		if err != nil || (report.Accepted == 1) != c.want || report.Accepted+report.Rejected != 1 {
			t.Errorf("%s: %v, %+v", c.members, err, report)
		}
	}
}

// TestSTIXVersions checks that the newest version of an id wins, in any order.
func TestSTIXVersions(t *testing.T) {
	older := stixText("i", "192.0.2.1", `,"modified":"2026-01-01T00:00:00Z"`)
	newer := stixText("i", "192.0.2.2", `,"modified":"2026-02-01T00:00:00.5Z"`)
	gone := stixText("i", "192.0.2.2", `,"modified":"2026-03-01T00:00:00Z","revoked":true`)
	other := stixText("j", "192.0.2.3", "")
	testRows(t, "stix", []rowCase{
		{`[` + older + `,` + newer + `,` + other + `]`, "192.0.2.2/32 192.0.2.3/32", 0},
		{`[` + newer + `,` + older + `]`, "192.0.2.2/32", 0},
		{`[` + older + `,` + gone + `,` + newer + `]`, "", 1},
		{`[` + stixText("", "192.0.2.1", "") + `,` + stixText("", "192.0.2.2", "") + `]`, "192.0.2.1/32 192.0.2.2/32", 0},
	})
	var seen []Object
	_, report := parseEntries(t, Options{Format: "stix", Seen: func(o Object) { seen = append(seen, o) }}, `[`+older+`,`+gone+`]`)
	if len(seen) != 1 || !seen[0].Revoked || report.Skipped != 1 {
		t.Errorf("%+v, %+v", seen, report)
	}
}

func TestSTIXEvidence(t *testing.T) {
	entries, report := parseEntries(t, Options{}, `{"more":true,"next":"n","objects":[`+stixText("indicator--1", "192.0.2.1", `,
 "name":"N","description":"D","confidence":80,"modified":"2026-02-01T00:00:00.123Z","valid_from":"2026-01-01T00:00:00Z",
 "valid_until":"2027-01-01T00:00:00Z","kill_chain_phases":[{"phase_name":"command-and-control"}],
 "object_marking_refs":["x","marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"],
 "external_references":[{"source_name":"s"},{"url":"javascript:x"},{"url":"https://x.example/r"}]`)+`]}`)
	e := entries[0]
	if report.Format != "stix" || report.Next != "n" || !report.More {
		t.Errorf("%+v", report)
	}
	if e.NativeID != "indicator--1" || e.Description != "N: D" || e.Score != 80 || e.Category != "c2" || e.TLP != "amber" ||
		e.Ref != "https://x.example/r" || e.LastSeen.Month() != 2 || e.Expires.Year() != 2027 || e.FirstSeen.Month() != 1 {
		t.Errorf("got %+v", e)
	}
}
