package feeds

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

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
		if _, report, err := parseAll(t, "stix", text); err == nil || report.Verdict != document.RejectDocument {
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
	var seen []document.Object
	_, report := parseEntries(t, document.Options{Format: "stix", Seen: func(o document.Object) { seen = append(seen, o) }}, `[`+older+`,`+gone+`]`)
	if len(seen) != 1 || !seen[0].Revoked || report.Skipped != 1 {
		t.Errorf("%+v, %+v", seen, report)
	}
}

func TestSTIXEvidence(t *testing.T) {
	entries, report := parseEntries(t, document.Options{}, `{"more":true,"next":"n","objects":[`+stixText("indicator--1", "192.0.2.1", `,
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
