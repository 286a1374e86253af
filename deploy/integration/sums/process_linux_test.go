//go:build integration || soak

package sums

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The times that may pass before a test takes something for hung. Nothing waits for
// their end when all is well.
const (
	patience  = 60 * time.Second
	pollEvery = 20 * time.Millisecond
)

// flowsnitch and flowgen are the programs, built once for all tests.
var flowsnitch, flowgen string

func TestMain(m *testing.M) {
	var err, err2 error
	flowsnitch, err = instance.Build("flowsnitch")
	flowgen, err2 = instance.Build("flowgen")
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A site is where a collector lives: its state directory, configuration and address
// outlive the process.
type site struct {
	program string
	dir     string
	config  string
	target  netip.AddrPort
}

// options are what the tests set differently.
type options struct {
	program string // default: flowsnitch
	sockets int    // default: 1
	buffer  int    // bytes, default: the program's own
	listed  string // default: a prefix that nothing here touches
	sinks   string // default: none
}

// newSite makes a collector's place on a free port. Its directory has a short path, for
// the control socket.
func newSite(t *testing.T, o options) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "sums-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{program: o.program, dir: dir, config: filepath.Join(dir, "flowsnitch.yml"), target: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(instance.FreePort(t)))}
	if s.program == "" {
		s.program = flowsnitch
	}
	listener := fmt.Sprintf("udp: %q, sockets: %d, allow: [%s]", s.target, max(o.sockets, 1), allowed)
	if o.buffer > 0 {
		listener += fmt.Sprintf(", receive_buffer: %d", o.buffer)
	}
	if o.listed == "" {
		o.listed = "192.0.2.0/24"
	}
	config := fmt.Sprintf("name: sums\nstate_dir: %s\nlisten: [{%s}]\nintel: {feeds: [], deny: [%s]}\ncanary: {every: 0s}\n%s\n", dir, listener, o.listed, o.sinks)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// A collector is a running flowsnitch.
type collector struct {
	*site
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed at its end
	err  error         // how it ended; after done
}

// output gathers what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start starts a collector and waits until it listens. It dies with the test process,
// however that ends.
func (s *site) start(t *testing.T) *collector {
	t.Helper()
	c := &collector{site: s, cmd: exec.Command(s.program, "run", "-c", s.config), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		c.kill(t)
		if t.Failed() {
			t.Logf("flowsnitch ended with %v and printed:\n%s", c.err, &c.out)
		}
	})
	c.eventually(t, "flowsnitch listens", func() bool {
		st, err := c.ask()
		return err == nil && !st.Starting
	})
	return c
}

// signal sends a signal to the process, which must be there.
func (c *collector) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %v: %v", sig, err)
	}
}

// kill ends the process at once, as a crash does. It may have ended already.
func (c *collector) kill(t *testing.T) {
	t.Helper()
	c.cmd.Process.Kill()
	<-c.done
}

// stop ends the process in order and gives its last words.
func (c *collector) stop(t *testing.T) summary {
	t.Helper()
	c.signal(t, syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Fatalf("no end %v after SIGTERM", patience)
	}
	if c.err != nil {
		t.Errorf("flowsnitch ended with %v", c.err)
	}
	return parseSummary(t, c.out.String())
}

// eventually waits until ok holds.
func (c *collector) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(pollEvery) {
		select {
		case <-c.done:
			t.Fatalf("flowsnitch ended before this: %s", what)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// A status is the answer of `flowsnitch status --json`, as far as it is added up here.
type status struct {
	Starting  bool `json:"starting"`
	Listeners []struct {
		Datagrams     uint64 `json:"datagrams"`
		Refused       uint64 `json:"refused"`
		KernelDrops   uint64 `json:"kernel_drops"`
		DropsKnown    bool   `json:"kernel_drops_known"`
		Truncated     uint64 `json:"truncated"`
		Unread        uint64 `json:"unread"`
		BufferGranted int    `json:"buffer_granted"`
	} `json:"listeners"`
	Decoded struct {
		Versions map[string]struct {
			Datagrams uint64 `json:"datagrams"`
			Records   uint64 `json:"records"`
		} `json:"versions"`
		Templates   uint64            `json:"templates"`
		UnknownSets uint64            `json:"unknown_template_sets"`
		Problems    map[string]uint64 `json:"problems"`
	} `json:"decoded"`
	Exporters struct {
		decode.ExportersStats
		List []decode.ExporterStatus `json:"list"`
	} `json:"exporters"`
	Hits struct {
		Found        uint64 `json:"found"`
		HitQueueFull uint64 `json:"hit_queue_full"`
	} `json:"hits"`
	Sinks []struct {
		Sent    uint64 `json:"sent"`
		Pending uint64 `json:"pending"`
		Dropped uint64 `json:"dropped"`
	} `json:"sinks"`
}

// ask asks the running process.
func (c *collector) ask() (s status, err error) {
	out, err := exec.Command(flowsnitch, "status", "-c", c.config, "--json").Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// arrived is every datagram that the sockets have counted, however they counted it.
func (s *status) arrived() uint64 {
	l := s.Listeners[0]
	return l.Datagrams + l.Refused + l.KernelDrops + l.Unread
}

// decoded is the number of datagrams that went through the decoders.
func (s *status) decoded() (n uint64) {
	for _, v := range s.Decoded.Versions {
		n += v.Datagrams
	}
	return n
}

// settle waits until every one of the datagrams sent is in a counter and what was
// received has been decoded: sent = received + kernel drops + refused.
func (c *collector) settle(t *testing.T, sent uint64) (s status) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pollEvery) {
		s, err = c.ask()
		if err == nil && s.arrived() >= sent && s.decoded() >= s.Listeners[0].Datagrams {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := s.arrived(); got != sent || !s.Listeners[0].DropsKnown {
		t.Fatalf("sent %d datagrams, %d are counted: %+v (drops of this machine before any socket: %s)",
			sent, got, s.Listeners[0], backlogDrops())
	}
	if got := s.decoded(); got != s.Listeners[0].Datagrams {
		t.Fatalf("received %d datagrams, decoded %d", s.Listeners[0].Datagrams, got)
	}
	for reason, n := range s.Decoded.Problems {
		if n != 0 {
			t.Errorf("not decoded because of %s: %d", reason, n)
		}
	}
	return s
}

// backlogDrops tells what the kernel dropped on the way to the sockets since it was
// booted, the second column of each processor's line. Nothing of ours can count that.
func backlogDrops() string {
	b, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return err.Error()
	}
	var all []string
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 1 {
			all = append(all, string(f[1]))
		}
	}
	return fmt.Sprint(all)
}
