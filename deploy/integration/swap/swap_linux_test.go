//go:build integration || soak

package swap

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The flows of the generator: a ring of whole datagrams, of which some have an address
// that every set lists.
const (
	perDatagram = 26
	ring        = perDatagram * 10_000
	share       = 0.001
	fixed       = 1000 // addresses that every set lists
)

// TestSwap replaces a set of which half changes while the generator sends.
func TestSwap(t *testing.T) {
	dir := t.TempDir()
	always := addresses(fixed)
	hitList := filepath.Join(dir, "always.txt")
	write(t, hitList, always)
	flows := flowsOf(t, dir, hitList)
	want := hitsOf(flows, always)
	sets := [2][]byte{setOf(always, flows, 1), setOf(always, flows, 2)}
	list := filepath.Join(dir, "bad.txt")
	if err := os.WriteFile(list, sets[0], 0o600); err != nil {
		t.Fatal(err)
	}
	i := instance.New(t, fmt.Sprintf("home: [10.0.0.0/8]\ncanary: {every: 0s}\nintel: {feeds: [{file: %s, interval: 1h, may_turn_over: true}]}\n"+
		"listen: [{udp: \"127.0.0.1:0\", receive_buffer: 67108864}]\n", list))
	i.Start(t)
	gen := generate(t, hitList, "--to", i.Address(t), "--rate", strconv.Itoa(rate))
	size := swapped(t, i, 0)
	var slowest time.Duration
	for n := range swaps {
		if err := os.WriteFile(list, sets[(n+1)%2], 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		i.Signal(syscall.SIGHUP)
		size = swapped(t, i, size)
		slowest = max(slowest, time.Since(begin))
	}
	peak := memory(t, i.PID(), "VmHWM")
	sent := gen.stop(t)
	s := settled(t, i, sent)
	if testing.Verbose() {
		time.Sleep(rest) // for the figure
	}
	l := s.Listeners[0]
	t.Logf("%d swaps of %d entries, the slowest %v; %d flows, %d hits; memory %d MB at rest, at most %d MB",
		swaps, s.Intel.Indicators, slowest.Round(time.Millisecond), sent.Flows, s.Hits.Found, memory(t, i.PID(), "RssAnon")>>20, peak>>20)
	if l.Datagrams != sent.Datagrams || l.KernelDrops+l.Truncated+l.ReadErrors > 0 {
		t.Errorf("%d of %d datagrams arrived: %+v", l.Datagrams, sent.Datagrams, l)
	}
	if expected := want(sent.Flows); s.Hits.Found != expected || s.Hits.QueueFull != 0 || expected == 0 {
		t.Errorf("%d hits and %d lost, want %d and none", s.Hits.Found, s.Hits.QueueFull, expected)
	}
}
