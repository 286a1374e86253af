//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A watcher is an exporter that sees one kind of traffic.
type watcher struct {
	exporter
	filter string // of libpcap: what it sees
	end    func()
}

func (w *watcher) start(t *testing.T, n *namespace) {
	t.Helper()
	w.command = func(t *testing.T, e *exporter, dir string) []string {
		return append(softflowd(t, e, dir), w.filter)
	}
	w.end = w.run(t, n)
}

// TestTwoProcesses: two softflowd behind one address use the same template ids for
// different templates and are restarted in turn. Every flow is decoded by its own
// process's template: all contacts are found, with their bytes and times, and no others.
func TestTwoProcesses(t *testing.T) {
	for _, c := range []struct {
		name     string
		version  int
		one, two []string // arguments that make different templates of the same id
	}{
		{"v9", 9, []string{"-T", "full"}, []string{"-T", "ether"}},
		{"IPFIX", 10, []string{"-A", "sec"}, []string{"-A", "nano"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testTwoProcesses(t, [2]*watcher{
				{exporter: exporter{name: c.name, version: c.version, to: listen4, args: c.one, shutdown: softflowctl}, filter: "tcp or port 9"},
				{exporter: exporter{name: c.name, version: c.version, to: listen4, args: c.two, shutdown: softflowctl}, filter: "udp"},
			})
		})
	}
}

func testTwoProcesses(t *testing.T, both [2]*watcher) {
	inside, outside := newNamespace(t), newNamespace(t)
	connect(t, inside, outside, []string{home4}, []string{listed4, unlisted4})
	collector := startCollector(t, inside, list)
	begin := time.Now()
	for _, w := range both {
		w.start(t, inside)
	}
	murmur(t, inside, outside)
	var all []exchange
	for round := range uint16(3) {
		if round > 0 {
			w := both[round-1]
			w.end()
			w.start(t, inside)
		}
		now := exchanges(home4, listed4, unlisted4)
		for i := range now { // contacts of their own
			x := &now[i]
			x.server = netip.AddrPortFrom(x.server.Addr(), x.server.Port()+round)
		}
		runAll(t, now, inside, outside)
		for _, x := range now {
			if x.direction != "" {
				collector.waitFor(t, x)
			}
		}
		all = append(all, now...)
	}
	end := time.Now()
	for _, w := range both {
		w.end()
	}
	collector.waitForRecords(t, 2*uint64(len(all)))
	if s, err := collector.status(); err != nil || len(s.Exporters.List) != 1 || !s.Exporters.List[0].Split {
		t.Errorf("the two templates do not contradict each other: %+v, %v", s.Exporters, err)
	}
	collector.finish(t)
	for _, ev := range collector.events(t) {
		x, ok := find(all, &ev)
		if !ok || x.direction == "" {
			t.Errorf("%s of something else: %+v", ev.Kind, ev)
			continue
		}
		x.check(t, &both[0].exporter, &ev)
		checkTimes(t, &ev, begin, end)
	}
}

// TestInterfaceSampler: of the rates that a v9 exporter announces for itself, a line card
// and an interface, a hit has the one for the interface that its flow came in by.
func TestInterfaceSampler(t *testing.T) {
	const whole, ofCard, ofInterface, onInterface = 1000, 500, 100, 3
	n := newNamespace(t)
	collector := startCollector(t, n, list)
	const flows = 300
	p := n.start(t, generator, "--to", listen4, "--version", "v9", "--count", fmt.Sprint(flows), "--hits", "1", "--hit-list", listed4,
		"--sampling", fmt.Sprint(whole), "--sampling-for", fmt.Sprintf("interface=%d:%d", onInterface, ofInterface),
		"--sampling-for", fmt.Sprintf("card=7:%d", ofCard))
	if !p.wait(stepTimeout) || p.err != nil {
		t.Fatalf("flowgen: %v\n%s", p.err, &p.out)
	}
	hits := func() (list []event) {
		for _, ev := range collector.events(t) {
			if ev.Kind == "hit" {
				list = append(list, ev)
			}
		}
		return list
	}
	if !collector.eventually(hitTimeout, func() bool { return len(hits()) >= flows }) {
		t.Fatalf("%d hits of %d flows", len(hits()), flows)
	}
	collector.waitForRecords(t, flows)
	collector.finish(t)
	rates := map[uint32]int{}
	for _, ev := range hits() {
		want, from := uint32(whole), ""
		if ev.Flowsnitch.InIf == onInterface {
			want, from = ofInterface, fmt.Sprint("interface ", onInterface)
		}
		if ev.Flowsnitch.Sampling != want || ev.Flowsnitch.SamplingFrom != from {
			t.Errorf("a flow from interface %d: sampling %d for %q, want %d for %q", ev.Flowsnitch.InIf, ev.Flowsnitch.Sampling, ev.Flowsnitch.SamplingFrom, want, from)
		}
		rates[want]++
	}
	if rates[whole] == 0 || rates[ofInterface] == 0 {
		t.Errorf("hits by rate: %v", rates)
	}
}
