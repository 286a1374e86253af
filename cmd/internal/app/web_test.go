package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// get asks the web server of an app.
func (w watched) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return getText(t, "http://"+w.web.Addr().String()+path)
}

// TestWeb: metrics follow the flows, and readiness what is wrong.
func TestWeb(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.53")
	w := observed(t, dir, fmt.Sprintf("{feeds: [{file: %s}]}\nweb: {listen: \"127.0.0.1:0\"}", feed), Options{})
	w.contact(t, "62.0.0.53", "62.0.0.54")
	until(t, "a hit", func() bool { return len(w.Status().Recent) == 1 })
	_, text := w.get(t, "/metrics")
	for _, want := range []string{
		`flowsnitch_records_total{version="v5"} 2`, `flowsnitch_hits_total{direction="outbound",feed="bad"} 1`, "flowsnitch_indicators 1",
		`flowsnitch_feed_entries{feed="bad"} 1`, `flowsnitch_sink_sent_total{sink="jsonlog:`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "62.0.0.53") {
		t.Error("the address of a hit is in the metrics")
	}
	if code, _ := w.get(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz %d", code)
	}
	if code, text := w.get(t, "/readyz"); code != http.StatusOK || !strings.Contains(text, `"ready":true`) {
		t.Errorf("readyz %d %s", code, text)
	}
	if code, text := w.get(t, "/api/v1/status"); code != http.StatusOK || !strings.Contains(text, `"hits"`) || strings.Contains(text, "62.0.0.53") {
		t.Errorf("status %d %s", code, text)
	}
	for path, want := range map[string]int{"/": 200, "/other": 404, "/metrics/x": 404} {
		if code, _ := w.get(t, path); code != want {
			t.Errorf("%s gives %d", path, code)
		}
	}
}

// TestReadyz: it is 503 while a check is critical, and says why.
func TestReadyz(t *testing.T) {
	w := observed(t, shortDir(t), "{feeds: []}\nweb: {listen: \"127.0.0.1:0\"}", Options{})
	until(t, "a look at its health", func() bool { return len(w.Findings()) > 0 })
	code, text := w.get(t, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(text, "feeds: nothing is listed, so nothing can be a hit") {
		t.Errorf("readyz with a critical check %d %s", code, text)
	}
}

// TestMetricNames: names follow Prometheus' rules, and the page on metrics lists all of them.
func TestMetricNames(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [], deny: [62.0.0.1]}", Options{})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{w.registry})
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "prometheus", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if table := w.registry.Table(metricPrefix); !strings.Contains(string(b), table) {
		t.Errorf("the README has not the table of metrics as it is:\n%s", table)
	}
}

// TestContract: every number of a section has a name and a help, and a registered check
// looks at every loss.
func TestContract(t *testing.T) {
	a := New(configs.Default(), Options{Out: io.Discard}, zap.NewNop())
	if len(a.registry.Fields()) < 150 {
		t.Errorf("only %d numbers", len(a.registry.Fields()))
	}
	for _, complaint := range a.registry.Complaints() {
		t.Error(complaint)
	}
}

// TestWebDefault: metrics that nobody asked for do not keep an instance from collecting
// where another process has their port.
func TestWebDefault(t *testing.T) {
	port := web.DefaultConfig().Listen
	if l, err := net.Listen("tcp", port); err == nil {
		defer l.Close()
	} // else another process has it, which is as good
	core, logs := observer.New(zap.WarnLevel)
	cfg, err := configs.Parse("test", fmt.Appendf(nil, "state_dir: %s\nlisten: [{udp: \"127.0.0.1:0\"}]\nintel: {feeds: [], deny: [62.0.0.53]}\n", shortDir(t)))
	if err != nil {
		t.Fatal(err)
	}
	a := New(cfg, Options{Out: io.Discard}, zap.New(core))
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if logs.FilterMessage("no metrics and no health over HTTP").Len() != 1 || a.Status().Web != nil {
		t.Errorf("log %v, status %+v", logs.All(), a.Status().Web)
	}
}

// TestWebClear: a token lets others than this host ask, and who lets it cross the network
// in clear text is told.
func TestWebClear(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	dir := shortDir(t)
	token := list(t, dir, "token", "secret")
	cfg, err := configs.Parse("test", fmt.Appendf(nil, "state_dir: %s\nlisten: [{udp: \"127.0.0.1:0\"}]\nintel: {feeds: [], deny: [62.0.0.53]}\nweb: {listen: \"0.0.0.0:0\", token_file: %s}\n", dir, token))
	if err != nil {
		t.Fatal(err)
	}
	a := New(cfg, Options{Out: io.Discard}, zap.New(core))
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if logs.FilterMessageSnippet("clear text").Len() != 1 {
		t.Errorf("log %v", logs.All())
	}
	at := fmt.Sprintf("http://127.0.0.1:%d/readyz", a.web.Addr().(*net.TCPAddr).Port)
	for bearer, want := range map[string]int{"": 401, "Bearer secre": 401, "Bearer secret": 200} {
		r, _ := http.NewRequest(http.MethodGet, at, nil)
		r.Header.Set("Authorization", bearer)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%q: %s, want %d", bearer, resp.Status, want)
		}
	}
}
