//go:build soak

package sums

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Rates that the machine is asked for, in flows per second, the highest first: more than
// the promised 5 million, and what is left of that on a slow or busy machine.
var rates = []int{8_000_000, 6_500_000, 5_000_000, 4_000_000, 3_000_000, 2_000_000, 1_000_000, 500_000}

// TestRate finds the highest of the rates at which nothing is lost in 60 s, the sender on
// the same processors. FLOWSNITCH_SOAK_TIME sets another time. The sums are exact at every
// rate; a loss at the lowest one is a failure.
func TestRate(t *testing.T) {
	long := soakTime(t)
	for _, v := range []string{"v5", "v9"} {
		t.Run(v, func(t *testing.T) {
			for _, rate := range rates {
				if lossless(t, v, rate, long/10) && lossless(t, v, rate, long) {
					return
				}
			}
			t.Errorf("datagrams are lost even at %d flows/s", rates[len(rates)-1])
		})
	}
}

func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("FLOWSNITCH_SOAK_TIME")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("FLOWSNITCH_SOAK_TIME: %v", err)
	}
	return d
}

// lossless sends at a rate and tells whether all of it was received.
func lossless(t *testing.T, version string, rate int, d time.Duration) bool {
	t.Helper()
	site := newSite(t, options{})
	c := site.start(t)
	g := site.generate(t, "--version", version, "--rate", fmt.Sprint(rate), "--duration", d.String()).wait(t)
	st := c.settle(t, g.Datagrams)
	c.stop(t).agrees(t, st)
	drops := st.Listeners[0].KernelDrops
	if drops == 0 && st.Decoded.Versions[version].Records != g.Flows {
		t.Errorf("%s: sent %d flows, decoded %d", version, g.Flows, st.Decoded.Versions[version].Records)
	}
	t.Logf("%s for %v at %.0f flows/s (asked for %d): %d of %d datagrams dropped; %v of CPU, %.0f ns per flow, system included",
		version, d, g.Rate, rate, drops, g.Datagrams, cpu(c.cmd), float64(cpu(c.cmd))/float64(max(1, st.Decoded.Versions[version].Records)))
	return drops == 0
}

// cpu is what an ended process has used.
func cpu(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// TestRace runs a million flows of all versions with hits, reloads and questions through
// a flowsnitch with race detector, and stops it while more come.
func TestRace(t *testing.T) {
	program := filepath.Join(t.TempDir(), "flowsnitch-race")
	build := exec.Command("go", "build", "-race", "-o", program, "../../../cmd/flowsnitch")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with race detector: %v\n%s", err, out)
	}
	const flows, rate = 250_000, 25_000 // of each version
	site := newSite(t, options{program: program, sockets: 4, listed: listed.String(), sinks: hitLog})
	c := site.start(t)
	var all []*generator
	for _, v := range []string{"v5", "v9", "ipfix", "sflow"} {
		all = append(all, site.generate(t, "--version", v, "--exporters", "8", "--rate", fmt.Sprint(rate), "--count", fmt.Sprint(flows),
			"--hits", "0.01", "--hit-list", listed.String(), "--template-every", "50"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		c.disturb(t, ctx)
	}()
	var datagrams, sentFlows uint64
	for _, g := range all {
		s := g.wait(t)
		datagrams += s.Datagrams
		sentFlows += s.Flows
	}
	cancel()
	<-reloaded
	st := c.settle(t, datagrams)
	records := uint64(0)
	for _, v := range st.Decoded.Versions {
		records += v.Records
	}
	if drops := st.Listeners[0].KernelDrops; drops == 0 && records != sentFlows {
		t.Errorf("sent %d flows, decoded %d, and nothing was dropped", sentFlows, records)
	}
	more := site.generate(t, "--version", "v9", "--exporters", "8", "--rate", "25000", "--duration", "2s")
	time.Sleep(time.Second)
	c.stop(t)
	more.cmd.Wait() // it may complain that nobody listens any more
	if strings.Contains(c.out.String(), "DATA RACE") {
		t.Error("the race detector found something")
	}
	t.Logf("%d flows sent, %d decoded, %d hits, %d reloads", sentFlows, records, st.Hits.Found, strings.Count(c.out.String(), "reloaded"))
}

// disturb lets the collector reload and asks it for its status until ctx ends.
func (c *collector) disturb(t *testing.T, ctx context.Context) {
	for ctx.Err() == nil {
		c.signal(t, syscall.SIGHUP)
		if _, err := c.ask(); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
