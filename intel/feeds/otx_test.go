package feeds

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestOTXShapes(t *testing.T) {
	const indicator = `{"indicator":"192.0.2.1","type":"IPv4"}`
	const pulse = `{"id":"aa","name":"n","indicators":[` + indicator + `]}`
	testRows(t, "otx", []rowCase{
		{`{"results":[` + pulse + `,` + pulse + `],"next":null}`, "192.0.2.1/32", 0},
		{`[` + pulse + `]`, "192.0.2.1/32", 0},
		{pulse, "192.0.2.1/32", 0},
		{`{"results":[{"id":"a","indicators":null}]}`, "", 0},
		{`{"results":[]}`, "", 0},
		{`[]`, "", 0},
		{`{}`, "", 0},
		{`[null,1,"x",[]]`, "", 4},
		{`{"results":[` + indicator + `]}`, "", 1},
		{`[{"id":"a","indicators":[null,1,"192.0.2.1",[],{}]}]`, "", 5},
	})
	testRows(t, "otx-export", []rowCase{
		{`{"results":[` + indicator + `,{"indicator":"x","type":"domain"}]}`, "192.0.2.1/32", 1},
		{`[` + indicator + `]`, "192.0.2.1/32", 0},
	})
}

func TestOTXIndicators(t *testing.T) {
	cases := []struct {
		fields string
		want   bool
	}{
		{`"type":"IPv4"`, true},
		{`"type":"IPv6"`, true},
		{`"type":"CIDR"`, true},
		{`"type":"ipv4"`, false},
		{`"type":"domain"`, false},
		{`"type":null`, false},
		{`"type":"IPv4","is_active":1`, true},
		{`"type":"IPv4","is_active":true`, true},
		{`"type":"IPv4","is_active":null`, true},
		{`"type":"IPv4","is_active":0`, false},
		{`"type":"IPv4","is_active":false`, false},
		{`"type":"IPv4","is_active":"0"`, false},
		{`"type":"IPv4","expiration":null`, true},
		{`"type":"IPv4","expiration":""`, true},
		{`"type":"IPv4","expiration":"2026-11-19T23:59:59"`, false},
		{`"type":"IPv4","expiration":"2026-11-20T00:00:00"`, false},
		{`"type":"IPv4","expiration":"2026-11-20T00:00:00.5"`, true},
		{`"type":"IPv4","expiration":"2026-11-20T01:00:00+02:00"`, false},
		{`"type":"IPv4","expiration":"2026-11-20 00:00:01"`, true},
	}
	for _, c := range cases {
		text := `[{"id":"a","indicators":[{"indicator":" 192.0.2.1 ",` + c.fields + `}]}]`
		_, report, err := parseAll(t, "otx", text)
		if err != nil || (report.Accepted == 1) != c.want || report.Accepted+report.Rejected != 1 {
			t.Errorf("%s: %v, %+v", c.fields, err, report)
		}
	}
}

// TestOTXEvidence reads a pulse whose name and id follow its indicators.
func TestOTXEvidence(t *testing.T) {
	const text = `{"count":1,"results":[
 {"indicators":[
   {"indicator":"192.0.2.1","type":"IPv4","role":"scanning_host","title":"Beacon","created":"2026-11-09T05:05:15"},
   {"indicator":"192.0.2.2","type":"IPv4","expiration":"2026-12-01T00:00:00.9"}],
  "name":"P 💀","modified":"2026-11-19T09:43:18.855000","created":"2026-11-18T00:00:00","TLP":"Amber","tags":["x","C2"],
  "more_indicators":true,"id":"579dad7dda3326edbea394e2"}],
 "next":"https://otx.alienvault.com/api?page=2"}`
	var seen []document.Object
	entries, report := parseEntries(t, document.Options{Seen: func(o document.Object) { seen = append(seen, o) }}, text)
	if report.Format != "otx" || !report.More || report.Next != "https://otx.alienvault.com/api?page=2" {
		t.Errorf("report %+v", report)
	}
	if len(seen) != 1 || seen[0].ID != "579dad7dda3326edbea394e2" || !seen[0].More || seen[0].Modified.Second() != 18 {
		t.Errorf("seen %+v", seen)
	}
	a, b := entries[0], entries[1]
	if a.Description != "P 💀: Beacon" || a.Category != "scan" || a.TLP != "amber" || a.Line != 3 ||
		a.Ref != "https://otx.alienvault.com/pulse/579dad7dda3326edbea394e2" || a.NativeID != seen[0].ID ||
		a.FirstSeen.Day() != 9 || a.LastSeen.Day() != 19 {
		t.Errorf("got %+v", a)
	}
	if b.Category != "c2" || b.FirstSeen.Day() != 18 || b.Expires.Month() != 12 || b.Expires.Nanosecond() != 0 || b.Line != 4 {
		t.Errorf("got %+v", b)
	}
}

func TestOTXRefused(t *testing.T) {
	for _, text := range []string{
		`{"detail":"Authentication required"}`, `"x"`, `12`, `null`, ``, `{`, `[{"id":"a"}`, `[] x`, `[] []`, `{"results":[}`,
		`<html>`, "[{\"id\":\"\x01\"}]", `not json`,
	} {
		if _, report, err := parseAll(t, "otx", text); err == nil || report.Verdict != document.RejectDocument {
			t.Errorf("%q: %v, %+v", text, err, report)
		}
	}
}

// TestBatchCap reads pulses that name more addresses than wait for an id.
func TestBatchCap(t *testing.T) {
	const n = 65536 + 10
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"indicator":"10.%d.%d.%d","type":"IPv4"},`, i>>16, i>>8&255, i&255)
	}
	list := `"indicators":[` + strings.TrimSuffix(b.String(), ",") + `]`
	if _, _, err := parseAll(t, "otx", `[{`+list+`,"id":"a"}]`); err == nil || !strings.Contains(err.Error(), "before its id") {
		t.Errorf("id behind too many indicators: %v", err)
	}
	_, report, err := parseAll(t, "otx", `[{"id":"a",`+list+`}]`)
	if err != nil || report.Accepted != n {
		t.Errorf("%v, %+v", err, report)
	}
}
