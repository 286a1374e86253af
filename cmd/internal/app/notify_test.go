package app

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"go.uber.org/zap"
)

// hang bounds every wait: whatever takes longer hangs.
const hang = time.Minute

// serviceEnv tells the test binary to be the service of a supervisor.
const serviceEnv = "FLOWSNITCH_TEST_SERVICE"

// stall is a payload at which the worker of the service stops for good.
const stall = "stall"

// A stallingSource hangs when it is told to, as a worker does that waits for
// something that never comes.
type stallingSource struct{ collect.Source }

func (s stallingSource) Read(batch []flow.Datagram) (int, error) {
	n, err := s.Source.Read(batch)
	for _, d := range batch[:n] {
		if string(d.Payload) == stall {
			select {}
		}
	}
	return n, err
}

// TestService is the service of a supervisor, not a test.
func TestService(t *testing.T) {
	path := os.Getenv(serviceEnv)
	if path == "" {
		return
	}
	cfg, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	hup, term := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Notify(term, syscall.SIGTERM)
	a := New(cfg, Options{ConfigFile: path, Out: os.Stdout, Notify: true}, zap.NewExample())
	a.listeners.wrap = func(s collect.Source) collect.Source { return stallingSource{s} }
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-hup:
			if err := a.Reload(); err != nil {
				t.Error(err)
			}
		case <-term:
			if err := a.Stop(); err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// A supervisor starts the service and hears what it says, as systemd does.
type supervisor struct {
	t        *testing.T
	socket   *net.UnixConn
	watchdog time.Duration
	config   string
	port     int
	env      []string
	out      *os.File // for what the service prints; nil = nowhere
	process  *exec.Cmd
}

// log makes the service print into a file. It gives what is there.
func (s *supervisor) log(t *testing.T) func() string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s.out = f
	return func() string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func newSupervisor(t *testing.T, address string, watchdog time.Duration) *supervisor {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if address == "" {
		address = filepath.Join(dir, "notify")
	}
	s := &supervisor{t: t, watchdog: watchdog, config: filepath.Join(dir, "f.yml"), port: freePort(t)}
	s.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.socket.Close() })
	text := fmt.Sprintf("name: test\nstate_dir: %s\nlisten: [{udp: \"127.0.0.1:%d\"}]\n", dir, s.port)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// start starts the service.
func (s *supervisor) start() {
	s.t.Helper()
	s.process = exec.Command(os.Args[0], "-test.run=^TestService$")
	s.process.Env = append(os.Environ(), serviceEnv+"="+s.config,
		"NOTIFY_SOCKET="+s.socket.LocalAddr().String(), fmt.Sprintf("WATCHDOG_USEC=%d", s.watchdog.Microseconds()))
	s.process.Env = append(s.process.Env, s.env...)
	if s.out != nil {
		s.process.Stdout, s.process.Stderr = s.out, s.out
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := s.process
	s.t.Cleanup(func() { p.Process.Kill(); p.Wait() })
}

// hear waits for the next assignment that begins with prefix and gives all that came
// with it. Silence for longer than within gives nil.
func (s *supervisor) hear(prefix string, within time.Duration) []string {
	s.t.Helper()
	s.socket.SetReadDeadline(time.Now().Add(within))
	for b := make([]byte, 4096); ; {
		n, err := s.socket.Read(b)
		if err != nil {
			return nil
		}
		lines := strings.Split(string(b[:n]), "\n")
		if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
			return lines
		}
	}
}

func (s *supervisor) mustHear(prefix string) []string {
	s.t.Helper()
	lines := s.hear(prefix, hang)
	if lines == nil {
		s.t.Fatalf("the service did not say %s", prefix)
	}
	return lines
}

// TestNotify: the whole life of a service, over a socket with a path and over an
// abstract one.
func TestNotify(t *testing.T) {
	addresses := []string{""}
	if _, err := os.Stat("/proc/self"); err == nil {
		addresses = append(addresses, fmt.Sprintf("@flowsnitch-test-%d", os.Getpid()))
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			serviceLife(t, newSupervisor(t, address, time.Second))
		})
	}
}

func serviceLife(t *testing.T, s *supervisor) {
	t.Helper()
	s.start()
	ready := s.mustHear("READY=1")
	if c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
		c.Close()
		t.Error("it said that it is ready before its socket was bound")
	}
	if !slices.ContainsFunc(ready, func(l string) bool { return strings.HasPrefix(l, "STATUS=collecting on 1 ") }) {
		t.Errorf("it did not say what it does: %q", ready)
	}
	for range 3 { // nothing comes, and it lives
		s.mustHear("WATCHDOG=1")
	}
	s.process.Process.Signal(syscall.SIGHUP)
	s.mustHear("RELOADING=1")
	s.mustHear("READY=1")
	s.process.Process.Signal(syscall.SIGTERM)
	s.mustHear("STOPPING=1")
	if err := s.process.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWatchdog: one stalled worker is enough for a supervisor to restart the service.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "", time.Second)
	s.start()
	s.mustHear("READY=1")
	s.mustHear("WATCHDOG=1")
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(stall)); err != nil {
		t.Fatal(err)
	}
	if said := s.mustHear("STATUS=worker 1 of udp 127.0.0.1:"); !strings.HasSuffix(said[0], " has stalled") {
		t.Errorf("it says %q", said)
	}
	if said := s.hear("WATCHDOG=1", 2*s.watchdog); said != nil {
		t.Fatalf("a worker has stalled, and still it says %q", said)
	}
	s.process.Process.Kill()
	s.process.Wait()
	s.start()
	s.mustHear("READY=1")
	s.mustHear("WATCHDOG=1")
}

// TestWatchdogOfAnother: a watchdog that is for another process is not fed.
func TestWatchdogOfAnother(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "", time.Second)
	s.env = []string{fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid())}
	s.start()
	s.mustHear("READY=1")
	if said := s.hear("WATCHDOG=1", 2*s.watchdog); said != nil {
		t.Errorf("it says %q", said)
	}
}
