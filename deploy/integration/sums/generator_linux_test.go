//go:build integration || soak

package sums

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// sent is what flowgen says at its end.
type sent struct {
	Datagrams uint64  `json:"datagrams"`
	Flows     uint64  `json:"flows"`
	Unsent    uint64  `json:"unsent"`
	Rate      float64 `json:"flows_per_s"`
}

// A generator is a running flowgen.
type generator struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	errs bytes.Buffer
}

// generate starts flowgen. It dies with the test process.
func (s *site) generate(t *testing.T, args ...string) *generator {
	t.Helper()
	g := &generator{cmd: exec.Command(flowgen, append([]string{"--to", s.target.String(), "--json"}, args...)...)}
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.errs
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.cmd.Process.Kill() })
	return g
}

// wait waits for the end and gives what flowgen says about it.
func (g *generator) wait(t *testing.T) (s sent) {
	t.Helper()
	if err := g.cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s", g.cmd.Args, err, &g.errs)
	}
	if err := json.Unmarshal(g.out.Bytes(), &s); err != nil {
		t.Fatalf("%v printed %q: %v", g.cmd.Args, &g.out, err)
	}
	if s.Unsent != 0 {
		t.Fatalf("%d datagrams unsent", s.Unsent)
	}
	return s
}

// sequenceAt is where the sequence number stands in the header; of sFlow behind an IPv4
// agent address.
var sequenceAt = map[flow.Version]int{flow.V5: 16, flow.V9: 12, flow.IPFIX: 8, flow.SFlow: 16}

// goOn sends a datagram like the next one of a flowgen that has ended, and gives the
// number of its flows: what it sent last may have been lost, which only a further number
// can tell.
func (s *site) goOn(t *testing.T, v flow.Version, g sent, began time.Time) uint64 {
	t.Helper()
	self := netip.MustParseAddr("127.0.0.1")
	enc, err := synth.NewEncoder(synth.Config{Version: v, Domain: 1, Agent: self, Boot: began.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d, n, err := enc.Encode(nil, []synth.Flow{{Src: self, Dst: self, Start: now, End: now, Bytes: 64, Packets: 1}}, now)
	if err != nil {
		t.Fatal(err)
	}
	next := g.Datagrams
	if v == flow.V5 || v == flow.IPFIX {
		next = g.Flows
	}
	binary.BigEndian.PutUint32(d[sequenceAt[v]:], uint32(next))
	conn, err := net.Dial("udp4", s.target.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(d); err != nil {
		t.Fatal(err)
	}
	return uint64(n)
}

// TestGenerator: the load generator at full speed into a buffer that is too small, and
// at a rate that every collector can follow into one of the usual size.
func TestGenerator(t *testing.T) {
	for v, n := range map[flow.Version]uint64{flow.V5: 30, flow.V9: 26, flow.IPFIX: 15, flow.SFlow: 6} {
		for _, fast := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/fast=%v", v, fast), func(t *testing.T) { generatorSums(t, v, n, fast) })
		}
	}
}

func generatorSums(t *testing.T, v flow.Version, perDatagram uint64, fast bool) {
	o, rate, flows := options{}, "100000", generatorFlows/20
	if fast {
		o, rate, flows = options{buffer: 4096}, "0", generatorFlows
	}
	site := newSite(t, o)
	c := site.start(t)
	began := time.Now()
	g := site.generate(t, "--version", strings.ToLower(v.String()), "--rate", rate, "--once-template",
		"--flows", fmt.Sprint(perDatagram*500), "--flows-per-datagram", fmt.Sprint(perDatagram),
		"--count", fmt.Sprint(flows/int(perDatagram)*int(perDatagram))).wait(t)
	c.settle(t, g.Datagrams)
	g.Flows += site.goOn(t, v, g, began)
	g.Datagrams++
	st := c.settle(t, g.Datagrams)

	drops := st.Listeners[0].KernelDrops
	if (drops > 0) != fast {
		t.Errorf("%d datagrams dropped at rate %s", drops, rate)
	}
	s := st.Exporters.List[0].Streams[0]
	lost := s.Lost
	if v == flow.V9 || v == flow.SFlow {
		lost *= perDatagram
	}
	if s.Records+lost != g.Flows || lost != drops*perDatagram || s.Resets+s.Repeated+s.Late != 0 {
		t.Errorf("sent %d flows, %d decoded, %d lost by sequence numbers, %d with what the kernel dropped: %+v",
			g.Flows, s.Records, lost, drops*perDatagram, s)
	}
	c.stop(t).agrees(t, st)
	t.Logf("%d flows sent at %.0f/s, %d of %d datagrams dropped", g.Flows, g.Rate, drops, g.Datagrams)
}
