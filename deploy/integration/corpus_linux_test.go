//go:build integration

package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A conversation is what a contact is made of, without ports: later fragments and
// packets of protocols without ports have none.
type conversation struct {
	offender, local netip.Addr
	protocol        string
}

func (c conversation) String() string {
	return fmt.Sprintf("%v with %v over %s", c.offender, c.local, c.protocol)
}

// softflowd turns captures of ordinary traffic into export; every conversation of a
// listed address that the reference has must be in the hit log, and no other.
func TestCaptures(t *testing.T) {
	corpus := os.Getenv("FLOWSNITCH_CORPUS")
	if corpus == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder of the corpus")
	}
	captures, err := filepath.Glob(filepath.Join(corpus, "traffic", "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures in %s: %v", corpus, err)
	}
	for _, e := range []exporter{{name: "v9", version: 9}, {name: "IPFIX", version: 10}} {
		for _, capture := range captures {
			t.Run(e.name+" "+filepath.Base(capture), func(t *testing.T) { testCapture(t, &e, capture) })
		}
	}
}

func testCapture(t *testing.T, e *exporter, capture string) {
	all := conversations(t, strings.TrimSuffix(capture, ".pcap")+".tuples.jsonl")
	listed := everyThird(all)
	maps.DeleteFunc(all, func(c conversation, _ bool) bool { return !slices.Contains(listed, c.offender) })
	n := newNamespace(t)
	collector := startCollector(t, n, lines(listed))

	dir := t.TempDir()
	reader := n.start(t, "softflowd", "-d", "-r", capture, "-c", "none", "-p", filepath.Join(dir, "softflowd.pid"),
		"-v", fmt.Sprint(e.version), "-n", listen4, "-6")
	if !reader.wait(stepTimeout) {
		t.Fatalf("softflowd still reads after %v", stepTimeout)
	}
	if !collector.eventually(stepTimeout, func() bool { return len(collector.conversations(t)) >= len(all) }) {
		t.Errorf("%d of %d conversations", len(collector.conversations(t)), len(all))
	}
	s, err := collector.status()
	if err != nil {
		t.Fatal(err)
	}
	s.check(t)
	collector.finish(t)
	compare(t, collector.conversations(t), all)
}

// conversations reads the 5-tuples of a capture: each end of each may be an offender.
func conversations(t *testing.T, file string) map[conversation]bool {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := make(map[conversation]bool)
	for s := bufio.NewScanner(f); s.Scan(); {
		var tuple struct {
			Src, Dst netip.Addr
			Proto    int
		}
		if err := json.Unmarshal(s.Bytes(), &tuple); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		protocol := protocolName(tuple.Proto)
		all[conversation{tuple.Src, tuple.Dst, protocol}] = true
		all[conversation{tuple.Dst, tuple.Src, protocol}] = true
	}
	return all
}

// protocolName gives the keyword that the hit log has for a protocol. The reference
// stops at a hop-by-hop header, 0, behind which softflowd finds multicast listener
// reports in these captures.
func protocolName(number int) string {
	names := map[int]string{0: "ipv6-icmp", 1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp"}
	if name, ok := names[number]; ok {
		return name
	}
	return fmt.Sprint(number)
}

// everyThird gives a third of the addresses, for a list: enough that some
// conversations have two listed ends and most have none.
func everyThird(all map[conversation]bool) (listed []netip.Addr) {
	addrs := make(map[netip.Addr]bool)
	for c := range all {
		addrs[c.offender] = true
	}
	for i, a := range slices.SortedFunc(maps.Keys(addrs), netip.Addr.Compare) {
		// What is not an address of anybody is never matched.
		if i%3 == 0 && !a.IsUnspecified() {
			listed = append(listed, a)
		}
	}
	return listed
}

func lines(addrs []netip.Addr) string {
	var b strings.Builder
	for _, a := range addrs {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// conversations gives what the hit log tells of.
func (c *collector) conversations(t *testing.T) map[conversation]bool {
	t.Helper()
	all := make(map[conversation]bool)
	for _, ev := range c.events(t) {
		all[conversation{ev.Flowsnitch.Offender, ev.Flowsnitch.Local, ev.Protocol}] = true
	}
	return all
}

func compare(t *testing.T, got, want map[conversation]bool) {
	t.Helper()
	for c := range want {
		if !got[c] {
			t.Errorf("missed: %v", c)
		}
	}
	for c := range got {
		if !want[c] {
			t.Errorf("too much: %v", c)
		}
	}
}
