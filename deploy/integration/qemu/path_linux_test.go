//go:build integration

package qemu

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Of these, listed is on a list.
const (
	listed   = "198.51.100.9"
	unlisted = "198.51.100.10"
	topic    = "flowsnitch.hits"
)

// TestPath sends what softflowd makes of packets to the program on each Pi, and wants the
// hits in the hit log and the same in Kafka.
func TestPath(t *testing.T) {
	for _, p := range pis {
		t.Run(p.name, func(t *testing.T) { testPath(t, &p) })
	}
}

func testPath(t *testing.T, p *pi) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic, "flowsnitch.alerts", "flowsnitch.canary"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	i := p.run(t, fmt.Sprintf(`
home: [10.0.0.0/8]
intel: {feeds: [], deny: [%s]}
sinks:
  - jsonlog: {}
  - kafka: {brokers: %q}
`, listed, cluster.ListenAddrs()))
	export(t, i, 9, "10.0.0.9")
	export(t, i, 10, "10.0.0.10")
	var hits []hit
	i.Until(t, "the hits of both are in the log", func() bool {
		hits = parse(t, i.Hits(t, `"kind":"hit"`))
		return len(hits) == 2
	})
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Compare(a.Flowsnitch.Version, b.Flowsnitch.Version) })
	for n, want := range []string{"9 10.0.0.9 outbound", "ipfix 10.0.0.10 outbound"} {
		f := &hits[n].Flowsnitch
		got := fmt.Sprintf("%s %s %s", f.Version, hits[n].SrcIP, f.Direction)
		if got != want || f.Offender != listed {
			t.Errorf("the hit is %q of %s, want %q of %s", got, f.Offender, want, listed)
		}
	}
	if got := ids(consumed(t, i)); !slices.Equal(got, ids(hits)) {
		t.Errorf("Kafka has the events %q, the log %q", got, ids(hits))
	}
	stop(t, i)
}

// export writes packets of a host to a capture and has softflowd export them.
func export(t *testing.T, i *instance.Instance, version int, host string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "packets.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, begin := capture.NewWriter(f), time.Now().Add(-time.Minute)
	for n := range 20 {
		to := []string{listed, unlisted}[n%2] + ":443"
		packet := flow.Datagram{Source: netip.MustParseAddrPort(host + ":40000"), Payload: make([]byte, 100), Received: begin.Add(time.Duration(n) * time.Second)}
		if err := w.Write(packet, netip.MustParseAddrPort(to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "softflowd", "-r", path, "-v", fmt.Sprint(version), "-n", i.Address(t)).CombinedOutput()
	if err != nil {
		t.Fatalf("softflowd: %v (make integration installs it)\n%s", err, out)
	}
}

// A hit is an event, as far as the test looks at it.
type hit struct {
	ID         string `json:"id"`
	SrcIP      string `json:"srcip"`
	Flowsnitch struct {
		Version   string `json:"version"`
		Offender  string `json:"offender"`
		Direction string `json:"direction"`
	} `json:"flowsnitch"`
}

func parse(t *testing.T, lines []string) (list []hit) {
	t.Helper()
	for _, line := range lines {
		var h hit
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, h)
	}
	return list
}

// consumed gives the two hits that Kafka has.
func consumed(t *testing.T, i *instance.Instance) []hit {
	t.Helper()
	out := i.Command(t, "consume", "--topic", topic, "--from", "first", "--count", "2")
	return parse(t, strings.Split(strings.TrimSpace(out), "\n"))
}

func ids(hits []hit) (all []string) {
	for _, h := range hits {
		all = append(all, h.ID)
	}
	slices.Sort(all)
	return all
}

// stop wants an end in order.
func stop(t *testing.T, i *instance.Instance) {
	t.Helper()
	i.Stop()
	if log := i.Log(); strings.Contains(log, "panic") || strings.Contains(log, "fatal error") {
		t.Errorf("it did not end in order:\n%s", log)
	}
}
