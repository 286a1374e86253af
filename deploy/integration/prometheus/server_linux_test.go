//go:build integration

package prometheus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// patience detects what hangs; it says nothing about speed.
const patience = time.Minute

// files is where the files of deploy/prometheus are.
var files = filepath.Join("..", "..", "prometheus")

// A server is a running Prometheus.
type server struct {
	url  string
	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{}
}

// Write takes what Prometheus prints.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

var waiting = regexp.MustCompile(`(?m)^( +for:) .*$`)

// hasty makes the rules quick: alerts wait for a second only, and silence is short.
func hasty(t *testing.T, rules string) string {
	t.Helper()
	rules = waiting.ReplaceAllString(rules, "$1 1s")
	return instance.Replace(t, rules, "flowsnitch_exporter_silence_seconds > 900", "flowsnitch_exporter_silence_seconds > 4")
}

// start runs Prometheus on the files of deploy/prometheus, for a flowsnitch at a port. The
// part of the configuration for other hosts, a comment there, holds here.
func start(t *testing.T, port int, ca, token string) *server {
	t.Helper()
	dir := t.TempDir()
	config := instance.Replace(t, instance.ReadFile(t, filepath.Join(files, "prometheus.yml")), "127.0.0.1:8055", fmt.Sprintf("127.0.0.1:%d", port))
	config = instance.Replace(t, config, "15s", "1s")
	config = instance.Replace(t, config, "\n#    ", "\n    ")
	config = instance.Replace(t, config, "/etc/prometheus/flowsnitch.token", token)
	config = instance.Replace(t, config, "/etc/prometheus/flowsnitch-ca.pem", ca)
	config = "global: {evaluation_interval: 1s}\n" + config
	instance.WriteFile(t, filepath.Join(dir, "flowsnitch-rules.yml"), hasty(t, instance.ReadFile(t, filepath.Join(files, "flowsnitch-rules.yml"))))
	file := instance.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)

	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", instance.FreePort(t)), done: make(chan struct{})}
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+strings.TrimPrefix(s.url, "http://"), "--log.level=warn")
	cmd.Stdout, cmd.Stderr = s, s
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.done
		if t.Failed() {
			t.Logf("Prometheus printed:\n%s", s.log.String())
		}
	})
	s.until(t, "Prometheus is ready", func() bool {
		resp, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// until waits for something to come true.
func (s *server) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(100 * time.Millisecond) {
		select {
		case <-s.done:
			t.Fatalf("Prometheus has ended before: %s", what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s; alerts: %v", patience, what, s.alerts(t))
		}
	}
}

// get asks the API of Prometheus.
func (s *server) get(t *testing.T, path string, v any) {
	t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", path, resp.Status, err, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, b)
	}
}

// query gives the number of series of an expression.
func (s *server) query(t *testing.T, expr string) int {
	t.Helper()
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	s.get(t, "/api/v1/query?query="+url.QueryEscape(expr), &answer)
	return len(answer.Data.Result)
}

// alerts gives the labels of the alerts that fire, by name.
func (s *server) alerts(t *testing.T) map[string]map[string]string {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	s.get(t, "/api/v1/alerts", &answer)
	firing := make(map[string]map[string]string)
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			firing[a.Labels["alertname"]] = a.Labels
		}
	}
	return firing
}

// fires waits for an alert and gives its labels; ends waits for its end.
func (s *server) fires(t *testing.T, alert string) (labels map[string]string) {
	t.Helper()
	s.until(t, alert+" fires", func() bool {
		labels = s.alerts(t)[alert]
		return labels != nil
	})
	return labels
}

func (s *server) ends(t *testing.T, alert string) {
	t.Helper()
	s.until(t, alert+" ends", func() bool { return s.alerts(t)[alert] == nil })
}
