package feeds

import (
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

func TestJSONLists(t *testing.T) {
	testRows(t, "feodo-json", []rowCase{
		{`[{"ip_address":"192.0.2.1","port":443},{"port":1},{"ip_address":null},{"ip_address":"x"},null]`, "192.0.2.1/32", 4},
		{`[]`, "", 0},
	})
	testRows(t, "abuseipdb-json", []rowCase{
		{`{"meta":{},"data":[{"ipAddress":"192.0.2.1"},{"ipAddress":"2001:db8::1"},{}]}`, "192.0.2.1/32 2001:db8::1/128", 1},
		{`{"data":[]}`, "", 0},
	})
	testRows(t, "isc-json", []rowCase{
		{`[{"ip":"022.105.063.247"},{"ip":"2001:db8::1"},{"ip":"1.2.3"},{"ip":null},{}]`, "22.105.63.247/32 2001:db8::1/128", 3},
	})
	testRows(t, "threatfox-json", []rowCase{
		{`{"query_status":"ok","data":[{"ioc":"2001:db8::1:80","ioc_type":"ip:port"},{"ioc":"[2001:db8::2]:80","ioc_type":"ip:port"},
 {"ioc":"192.0.2.1:80","ioc_type":"ip:port"},{"ioc":"192.0.2.1:0","ioc_type":"ip:port"},{"ioc":"192.0.2.1","ioc_type":"ip:port"},
 {"ioc":"192.0.2.3:80","ioc_type":"url"},{"ioc_type":"ip:port"}]}`, "192.0.2.1/32 2001:db8::1/128 2001:db8::2/128", 4},
		{`{"841508":[{"ioc_value":"192.0.2.1:80","ioc_type":"ip:port"}]}`, "192.0.2.1/32", 0},
		{`{"query_status":"no_result","data":"Your search did not yield any results"}`, "", 0},
	})
	refused := map[string]string{
		"feodo-json":     `{"ip_address":"192.0.2.1"}`,
		"isc-json":       `{"error":"x"}`,
		"abuseipdb-json": `{"errors":[{"detail":"limit","status":429}]}`,
		"threatfox-json": `{"query_status":"unknown_auth_key"}`,
	}
	for format, text := range refused {
		if _, report, err := parseAll(t, format, text); err == nil || report.Verdict != document.RejectDocument {
			t.Errorf("%s: %v, %+v", format, err, report)
		}
	}
}

func TestJSONListEvidence(t *testing.T) {
	entries, report := parseEntries(t, document.Options{}, `[{"ip_address":"192.0.2.1","port":443,"status":"offline","malware":"QakBot",
 "first_seen":"2026-01-17 07:44:46","last_online":"2026-11-15"}]`)
	e := entries[0]
	if report.Format != "feodo-json" || e.Port != 443 || !e.Offline || e.Category != "c2" || e.Description != "QakBot" ||
		e.FirstSeen.Minute() != 44 || e.LastSeen.Day() != 15 || e.Ref != "https://feodotracker.abuse.ch/browse/host/192.0.2.1/" {
		t.Errorf("got %+v", e)
	}
	entries, report = parseEntries(t, document.Options{}, `{"meta":{"generatedAt":"x"},"data":[{"ipAddress":"2001:db8::1",
 "abuseConfidenceScore":97,"lastReportedAt":"2026-11-19T23:50:02+00:00"}]}`)
	if e = entries[0]; report.Format != "abuseipdb-json" || e.Score != 97 || e.LastSeen.Second() != 2 ||
		e.Ref != "https://www.abuseipdb.com/check/2001:db8::1" {
		t.Errorf("got %+v", e)
	}
	entries, report = parseEntries(t, document.Options{}, `[{"ip":"192.0.2.1","description":"openresolver"}]`)
	if e = entries[0]; report.Format != "isc-json" || e.Category != "open-resolver" || e.Ref != "https://isc.sans.edu/ipinfo/192.0.2.1" {
		t.Errorf("got %+v", e)
	}
	entries, report = parseEntries(t, document.Options{}, `{"query_status":"ok","data":[{"id":"841508","ioc":"2001:db8::1:80","ioc_type":"ip:port",
 "threat_type":"botnet_cc","malware_printable":"X","confidence_level":75,"first_seen":"2026-11-05 11:40:15 UTC","tags":null}]}`)
	if e = entries[0]; report.Format != "threatfox-json" || e.Port != 80 || e.Score != 75 || e.Category != "c2" ||
		e.NativeID != "841508" || e.Ref != "https://threatfox.abuse.ch/ioc/841508/" || e.FirstSeen.Hour() != 11 {
		t.Errorf("got %+v", e)
	}
}
