//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// program is flowsnitch, and generator is flowgen; built once for all tests.
var program, generator string

func TestMain(m *testing.M) {
	var err, err2 error
	program, err = instance.Build("flowsnitch")
	generator, err2 = instance.Build("flowgen")
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A collector is a running flowsnitch.
type collector struct {
	*process
	config, hits string
}

// An event is a line of the hit log, as far as the tests look at it.
type event struct {
	Integration string     `json:"integration"`
	Kind        string     `json:"kind"`
	SrcIP       netip.Addr `json:"srcip"`
	SrcPort     uint16     `json:"srcport"`
	DstIP       netip.Addr `json:"dstip"`
	DstPort     uint16     `json:"dstport"`
	Protocol    string     `json:"protocol"`
	Flowsnitch  struct {
		Offender  netip.Addr `json:"offender"`
		Local     netip.Addr `json:"local"`
		Role      string     `json:"role"`
		Direction string     `json:"direction"`
		Answered  string     `json:"answered"`
		Feed      string     `json:"feed"`
		Packets   uint64     `json:"packets"`
		Bytes     uint64     `json:"bytes"`
		BytesBack uint64     `json:"bytes_back"`
		Start     time.Time  `json:"start"`
		End       time.Time  `json:"end"`
		Clock     string     `json:"clock"`
		Exporter  netip.Addr `json:"exporter"`
		Version   string     `json:"version"`
		Sampling  uint32     `json:"sampling"`
		// SamplingFrom is the part of the exporter that the rate was announced for.
		SamplingFrom string `json:"sampling_from"`
		InIf         uint32 `json:"in_if"`
	} `json:"flowsnitch"`
}

// A status is the answer of `flowsnitch status --json`, as far as the tests look at it.
type status struct {
	Starting  bool `json:"starting"`
	Listeners []struct {
		Datagrams   uint64 `json:"datagrams"`
		Refused     uint64 `json:"refused"`
		KernelDrops uint64 `json:"kernel_drops"`
	} `json:"listeners"`
	Decoded struct {
		Versions map[string]struct {
			Records uint64 `json:"records"`
		} `json:"versions"`
		UnknownSets uint64            `json:"unknown_template_sets"`
		Problems    map[string]uint64 `json:"problems"`
	} `json:"decoded"`
	Exporters struct {
		List []struct {
			Split bool `json:"split"`
		} `json:"list"`
	} `json:"exporters"`
}

// startCollector starts flowsnitch in a namespace with a list of prefixes, and waits
// until it listens.
func startCollector(t *testing.T, n *namespace, list string) *collector {
	t.Helper()
	dir := t.TempDir()
	c := &collector{config: filepath.Join(dir, "flowsnitch.yml"), hits: filepath.Join(dir, "state", "hits.json")}
	config := fmt.Sprintf(`
name: integration
state_dir: %s
listen: [{udp: %q}, {udp: %q}]
home: %s
intel: {feeds: []}
canary: {every: 0s}
sinks: [{jsonlog: {}}]
`, filepath.Dir(c.hits), listen4, listen6, homeNetworks)
	listFile := filepath.Join(dir, "listed.txt")
	for file, text := range map[string]string{c.config: config, listFile: list} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.process = n.start(t, program, "run", "-c", c.config, "--intel", listFile)
	ready := func() bool {
		s, err := c.status()
		return err == nil && !s.Starting
	}
	if !c.eventually(stepTimeout, ready) {
		t.Fatalf("flowsnitch does not listen after %v", stepTimeout)
	}
	return c
}

// status asks the running program.
func (c *collector) status() (s status, err error) {
	out, err := exec.Command(program, "status", "-c", c.config, "--json").Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// records gives how many flow records have been decoded, of any version.
func (s status) records() (n uint64) {
	for _, v := range s.Decoded.Versions {
		n += v.Records
	}
	return n
}

// check fails the test for anything that was lost on the way.
func (s status) check(t *testing.T) {
	t.Helper()
	for _, l := range s.Listeners {
		if l.Refused != 0 || l.KernelDrops != 0 {
			t.Errorf("listener: %d datagrams refused, %d dropped by the kernel", l.Refused, l.KernelDrops)
		}
	}
	if s.Decoded.UnknownSets != 0 {
		t.Errorf("%d sets without their template", s.Decoded.UnknownSets)
	}
	for reason, n := range s.Decoded.Problems {
		if n != 0 {
			t.Errorf("not decoded because of %s: %d", reason, n)
		}
	}
}

// events reads the hit log, which may hold whole lines only.
func (c *collector) events(t *testing.T) (all []event) {
	t.Helper()
	log, err := os.ReadFile(c.hits)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if len(log) > 0 && log[len(log)-1] != '\n' {
		t.Fatalf("the hit log ends within a line: %q", log[max(0, len(log)-200):])
	}
	for line := range bytes.Lines(log) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("hit log: %v in %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// finish ends flowsnitch as Ctrl-C does, which must be a success.
func (c *collector) finish(t *testing.T) {
	t.Helper()
	c.stop(t)
	if c.err != nil {
		t.Errorf("flowsnitch ended with %v", c.err)
	}
}
