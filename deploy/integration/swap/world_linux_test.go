//go:build integration || soak

package swap

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// A pair is the two ends of a flow.
type pair [2]netip.Addr

// addresses gives n addresses that every set lists.
func addresses(n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{62, 1, byte(i >> 8), byte(i)}))
	}
	return out
}

func write(t *testing.T, path string, addrs []netip.Addr) {
	t.Helper()
	var b bytes.Buffer
	for _, a := range addrs {
		fmt.Fprintln(&b, a)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// generator is what the generator is told of its flows, here and when it sends.
func generator(hitList string) []string {
	return []string{"--version", "v9", "--home", "10.0.0.0/8", "--hit-list", hitList, "--hits", strconv.FormatFloat(share, 'f', -1, 64),
		"--flows", strconv.Itoa(ring), "--json"}
}

// flowsOf gives the flows of the ring, in order.
func flowsOf(t *testing.T, dir, hitList string) (flows []pair) {
	t.Helper()
	capture := filepath.Join(dir, "ring.pcap")
	args := append(generator(hitList), "--pcap", capture, "--rate", "0", "--count", strconv.Itoa(ring))
	if out, err := exec.Command(instance.Binary(t, "flowgen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("flowgen: %v\n%s", err, out)
	}
	cmd := exec.Command(instance.Binary(t, "flowsnitch"), "decode", capture)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(out); in.Scan(); {
		var f struct{ Src, Dst netip.Addr }
		if err := json.Unmarshal(in.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		flows = append(flows, pair{f.Src, f.Dst})
	}
	if err := cmd.Wait(); err != nil || len(flows) != ring {
		t.Fatalf("%d flows in the ring, %v", len(flows), err)
	}
	return flows
}

// hitsOf gives the function that counts the hits among the first n flows that are sent,
// ring after ring.
func hitsOf(flows []pair, always []netip.Addr) func(n uint64) uint64 {
	listed := make(map[netip.Addr]bool)
	for _, a := range always {
		listed[a] = true
	}
	until := make([]uint64, 1, len(flows)+1) // hits among the first flows of a ring
	for _, f := range flows {
		n := until[len(until)-1]
		for _, a := range f {
			if listed[a] {
				n++
			}
		}
		until = append(until, n)
	}
	return func(n uint64) uint64 {
		rings, rest := n/uint64(len(flows)), n%uint64(len(flows))
		return rings*until[len(flows)] + until[rest]
	}
}

// setOf gives a list of what is always listed and of addresses that no flow has.
func setOf(always []netip.Addr, flows []pair, seed uint64) []byte {
	seen := make(map[netip.Addr]bool)
	for _, f := range flows {
		seen[f[0]], seen[f[1]] = true, true
	}
	var b bytes.Buffer
	for _, a := range always {
		fmt.Fprintln(&b, a)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for n := len(always); n < entries; {
		v := r.Uint32()
		a := netip.AddrFrom4([4]byte{byte(11 + v>>24%180), byte(v >> 16), byte(v >> 8), byte(v)})
		if !seen[a] {
			fmt.Fprintln(&b, a)
			n++
		}
	}
	return b.Bytes()
}

// A sender is a running generator.
type sender struct {
	cmd       *exec.Cmd
	out, errs bytes.Buffer
}

// A sum is what the generator says at its end.
type sum struct {
	Datagrams uint64 `json:"datagrams"`
	Flows     uint64 `json:"flows"`
	Unsent    uint64 `json:"unsent"`
}

func generate(t *testing.T, hitList string, args ...string) *sender {
	t.Helper()
	s := &sender{cmd: exec.Command(instance.Binary(t, "flowgen"), append(generator(hitList), args...)...)}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.errs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func (s *sender) stop(t *testing.T) (n sum) {
	t.Helper()
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
	if err := json.Unmarshal(s.out.Bytes(), &n); err != nil || n.Unsent != 0 {
		t.Fatalf("flowgen: %v, printed %s%s", err, &s.out, &s.errs)
	}
	return n
}

// A status is what the test reads of the running instance.
type status struct {
	Listeners []struct {
		Datagrams   uint64 `json:"datagrams"`
		KernelDrops uint64 `json:"kernel_drops"`
		Truncated   uint64 `json:"truncated"`
		ReadErrors  uint64 `json:"read_errors"`
	} `json:"listeners"`
	Decoded struct {
		Versions map[string]struct {
			Records uint64 `json:"records"`
		} `json:"versions"`
	} `json:"decoded"`
	Intel struct {
		Indicators int `json:"indicators"`
	} `json:"intel"`
	Hits struct {
		Found     uint64 `json:"found"`
		QueueFull uint64 `json:"hit_queue_full"`
	} `json:"hits"`
}

// awaited asks until ok holds.
func awaited(t *testing.T, i *instance.Instance, what string, ok func(*status) bool) (s status) {
	t.Helper()
	i.Until(t, what, func() bool {
		s = status{}
		return i.Status(t, &s) && len(s.Listeners) > 0 && ok(&s)
	})
	return s
}

// swapped waits for another set than one of so many indicators, and gives the size of its
// own. The two sets of the test differ in size; one of them may be built twice.
func swapped(t *testing.T, i *instance.Instance, before int) (indicators int) {
	t.Helper()
	return awaited(t, i, "another set", func(s *status) bool { return s.Intel.Indicators != before }).Intel.Indicators
}

// settled waits until all that was sent has been decoded, or is known to be lost.
func settled(t *testing.T, i *instance.Instance, sent sum) status {
	t.Helper()
	return awaited(t, i, "all is decoded", func(s *status) bool {
		l := s.Listeners[0]
		return l.Datagrams+l.KernelDrops >= sent.Datagrams && (l.KernelDrops > 0 || s.Decoded.Versions["v9"].Records == sent.Flows)
	})
}

// memory reads a figure of a process, in bytes.
func memory(t *testing.T, pid int, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == key+":" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s of process %d", key, pid)
	return 0
}

// rest is how long memory that nobody needs may take to go.
const rest = 10 * time.Second
