//go:build linux && (integration || soak)

// Package instance builds and runs the real binary for integration tests: it writes the
// configuration, starts, signals and stops the process, asks its control socket, sends it
// flows, and accounts for every event that comes out. Imported by tests alone.
package instance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// Patience detects what hangs; it does not measure speed.
const Patience = time.Minute

// A Target is a machine that is not this one: what the program is built for, and the
// emulator that runs it here. The zero Target is this machine.
type Target struct {
	Arch, ARM string   // as GOARCH and GOARM
	Emulator  []string // a command that takes a program and its arguments
}

// A made is a program for a machine.
type made struct{ name, arch, arm string }

// builds are the binaries that were made, each once for all tests of a package.
var builds sync.Map // of made to func() (string, error)

func build(m made) (string, error) {
	if dir := os.Getenv("FLOWSNITCH_PROGRAMS"); dir != "" && m.arch == "" {
		return filepath.Join(dir, m.name), nil // they are made once for the tests of all packages
	}
	dir, err := os.MkdirTemp("", m.name+"-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, m.name)
	cmd := exec.Command("go", "build", "-o", path, "github.com/flowsnitch/flowsnitch/cmd/"+m.name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if m.arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+m.arch, "GOARM="+m.arm)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", m.name, err, out)
	}
	return path, nil
}

// Build gives the path of flowsnitch or flowgen. The environment variable FLOWSNITCH_PROGRAMS
// names a folder that has both; without it they are built here.
func Build(name string) (string, error) { return Target{}.build(name) }

// Binary is Build that fails the test.
func Binary(t testing.TB, name string) string {
	t.Helper()
	return Target{}.Binary(t, name)
}

