package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// TestRange: ranges as the guidelines of the monitoring plugins have them.
func TestRange(t *testing.T) {
	for _, tt := range []struct {
		text    string
		alerts  []float64
		isQuiet []float64
	}{
		{"10", []float64{-1, 10.5}, []float64{0, 10}},
		{"10:", []float64{9.9, -5}, []float64{10, 1e9}},
		{"~:10", []float64{11}, []float64{10, -1e9}},
		{"10:20", []float64{9, 21}, []float64{10, 20}},
		{"@10:20", []float64{10, 20, 15}, []float64{9, 21}},
		{"0.5", []float64{0.6}, []float64{0.5}},
	} {
		r, err := parseRange(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range tt.alerts {
			if !r.alerts(v) {
				t.Errorf("%s does not alert on %g", tt.text, v)
			}
		}
		for _, v := range tt.isQuiet {
			if r.alerts(v) {
				t.Errorf("%s alerts on %g", tt.text, v)
			}
		}
	}
	for _, text := range []string{"", "@", "a", "1:b", "20:10", "nan", "1:2:3", "inf", "0x10", "1_0", "1;2", "10%"} {
		if _, err := parseRange(text); err == nil {
			t.Errorf("%q is taken for a range", text)
		}
	}
}

// health is what the instance of TestCheck finds.
var health = []observe.Finding{
	{Check: "loss", Value: 0.25, Unit: "%", Warning: 0.1, Critical: 1, Text: "nothing"},
	{Check: "sinks", State: observe.Warning, Value: 12, Unit: "s", Warning: 0, Critical: 300, Text: "kafka cannot deliver | <b>\nx"},
	{Check: "spool", State: observe.Critical, Least: observe.Critical, Value: 3, Unit: "%", Warning: 50, Critical: 90, Text: "the disk fails"},
	{Check: "templates", Value: 0, Text: "all data has its template"},
}

// fakeWeb answers as a web server of an instance does.
func fakeWeb(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/starting/api/v1/status":
			_ = json.NewEncoder(w).Encode(app.Status{InstanceStatus: app.InstanceStatus{BuildStatus: app.BuildStatus{Version: "1"}}})
		case r.URL.Path == "/other/api/v1/status":
			_, _ = w.Write([]byte("<html>"))
		case r.URL.Path == "/json/api/v1/status":
			_, _ = w.Write([]byte(`{"status":"alive"}`))
		case r.URL.Path == "/strange/api/v1/status":
			_ = json.NewEncoder(w).Encode(app.Status{InstanceStatus: app.InstanceStatus{BuildStatus: app.BuildStatus{Version: "1"}}, Health: []observe.Finding{{Check: "a'=1;|\n"}}})
		case r.URL.Path == "/hangs/api/v1/status":
			<-r.Context().Done()
		case r.URL.Path == "/api/v1/status":
			_ = json.NewEncoder(w).Encode(app.Status{InstanceStatus: app.InstanceStatus{BuildStatus: app.BuildStatus{Version: "1"}}, Health: health})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestCheck: one line, performance data and the exit code that monitoring systems expect.
func TestCheck(t *testing.T) {
	at := fakeWeb(t)
	token := []string{"--token-file", file(t, "token", "secret\n")}
	ask := append([]string{"--url", at + "/"}, token...)
	for _, tt := range []struct {
		args []string
		code int
		out  string
	}{
		{ask, 2, "FLOWSNITCH CRITICAL - spool: the disk fails; sinks: kafka cannot deliver / <b> x |" +
			" 'loss'=0.25%;0.1;1;0 'sinks'=12s;0;300;0 'spool'=3%;50;90;0 'templates'=0;;;0\n"},
		{append([]string{"loss"}, ask...), 0, "FLOWSNITCH OK - nothing | 'loss'=0.25%;0.1;1;0\n"},
		{append([]string{"templates", "loss"}, ask...), 0, "FLOWSNITCH OK - all 2 checks OK | 'loss'=0.25%;0.1;1;0 'templates'=0;;;0\n"},
		{append([]string{"loss", "-w", "0.1", "-c", "@0.2:0.3"}, ask...), 2, "FLOWSNITCH CRITICAL - loss: nothing | 'loss'=0.25%;0.1;@0.2:0.3;0\n"},
		{append([]string{"loss", "sinks", "-w", "sinks=60", "-w", "loss=1:", "-c", "loss=10"}, ask...), 1,
			"FLOWSNITCH WARNING - loss: nothing | 'loss'=0.25%;1:;10;0 'sinks'=12s;60;;0\n"},
		{append([]string{"sinks", "-v", "-w", "60"}, ask...), 0, "FLOWSNITCH OK - kafka cannot deliver / <b> x | 'sinks'=12s;60;;0\nOK sinks: kafka cannot deliver / <b> x\n"},
		{append([]string{"spool", "-w", "60", "-t", "5"}, ask...), 2, "FLOWSNITCH CRITICAL - spool: the disk fails | 'spool'=3%;60;;0\n"},
		{append([]string{"loss", "-w", "0:1e3", "-c", "+5:"}, ask...), 2, "FLOWSNITCH CRITICAL - loss: nothing | 'loss'=0.25%;1000;5:;0\n"},
		{append([]string{"loss", "-w", "@~:0.1", "-c", "0:"}, ask...), 0, "FLOWSNITCH OK - nothing | 'loss'=0.25%;@~:0.1;0:;0\n"},
		{append([]string{"feeds"}, ask...), 3, "FLOWSNITCH UNKNOWN - the instance has no check feeds; it is of another version\n"},
		{append([]string{"-w", "1"}, ask...), 3, "FLOWSNITCH UNKNOWN - -w 1: for which check? Name one, or write CHECK=RANGE\n"},
		{append([]string{"-w", "los=1"}, ask...), 3, "FLOWSNITCH UNKNOWN - -w los=1: there is no check \"los\"; there are canary, clock, exporters, feeds, history, loss, sinks, spool, templates, workers\n"},
		{append([]string{"loss", "-c", "x"}, ask...), 3, "FLOWSNITCH UNKNOWN - -c: \"x\" is no range such as 10, 10:, ~:10, 10:20 or @10:20\n"},
		{append([]string{"los"}, ask...), 3, "FLOWSNITCH UNKNOWN - there is no check \"los\"; there are canary, clock, exporters, feeds, history, loss, sinks, spool, templates, workers\n"},
		{append([]string{"-t", "x"}, ask...), 3, "FLOWSNITCH UNKNOWN - --timeout: \"x\" is not a duration such as 90s, 10m or 1h\n"},
		{append([]string{"--url", at + "/starting"}, token...), 1, "FLOWSNITCH WARNING - the instance is still starting\n"},
		{append([]string{"--url", at + "/other"}, token...), 2, "FLOWSNITCH CRITICAL - " + at + "/other: not a response of flowsnitch: invalid character '<' looking for beginning of value\n"},
		{append([]string{"--url", at + "/json"}, token...), 2, "FLOWSNITCH CRITICAL - the response is not from flowsnitch, or from another version\n"},
		{append([]string{"--url", at + "/strange"}, token...), 2, "FLOWSNITCH CRITICAL - the response is not from flowsnitch, or from another version\n"},
		{append([]string{"--url", at + "/none"}, token...), 2, "FLOWSNITCH CRITICAL - " + at + "/none: 404 Not Found\n"},
		{append([]string{"--url", at + "/hangs", "-t", "0.1"}, token...), 2, "FLOWSNITCH CRITICAL - the instance has not answered within 100ms: it hangs, or the machine is overloaded\n"},
		{[]string{"--url", at}, 3, "FLOWSNITCH UNKNOWN - " + at + ": 401 Unauthorized; --token-file names the token of the web server\n"},
		{[]string{"--url", "localhost"}, 3, "FLOWSNITCH UNKNOWN - --url: \"localhost\" is not an address such as http://127.0.0.1:8055\n"},
		{[]string{"--url", "http://127.0.0.1:1"}, 2, ""},
		{[]string{"--nonsense"}, 3, "FLOWSNITCH UNKNOWN - unknown flag: --nonsense\n"},
		{[]string{"--config", file(t, "f.yml", "nam: x\n")}, 3, ""},
	} {
		r := command(t, append([]string{"check"}, tt.args...)...)
		if r.code != tt.code || tt.out != "" && r.out != tt.out || r.err != "" || !strings.HasPrefix(r.out, "FLOWSNITCH ") {
			t.Errorf("check %q: exit code %d, %q%s, want %d, %q", tt.args, r.code, r.out, r.err, tt.code, tt.out)
		}
	}
	dir := t.TempDir()
	r := command(t, "check", "--config", file(t, "f.yml", fmt.Sprintf("state_dir: %s\n", dir)))
	if r.code != 2 || !strings.HasPrefix(r.out, "FLOWSNITCH CRITICAL - no running instance at "+dir) {
		t.Errorf("without an instance: %+v", r)
	}
}
