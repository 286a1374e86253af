//go:build integration

package prometheus

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// promtool runs Prometheus' own checker in the folder of the files.
func promtool(t *testing.T, stdin io.Reader, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir, cmd.Stdin = files, stdin
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "FAILED") {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// TestFiles: rules and configuration are right, and each cause raises its alert and no
// other.
func TestFiles(t *testing.T) {
	promtool(t, nil, "check", "rules", "flowsnitch-rules.yml")
	promtool(t, nil, "check", "config", "prometheus.yml")
	promtool(t, nil, "test", "rules", "flowsnitch-rules-test.yml")
}

// A logServer takes syslog over TCP, until it is closed.
type logServer struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
}

func serveLog(t *testing.T, addr string) *logServer {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &logServer{listener: l}
	t.Cleanup(s.close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			go func() { _, _ = io.Copy(io.Discard, bufio.NewReader(c)) }()
		}
	}()
	return s
}

func (s *logServer) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// export sends a flow to a listed address several times a second, until the returned
// function is called.
func export(t *testing.T, port int) (stop func()) {
	t.Helper()
	s := instance.NewSender(t, fmt.Sprintf("127.0.0.1:%d", port), 7)
	return s.Every(t, 200*time.Millisecond, s.Data)
}

// scrape gets the metrics as Prometheus does.
func scrape(t *testing.T, port int, ca, token string) (int, string) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(instance.ReadFile(t, ca)))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/metrics", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestAlerts pulls one wire after another.
func TestAlerts(t *testing.T) {
	dir, ca := t.TempDir(), authority.New(t)
	cert, key := ca.Issue(t)
	token := instance.WriteFile(t, filepath.Join(dir, "token"), "a3f1c09be2\n")
	list := instance.WriteFile(t, filepath.Join(dir, "bad.txt"), "62.0.0.0/24\n")
	port := instance.FreePort(t)
	collector := serveLog(t, "127.0.0.1:0")
	i := instance.New(t, fmt.Sprintf(`
listen: [{udp: "127.0.0.1:%d"}]
web: {listen: "127.0.0.1:%d", token_file: %s, tls: {cert: %s, key: %s}}
intel: {feeds: [{name: bad, file: %s}]}
canary: {every: 5s}
clock: {check: "off"}
sinks:
  - jsonlog: {}
  - syslog: {servers: ["%s"], transport: tcp}
    delivery: {backoff_max: 1s}
`, port, port, token, cert, key, list, collector.listener.Addr()))
	i.Start(t)
	stop := export(t, port)
	i.Until(t, "a hit", func() bool { return len(i.Hits(t, `"kind":"hit"`)) > 0 })

	if code, text := scrape(t, port, ca.File, "wrong"); code != http.StatusUnauthorized || strings.Contains(text, "flowsnitch_") {
		t.Errorf("a wrong token gets %d\n%s", code, text)
	}
	code, text := scrape(t, port, ca.File, "a3f1c09be2")
	if code != http.StatusOK {
		t.Fatalf("the token gets %d\n%s", code, text)
	}
	promtool(t, strings.NewReader(text), "check", "metrics")

	s := start(t, port, ca.File, token)
	s.until(t, "the hit is in the series", func() bool {
		return s.query(t, `up{job="flowsnitch"} == 1`) == 1 && s.query(t, `flowsnitch_hits_total{feed="bad",direction="outbound"} > 0`) == 1
	})
	for _, name := range []string{"FlowsnitchDown", "FlowsnitchNotReady", "FlowsnitchSinkFailing", "FlowsnitchExporterSilent", "FlowsnitchNothingListed"} {
		s.ends(t, name)
	}

	collector.close()
	if got := s.fires(t, "FlowsnitchSinkFailing")["sink"]; !strings.HasPrefix(got, "syslog") {
		t.Errorf("%s fails, not the syslog", got)
	}
	serveLog(t, collector.listener.Addr().String())
	s.ends(t, "FlowsnitchSinkFailing")

	stop()
	if got := s.fires(t, "FlowsnitchExporterSilent")["exporter"]; got != "127.0.0.1" {
		t.Errorf("%s is silent, not 127.0.0.1", got)
	}
	export(t, port)
	s.ends(t, "FlowsnitchExporterSilent")

	i.Kill()
	s.fires(t, "FlowsnitchDown")
	i.Start(t)
	s.ends(t, "FlowsnitchDown")
}
