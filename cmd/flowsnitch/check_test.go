package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
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
	for _, text := range []string{"", "@", "a", "1:b", "20:10", "nan", "1:2:3", "inf"} {
		if _, err := parseRange(text); err == nil {
			t.Errorf("%q is taken for a range", text)
		}
	}
}

// TestCheck: one line, performance data and the exit code that monitoring systems expect.
func TestCheck(t *testing.T) {
	health := []app.Finding{
		{Check: "loss", State: app.OK, Value: 0.25, Unit: "%", Warning: 0, Critical: 1, Text: "nothing"},
		{Check: "sinks", State: app.Warning, Value: 12, Unit: "s", Warning: 0, Critical: 300, Text: "kafka cannot deliver | <b>\nx"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/api/v1/status" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(app.Status{Health: health})
	}))
	defer server.Close()
	ask := []string{"--url", server.URL, "--token-file", file(t, "token", "secret\n")}
	for _, tt := range []struct {
		args []string
		code int
		out  string
	}{
		{ask, 1, "FLOWSNITCH WARNING - sinks: kafka cannot deliver / <b> x | 'loss'=0.25%;0;1;0 'sinks'=12s;0;300;0\n"},
		{append([]string{"loss"}, ask...), 0, "FLOWSNITCH OK - nothing | 'loss'=0.25%;0;1;0\n"},
		{append([]string{"loss", "-w", "0.1", "-C", "@0.2:0.3"}, ask...), 2, "FLOWSNITCH CRITICAL - loss: nothing | 'loss'=0.25%;0.1;@0.2:0.3;0\n"},
		{append([]string{"sinks", "-v", "-w", "60"}, ask...), 0, "FLOWSNITCH OK - kafka cannot deliver / <b> x | 'sinks'=12s;60;;0\nOK sinks: kafka cannot deliver / <b> x\n"},
		{append([]string{"-w", "1"}, ask...), 3, "FLOWSNITCH UNKNOWN - -w and -C are limits of one check: name it\n"},
		{append([]string{"loss", "-w", "x"}, ask...), 3, "FLOWSNITCH UNKNOWN - -w: \"x\" is no range such as 10, 10:, ~:10, 10:20 or @10:20\n"},
		{append([]string{"los"}, ask...), 3, "FLOWSNITCH UNKNOWN - there is no check \"los\"; there are canary, clock, exporters, feeds, loss, sinks, spool, templates, workers\n"},
		{[]string{"--url", server.URL}, 2, "FLOWSNITCH CRITICAL - " + server.URL + ": 401 Unauthorized\n"},
		{[]string{"--nonsense"}, 3, "FLOWSNITCH UNKNOWN - unknown flag: --nonsense\n"},
		{[]string{"-c", file(t, "f.yml", "nam: x\n")}, 3, ""},
	} {
		r := command(t, append([]string{"check"}, tt.args...)...)
		if r.code != tt.code || tt.out != "" && r.out != tt.out || r.err != "" || !strings.HasPrefix(r.out, "FLOWSNITCH ") {
			t.Errorf("check %q: exit code %d, %q%s, want %d, %q", tt.args, r.code, r.out, r.err, tt.code, tt.out)
		}
	}
	dir := t.TempDir()
	r := command(t, "check", "-c", file(t, "f.yml", fmt.Sprintf("state_dir: %s\n", dir)))
	if r.code != 2 || !strings.HasPrefix(r.out, "FLOWSNITCH CRITICAL - no running instance at "+dir) {
		t.Errorf("without an instance: %+v", r)
	}
}
