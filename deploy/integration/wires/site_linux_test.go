//go:build integration

package wires

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/twmb/franz-go/pkg/kfake"
)

// patience is what an operator was promised; turning well takes longer, as losses are
// those of the last two minutes.
const patience = 2*time.Minute + 20*time.Second

// A wire is an instance and what can be pulled out of it.
type wire struct {
	*instance.Instance
	name, check, words string
	web                string
	pull, mend         func(*testing.T)
	domain             uint32
	mark               int // of the log, when the wire was pulled
}

// newWire starts an instance. Beside config it has one listed address and the web server.
func newWire(t *testing.T, name, check, words, config string) *wire {
	t.Helper()
	if !strings.Contains(config, "intel:") {
		config += "\nintel: {feeds: [], deny: [62.0.0.0/24]}"
	}
	w := &wire{name: name, check: check, words: words, web: fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t))}
	w.Instance = instance.New(t, fmt.Sprintf("listen: [{udp: \"127.0.0.1:0\"}]\nweb: {listen: %q}\nclock: {check: \"off\"}\n%s\n", w.web, config))
	w.Patience = patience
	w.Start(t)
	return w
}

func (w *wire) until(t *testing.T, what string, f func(*testing.T) bool) {
	t.Helper()
	w.Until(t, w.name+": "+what, func() bool {
		time.Sleep(500 * time.Millisecond) // asking is work, too
		return f(t)
	})
}

// ask asks by the plugin.
func (w *wire) ask(t *testing.T) (string, error) {
	t.Helper()
	out, err := exec.Command(instance.Binary(t, "flowsnitch"), "check", "--config", w.Config).Output()
	return string(out), err
}

// get asks the web server.
func (w *wire) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + w.web + path)
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

// allOK is what a check prints when nothing is wrong, however many checks there are.
var allOK = regexp.MustCompile(`all \d+ checks OK`)

// well reports whether all four say that nothing is wrong.
func (w *wire) well(t *testing.T) bool {
	if out, err := w.ask(t); err != nil || !allOK.MatchString(out) {
		return false
	}
	code, ready := w.get(t, "/readyz")
	_, metrics := w.get(t, "/metrics")
	if code != http.StatusOK || strings.Contains(ready, "warnings") || len(badIn(metrics)) > 0 {
		t.Logf("%s: check says that all is well, but %d %s %v", w.name, code, ready, badIn(metrics))
		return false // they are not asked at the same moment
	}
	return true
}

// named reports whether all four name the cause.
func (w *wire) named(t *testing.T) bool {
	said, err := w.ask(t)
	_, ready := w.get(t, "/readyz")
	_, metrics := w.get(t, "/metrics")
	return err != nil && strings.Contains(said, w.check+": ") && strings.Contains(said, w.words) && strings.Contains(ready, w.words) &&
		slices.Contains(badIn(metrics), w.check) && strings.Contains(w.Log()[w.mark:], w.words)
}

// badIn gives the checks that the metrics call bad.
func badIn(metrics string) (bad []string) {
	for line := range strings.Lines(metrics) {
		var check string
		var state int
		if n, _ := fmt.Sscanf(line, "flowsnitch_check_state{check=%q} %d", &check, &state); n == 2 && state > 0 {
			bad = append(bad, check)
		}
	}
	return bad
}

// onlyItself waits until nothing else is said to be bad: on a busy machine something may
// be late. A sink that does not deliver does not deliver the self-test either.
func (w *wire) onlyItself(t *testing.T) {
	t.Helper()
	w.until(t, "nothing else is bad", func(t *testing.T) bool {
		_, metrics := w.get(t, "/metrics")
		for _, check := range badIn(metrics) {
			if check != w.check && (check != "canary" || w.check != "sinks") {
				out, _ := w.ask(t)
				t.Logf("%s: %s is bad, too: %s", w.name, check, out)
				return false
			}
		}
		return true
	})
}

// recovers waits until the log shows that the check has recovered, and fails if it shows
// that again and again.
func (w *wire) recovers(t *testing.T) {
	t.Helper()
	n := 0
	w.until(t, "the recovery is in the log", func(*testing.T) bool {
		n = 0
		for line := range strings.Lines(w.Log()[w.mark:]) {
			if strings.Contains(line, "OK again: ") && strings.Contains(line, fmt.Sprintf(`{"check": %q}`, w.check)) {
				n++
			}
		}
		return n > 0
	})
	if n != 1 {
		t.Errorf("%s: the log says %d times that the check is OK again", w.name, n)
	}
}

// sender makes another exporter that sends to the instance.
func (w *wire) sender(t *testing.T) *instance.Sender {
	t.Helper()
	w.domain++
	return instance.NewSender(t, w.Address(t), w.domain)
}

// A provider serves a list, or an error.
type provider struct {
	url    string
	broken atomic.Bool
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "62.0.0.0/24")
	}))
	t.Cleanup(s.Close)
	p.url = s.URL + "/bad.txt"
	return p
}

// A broker is a Kafka within this process.
type broker struct {
	port    int
	cluster *kfake.Cluster
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{port: instance.FreePort(t)}
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.SeedTopics(1, "flowsnitch.hits", "flowsnitch.alerts", "flowsnitch.canary"))
	if err != nil {
		t.Fatal(err)
	}
	b.cluster = c
}

func (b *broker) stop() { b.cluster.Close() }

// mountSmall gives a directory of a file system of its own, of 1 MiB.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; _, err = f.Write(block) {
	}
}
