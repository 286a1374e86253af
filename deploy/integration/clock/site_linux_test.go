//go:build integration

package clock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// patience bounds every wait: whatever takes longer hangs.
const patience = 60 * time.Second

// A site is a flowsnitch in an emulator, whose wall clock the test sets.
type site struct {
	dir, state, config string
	port, web          int
	log                text
	process            *exec.Cmd
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{dir: dir, state: filepath.Join(dir, "state"), config: filepath.Join(dir, "f.yml"), port: instance.FreePort(t), web: instance.FreePort(t)}
	s.write(t, "list.txt", "62.113.0.0/24\n62.114.0.0/24\n")
	s.set(t, "+0")
	s.write(t, "f.yml", fmt.Sprintf(`
name: clock
state_dir: %s
listen: [{udp: "127.0.0.1:%d"}]
web: {listen: "127.0.0.1:%d"}
intel: {feeds: [{name: aged, file: %s/list.txt, max_age: 24h}]}
sinks: [{jsonlog: {rotate: day}}]
`, s.state, s.port, s.web, dir))
	return s
}

// write replaces a file at once: it is read again and again.
func (s *site) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// set sets the wall clock of the program, as an offset to the real one.
func (s *site) set(t *testing.T, offset string) {
	t.Helper()
	s.write(t, "offset", offset+"\n")
}

// start starts the program and waits until it listens.
func (s *site) start(t *testing.T) {
	t.Helper()
	libs, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if err != nil || len(libs) == 0 {
		t.Fatal("libfaketime is not here (make integration installs it)")
	}
	s.log = text{}
	s.process = exec.Command("qemu-aarch64", instance.Target{Arch: "arm64"}.Binary(t, "flowsnitch"), "run", "-c", s.config)
	s.process.Env = append(os.Environ(), "LD_PRELOAD="+libs[0], "FAKETIME_TIMESTAMP_FILE="+filepath.Join(s.dir, "offset"),
		"FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1")
	s.process.Stderr = &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatalf("%v (make integration installs it)", err)
	}
	p := s.process
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	s.wait(t, "it listens", func() bool { return strings.Contains(s.log.String(), " listens on ") })
}

// stop ends the program as Ctrl-C does.
func (s *site) stop(t *testing.T) {
	t.Helper()
	s.process.Process.Signal(os.Interrupt)
	if err := s.process.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &s.log)
	}
}

// send sends flows, some of them with listed addresses. The seed decides which.
func (s *site) send(t *testing.T, seed int) {
	t.Helper()
	out, err := exec.Command(instance.Binary(t, "flowgen"), "--to", fmt.Sprintf("127.0.0.1:%d", s.port),
		"--rate", "500", "--count", "500", "--flows", "500", "--hits", "0.05", "--hit-list", "62.113.0.0/24",
		"--seed", fmt.Sprint(seed)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A status is what the program says of itself, as far as the test looks at it.
type status struct {
	Intel struct {
		Indicators int `json:"indicators"`
	} `json:"intel"`
	Clock struct {
		State    string    `json:"state"`
		Trusted  time.Time `json:"trusted"`
		Jumps    int       `json:"jumps"`
		LastJump float64   `json:"last_jump_seconds"`
	} `json:"clock"`
}

func (s *site) status(t *testing.T) (st status) {
	t.Helper()
	out, err := exec.Command(instance.Binary(t, "flowsnitch"), "status", "-c", s.config, "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	if err != nil {
		t.Fatalf("status: %v\n%s", err, &s.log)
	}
	return st
}

// An event is a line of the hit log, as far as the test looks at it.
type event struct {
	Event      string    `json:"kind"`
	Timestamp  time.Time `json:"@timestamp"`
	Flowsnitch struct {
		Clock string `json:"clock"`
	} `json:"flowsnitch"`
}

// hits gives the events of a kind, those in rotated files included.
func (s *site) hits(t *testing.T) (all []event) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(s.state, "hits.json*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		if strings.HasSuffix(path, ".lock") {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v: %s", path, err, line)
			}
			if e.Event == "hit" {
				all = append(all, e)
			}
		}
	}
	return all
}

func (s *site) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", patience, what, &s.log)
		}
	}
}

// A text is what a program prints, while it prints.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// voices gives what tells people how the program is: 'flowsnitch check', /readyz, /metrics
// and the log.
func (s *site) voices(t *testing.T) (check, ready, metrics, log string) {
	t.Helper()
	out, _ := exec.Command(instance.Binary(t, "flowsnitch"), "check", "clock", "--config", s.config).Output()
	return string(out), s.get(t, "/readyz"), s.get(t, "/metrics"), s.log.String()
}

func (s *site) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.web, path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