// Binary gives the path of flowsnitch or flowgen for the target.
func (m Target) Binary(t testing.TB, name string) string {
	t.Helper()
	path, err := m.build(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (m Target) build(name string) (string, error) {
	key := made{name, m.Arch, m.ARM}
	once, _ := builds.LoadOrStore(key, sync.OnceValues(func() (string, error) { return build(key) }))
	return once.(func() (string, error))()
}

// An Instance is a state directory and a configuration, and the process that runs on
// them, if one does.
type Instance struct {
	Dir    string
	Config string
	Env    []string // beside that of the test
	Target Target   // what the process runs on; commands that ask it run here
	Prefix []string // a command that runs the process, and Generate's, elsewhere (nsenter)
	// Patience is the time after which the process counts as hung; 0 = the package's.
	Patience time.Duration

	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	log  bytes.Buffer
}

// New writes a configuration: config comes after name, state directory, a listener on a
// free port of loopback, a hit log, and no metrics.
func New(t testing.TB, config string) *Instance {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	i := &Instance{Dir: dir, Config: filepath.Join(dir, "flowsnitch.yml")}
	t.Cleanup(func() {
		i.Kill()
		if t.Failed() {
			t.Logf("flowsnitch printed:\n%s", i.Log())
		}
		_ = os.RemoveAll(dir)
	})
	i.Configure(t, config)
	return i
}

// Configure writes the configuration anew.
func (i *Instance) Configure(t testing.TB, config string) {
	t.Helper()
	head := fmt.Sprintf("name: test\nstate_dir: %s\n", i.Dir)
	if !strings.Contains(config, "listen:") {
		head += "listen: [{udp: \"127.0.0.1:0\"}]\n"
	}
	if !strings.Contains(config, "sinks:") {
		head += "sinks: [{jsonlog: {}}]\n"
	}
	if !strings.Contains(config, "web:") {
		head += "web: {listen: \"\"}\n" // several run side by side
	}
	if err := os.WriteFile(i.Config, []byte(head+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Launch starts the process and does not wait for it to be ready.
func (i *Instance) Launch(t testing.TB) {
	t.Helper()
	program := i.Target.Binary(t, "flowsnitch")
	args := slices.Concat(i.Prefix, i.Target.Emulator, []string{program, "run", "-c", i.Config})
	i.cmd = exec.Command(args[0], args[1:]...)
	i.cmd.Env = append(os.Environ(), i.Env...)
	i.cmd.Stdout, i.cmd.Stderr = i, i
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done, cmd := make(chan struct{}), i.cmd
	i.done = done
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
}

// Start starts the process and waits until it listens.
func (i *Instance) Start(t testing.TB) {
	t.Helper()
	i.Launch(t)
	i.Until(t, "it listens", func() bool { return i.Address(t) != "" })
}

// Write takes what the process prints.
func (i *Instance) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.Write(p)
}

// Log is all that was printed so far, by all processes of the instance.
func (i *Instance) Log() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.String()
}

// PID is the process's.
func (i *Instance) PID() int { return i.cmd.Process.Pid }

// Signal sends a signal to the process.
func (i *Instance) Signal(s os.Signal) { _ = i.cmd.Process.Signal(s) }

// Kill ends the process with SIGKILL, if it runs, and waits for it.
func (i *Instance) Kill() { i.end(syscall.SIGKILL) }

// Stop ends the process as an operator would.
func (i *Instance) Stop() { i.end(syscall.SIGTERM) }

func (i *Instance) end(s os.Signal) {
	if i.cmd == nil {
		return
	}
	i.Signal(s)
	<-i.done
	i.cmd = nil
}

// Wait waits for the process to end by itself.
func (i *Instance) Wait() { <-i.done }

// Until waits for something to come true.
func (i *Instance) Until(t testing.TB, what string, f func() bool) {
	t.Helper()
	patience := cmp.Or(i.Patience, Patience)
	for deadline := time.Now().Add(patience); !f(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-i.done:
			t.Fatalf("the process has ended before: %s", what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// Command runs a command of the program with the configuration and gives what it prints
// on both outputs. It fails the test if it fails.
func (i *Instance) Command(t testing.TB, args ...string) string {
	t.Helper()
	out, err := i.Try(t, args...)
	if err != nil {
		t.Fatalf("flowsnitch %v: %v\n%s", args, err, out)
	}
	return out
}

// Try is Command that may fail.
func (i *Instance) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(Binary(t, "flowsnitch"), append(args, "-c", i.Config)...)
	cmd.Env = append(os.Environ(), i.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Status reads the status into v, and reports whether there is one.
func (i *Instance) Status(t testing.TB, v any) bool {
	t.Helper()
	out, err := i.Try(t, "status", "--json")
	return err == nil && json.Unmarshal([]byte(out), v) == nil
}

// Address is that of the listener, empty while there is none.
func (i *Instance) Address(t testing.TB) string {
	var s struct {
		Listeners []struct {
			Address string `json:"address"`
		} `json:"listeners"`
	}
	if !i.Status(t, &s) || len(s.Listeners) == 0 {
		return ""
	}
	return s.Listeners[0].Address
}

// Contact sends one flow of 10.0.0.5 to each address, as a v5 or v9 exporter would.
func (i *Instance) Contact(t testing.TB, addrs ...string) {
	t.Helper()
	conn, err := net.Dial("udp", i.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	now := time.Now()
	for n, text := range addrs {
		dst := netip.MustParseAddr(text)
		version, src := flow.V5, netip.MustParseAddr("10.0.0.5")
		if dst.Is6() {
			version, src = flow.V9, netip.MustParseAddr("fd00::5")
		}
		enc, err := synth.NewEncoder(synth.Config{Version: version, Domain: uint32(n)})
		if err != nil {
			t.Fatal(err)
		}
		f := synth.Flow{Src: src, Dst: dst, SrcPort: uint16(20000 + n), DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500}
		data, _, err := enc.Encode(nil, []synth.Flow{f}, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range [][]byte{enc.Templates(nil, now), data} {
			if len(d) == 0 {
				continue
			}
			if _, err := conn.Write(d); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
	}
}

// Hits gives the lines of the hit log that contain all of the parts.
func (i *Instance) Hits(t testing.TB, parts ...string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(i.Dir, "hits.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			lines = append(lines, line)
		}
	}
	return lines
}
