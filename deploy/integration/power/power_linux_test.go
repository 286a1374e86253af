//go:build integration || soak

package power

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// chores is how long it takes until flowsnitch has written each of its files.
const chores = 6 * time.Second

// patience bounds every wait: whatever takes longer hangs.
const patience = 60 * time.Second

// A site is a flowsnitch, what it keeps, and what sends to it.
type site struct {
	dir, state, config string
	random             *rand.Rand
	syslog             *server
	known              map[string]bool // events that were in the hit log
	lost               int             // the most that the damage can have taken
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &site{
		dir: dir, state: filepath.Join(dir, "state"), config: filepath.Join(dir, "f.yml"),
		random: rand.New(rand.NewPCG(seed, 1)), syslog: newServer(t), known: make(map[string]bool),
	}
	feed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 2000 {
			fmt.Fprintf(w, "62.%d.%d.1\n", i>>8, i&255)
		}
	}))
	t.Cleanup(feed.Close)
	write(t, filepath.Join(dir, "own.txt"), "203.0.113.0/24\n")
	port := instance.FreePort(t)
	write(t, s.config, fmt.Sprintf(`
name: power
state_dir: %s
listen: [{udp: "127.0.0.1:%d"}]
intel: {feeds: [{name: own, file: %s/own.txt, operator: true}, {name: web, url: %q}]}
sinks:
  - jsonlog: {}
  - syslog: {servers: [%q], transport: tcp, framing: lf, format: json, resend: 1s}
`, s.state, port, dir, feed.URL, s.syslog.address))
	s.start(t, nil, "flowgen", "--to", "127.0.0.1:"+strconv.Itoa(port), "--rate", "2000", "--flows", "20000",
		"--hits", "0.01", "--hit-list", "203.0.113.0/24", "--template-every", "50")
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts one of our programs, which ends with the test at the latest.
func (s *site) start(t *testing.T, log io.Writer, name string, args ...string) *exec.Cmd {
	t.Helper()
	p := exec.Command(instance.Binary(t, name), args...)
	p.Stderr = log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
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

func wait(t *testing.T, what string, log *text, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", patience, what, log)
		}
	}
}

// turn starts flowsnitch, sees to it that it says what it found damaged and that it
// works, and kills it.
func (s *site) turn(t *testing.T, done []harm, long bool) {
	t.Helper()
	before := s.size()
	var log text
	p := s.start(t, &log, "flowsnitch", "run", "-c", s.config)
	wait(t, "it listens", &log, func() bool { return strings.Contains(log.String(), " listens on ") })
	for _, h := range done {
		if !strings.Contains(log.String(), h.said()) {
			t.Errorf("%+v, and the log does not say %q:\n%s", h, h.said(), &log)
		}
	}
	wait(t, "a hit", &log, func() bool { return s.size() > before })
	time.Sleep(time.Duration(s.random.IntN(1000)) * time.Millisecond) // the random point
	if long {
		time.Sleep(chores) // now every file is there
	}
	p.Process.Kill()
	p.Wait()
	s.read(t, before)
}

// size is that of the hit log.
func (s *site) size() int64 {
	info, err := os.Stat(filepath.Join(s.state, "hits.json"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// read notes the events in the hit log from a place on. What is before may be damaged.
func (s *site) read(t *testing.T, from int64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.state, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b[from:]) {
		var e struct{ ID string }
		if json.Unmarshal(line, &e) == nil && e.ID != "" {
			s.known[e.ID] = true
		}
	}
}

// TestPower: the power goes again and again while flows come in, and each time about
// half of the files lose or change something at their ends. In every third round none
// does: then nothing may be lost at all.
func TestPower(t *testing.T) {
	s := newSite(t)
	var done []harm
	harms := make(map[string]int)
	for i := range rounds {
		s.turn(t, done, i%10 == 0)
		if t.Failed() {
			t.Fatalf("round %d after %+v", i, done)
		}
		if done = nil; i%3 != 2 {
			done = damage(t, s.state, s.random)
		}
		for _, h := range done {
			harms[filepath.Join(filepath.Dir(h.file), "*"+filepath.Ext(h.file))]++
			if strings.HasSuffix(h.file, ".events") {
				s.lost += 1 + h.cut/200 // bytes of a short event in the journal, and the one that is torn
			}
		}
	}
	s.finish(t, done)
	t.Logf("%d rounds, %d events in the hit log, of which at most %d are lost; damaged: %v", rounds, len(s.known), s.lost, harms)
}

// finish lets the syslog server work again and waits until it has every event that the
// hit log had, apart from those that the damage can have taken.
func (s *site) finish(t *testing.T, done []harm) {
	t.Helper()
	s.syslog.start(t)
	var log text
	s.start(t, &log, "flowsnitch", "run", "-c", s.config)
	missing := func() (n int) {
		s.syslog.mu.Lock()
		defer s.syslog.mu.Unlock()
		for id := range s.known {
			if !s.syslog.seen[id] {
				n++
			}
		}
		return n
	}
	defer func() {
		if t.Failed() {
			t.Logf("%d events are missing, the damage can have taken %d", missing(), s.lost)
		}
	}()
	wait(t, "all events", &log, func() bool { return missing() <= s.lost })
}

// A server takes syslog over TCP, once it is started.
type server struct {
	address string
	mu      sync.Mutex
	seen    map[string]bool // by id
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{address: fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t)), seen: make(map[string]bool)}
}

func (s *server) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.take(c)
		}
	}()
}

func (s *server) take(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, id, _ := strings.Cut(lines.Text(), `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		s.mu.Lock()
		s.seen[id] = true
		s.mu.Unlock()
	}
}
