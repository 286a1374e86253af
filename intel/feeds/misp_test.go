package feeds

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestMISPShapes(t *testing.T) {
	const event = `{"uuid":"u","Attribute":[{"type":"ip-dst","value":"192.0.2.1","to_ids":true}]}`
	testRows(t, "misp", []rowCase{
		{`{"Event":` + event + `}`, "192.0.2.1/32", 0},
		{`{"response":[{"Event":` + event + `}]}`, "192.0.2.1/32", 0},
		{`{"response":{"Event":` + event + `}}`, "192.0.2.1/32", 0},
		{event, "192.0.2.1/32", 0},
		{`[{"Event":` + event + `},` + event + `]`, "192.0.2.1/32", 0},
		{`{"response":[]}`, "", 0},
		{`{"Event":{"uuid":"u","Attribute":null,"Object":null}}`, "", 0},
		{`{"Event":{"Attribute":[null,1,{}]}}`, "", 3},
	})
	for _, text := range []string{`{"message":"Authentication failed"}`, `{"Event":`, `x`, `{"Event":{}} {}`} {
		if _, report, err := parseAll(t, "misp", text); err == nil || report.Verdict != document.RejectDocument {
			t.Errorf("%q: %v, %+v", text, err, report)
		}
	}
}

func TestMISPAttributes(t *testing.T) {
	cases := []struct {
		fields string
		want   string
	}{
		{`"type":"ip-src","value":"192.0.2.0/24","to_ids":true`, "192.0.2.0/24"},
		{`"type":"ip-dst","value":" 2001:db8::1 ","to_ids":"1"`, "2001:db8::1/128"},
		{`"type":"ip-dst|port","value":"192.0.2.1|443","to_ids":1`, "192.0.2.1/32"},
		{`"type":"ip-dst|port","value":"192.0.2.1","to_ids":true`, "192.0.2.1/32"},
		{`"type":"ip-src|port","value":"2001:db8::1|53","to_ids":true,"deleted":"0"`, "2001:db8::1/128"},
		{`"type":"domain|ip","value":"x.example|192.0.2.1","to_ids":true`, "192.0.2.1/32"},
		{`"type":"domain|ip","value":"192.0.2.1","to_ids":true`, ""},
		{`"type":"domain","value":"192.0.2.1","to_ids":true`, ""},
		{`"type":"ip-dst","value":"192.0.2.1","to_ids":false`, ""},
		{`"type":"ip-dst","value":"192.0.2.1","to_ids":"0"`, ""},
		{`"type":"ip-dst","value":"192.0.2.1"`, ""},
		{`"type":"ip-dst","value":"192.0.2.1","to_ids":true,"deleted":true`, ""},
		{`"type":"ip-dst","value":"192.0.2.1","to_ids":true,"deleted":"1"`, ""},
		{`"type":"ip-dst","value":"0.0.0.0/0","to_ids":true`, ""},
		{`"type":"ip-dst","value":["192.0.2.1"],"to_ids":true`, ""},
	}
	for _, c := range cases {
		rejected := 0
		if c.want == "" {
			rejected = 1
		}
		testRows(t, "misp", []rowCase{
			{`{"Event":{"uuid":"u","Attribute":[{` + c.fields + `}]}}`, c.want, rejected},
			{`{"Event":{"uuid":"u","Object":[{"Attribute":[{` + c.fields + `}]}]}}`, c.want, rejected},
			{`{"Event":{"uuid":"u","Object":[{"Attribute":[{` + c.fields + `}],"deleted":true}]}}`, "", 0},
		})
	}
}

// TestMISPEvidence reads an event whose uuid follows its attributes.
func TestMISPEvidence(t *testing.T) {
	const text = `{"Event":{"Attribute":[
  {"type":"ip-dst|port","value":"192.0.2.1|443","to_ids":true,"comment":"c","timestamp":"1795000000","Tag":[{"name":"tlp:red"}]},
  {"type":"ip-dst","value":"192.0.2.2","to_ids":true,"first_seen":"2026-01-02T00:00:00.000000+00:00"}],
 "Tag":[{"name":"tlp:amber"},{"name":"kill-chain:\"Command and Control\""},{"name":"x:y=\"c2\""}],
 "info":"Event 0","timestamp":"1795000100","uuid":"0f1b99ac"}}`
	var seen []document.Object
	entries, report := parseEntries(t, document.Options{BaseURL: "https://misp.example/", Seen: func(o document.Object) { seen = append(seen, o) }}, text)
	a, b := entries[0], entries[1]
	if report.Format != "misp" || len(seen) != 1 || seen[0].ID != "0f1b99ac" || seen[0].Modified.Unix() != 1795000100 {
		t.Errorf("%+v, %+v", report, seen)
	}
	if a.Port != 443 || a.Description != "Event 0: c" || a.NativeID != "0f1b99ac" || a.TLP != "red" || a.Line != 2 ||
		a.Ref != "https://misp.example/events/view/0f1b99ac" || a.LastSeen.Unix() != 1795000000 {
		t.Errorf("got %+v", a)
	}
	if b.TLP != "amber" || b.Category != "c2" || b.LastSeen.Unix() != 1795000100 || b.FirstSeen.Day() != 2 || b.Line != 3 {
		t.Errorf("got %+v", b)
	}
}

// TestMISPSearch reads the answer to a search for attributes, which name their
// event one by one.
func TestMISPSearch(t *testing.T) {
	entries, _ := parseEntries(t, document.Options{Format: "misp"}, `{"response":{"Attribute":[
 {"type":"ip-dst","value":"192.0.2.1","to_ids":true,"Event":{"uuid":"a","info":"A"}},
 {"type":"ip-dst","value":"192.0.2.2","to_ids":true,"Event":{"uuid":"b","info":"B"}}]}}`)
	if entries[0].NativeID != "a" || entries[1].NativeID != "b" || entries[1].Description != "B" {
		t.Errorf("got %+v", entries)
	}
}

func TestMISPWarn(t *testing.T) {
	testRows(t, "misp-warn", []rowCase{
		{`{"name":"n","type":"cidr","list":["192.0.2.1"," 192.0.2.0/24 ","2001:db8::/32","::ffff:192.0.2.9"]}`,
			"192.0.2.0/24 192.0.2.1/32 192.0.2.9/32 2001:db8::/32", 0},
		{`{"list":["x.example","",null,1,{},["192.0.2.1"]]}`, "", 6},
		{`{"list":[]}`, "", 0},
	})
}
