package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// TestStalledWorker: a worker that stalls is named by the status, /readyz, /metrics and
// the log while the process lives; the supervisor, which hears nothing more, kills it, and
// after that all is OK again.
func TestStalledWorker(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "", time.Minute) // patient, so that there is somebody to ask
	site := "http://" + freeTCP(t)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	more := fmt.Sprintf("web: {listen: %q}\nintel: {feeds: [], deny: [62.0.0.53]}\nclock: {check: \"off\"}\n", strings.TrimPrefix(site, "http://"))
	if err := os.WriteFile(s.config, append(text, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	log := s.log(t)
	s.start()
	s.mustHear("READY=1")
	if code, text := getText(t, site+"/readyz"); code != http.StatusOK {
		t.Fatalf("readyz %d %s", code, text)
	}
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(stall)); err != nil {
		t.Fatal(err)
	}
	named := "a worker of udp 127.0.0.1:"
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		code, ready := getText(t, site+"/readyz")
		if code == http.StatusServiceUnavailable && strings.Contains(ready, "workers: "+named) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz %d %s", code, ready)
		}
	}
	if f := statusOf(t, site).find("workers"); f.State != observe.Critical || !strings.Contains(f.Text, named) {
		t.Errorf("the status says %+v", f)
	}
	if _, text := getText(t, site+"/metrics"); !strings.Contains(text, `flowsnitch_check_state{check="workers"} 2`) {
		t.Errorf("metrics\n%s", text)
	}
	if text := log(); !strings.Contains(text, named) {
		t.Errorf("the log has only\n%s", text)
	}
	s.process.Process.Kill()
	s.process.Wait()
	s.start()
	s.mustHear("READY=1")
	s.mustHear("WATCHDOG=1")
	if code, text := getText(t, site+"/readyz"); code != http.StatusOK {
		t.Errorf("after a restart readyz %d %s", code, text)
	}
}

// find gives the finding of a check.
func (s Status) find(check string) observe.Finding {
	for _, f := range s.Health {
		if f.Check == check {
			return f
		}
	}
	return observe.Finding{}
}

func statusOf(t *testing.T, site string) (s Status) {
	t.Helper()
	_, text := getText(t, site+"/api/v1/status")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func getText(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
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

// freeTCP gives an address of loopback that nobody listens on.
func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
