package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// casesDir is where the captures that show one trouble each are.
func casesDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(filepath.Dir(corpus(t, "flow")), "cases", "flow")
}

// TestDecodeCases: decode prints the right answer of every case.
func TestDecodeCases(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(casesDir(t), "*.pcap"))
	if len(files) < 15 {
		t.Fatalf("%d cases", len(files))
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".pcap")
		t.Run(name, func(t *testing.T) {
			r := command(t, "decode", path)
			if r.code != exitDone {
				t.Fatalf("exit code %d: %s", r.code, r.err)
			}
			got := readLines(t, r.out)
			compare(t, name, got, readLines(t, read(t, strings.TrimSuffix(path, ".pcap")+".expect.jsonl")))
			for _, problem := range map[string][]string{
				"set-does-not-fit": {"template_mismatch"}, "datagram-left-over": {"sflow_sample", "v5_count"},
			}[name] {
				if !strings.Contains(r.err, problem) {
					t.Errorf("the end line has no %s: %s", problem, r.err)
				}
			}
		})
	}
}

// A caseHit is what a test looks at in a hit.
type caseHit struct {
	Kind string `json:"kind"`
	Dst  string `json:"dstip"`
	Own  struct {
		Offender     string `json:"offender"`
		Packets      uint64 `json:"packets"`
		Bytes        uint64 `json:"bytes"`
		Sampling     uint32 `json:"sampling"`
		SamplingFrom string `json:"sampling_from"`
		Start        string `json:"start"`
		Clock        string `json:"clock"`
	} `json:"flowsnitch"`
}

// replayed gives the events of a case with a list.
func replayed(t *testing.T, name string, list []string, more ...string) (hits []caseHit) {
	t.Helper()
	args := append([]string{"replay", "--intel", file(t, "list.txt", strings.Join(list, "\n")+"\n")}, more...)
	r := command(t, append(args, filepath.Join(casesDir(t), name+".pcap"))...)
	if r.code != exitDone {
		t.Fatalf("exit code %d: %s", r.code, r.err)
	}
	for line := range strings.Lines(r.out) {
		var h caseHit
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatal(err)
		}
		hits = append(hits, h)
	}
	return hits
}

func TestReplayCases(t *testing.T) {
	hits := replayed(t, "sampling-scope-v9-interface", []string{"203.0.113.10", "203.0.113.20"})
	if len(hits) != 2 || hits[0].Own.Sampling != 100 || hits[0].Own.Bytes != 100_000 || hits[0].Own.SamplingFrom != "interface 10" ||
		hits[1].Own.Sampling != 1000 || hits[1].Own.Bytes != 1_000_000 || hits[1].Own.SamplingFrom != "interface 20" {
		t.Errorf("sampling by interface: %+v", hits)
	}
	hits = replayed(t, "totals-rollup", []string{"203.0.113.9"}, "--rollup")
	if last := hits[len(hits)-1]; last.Kind != "update" || last.Own.Bytes != 3000 || last.Own.Packets != 30 {
		t.Errorf("totals: %+v", last)
	}
	if hits = replayed(t, "ipfix-uptime-wrap", []string{"203.0.113.9"}); len(hits) != 3 || hits[0].Own.Clock != "ok" {
		t.Errorf("uptimes: %+v", hits)
	}
	ours := file(t, "config.yml", "sflow: {tunnel_endpoints: [192.0.2.0/24]}\n")
	for _, listed := range []string{"203.0.113.9", "192.0.2.30", "192.0.2.40"} {
		if hits := replayed(t, "sflow-nested-tunnel", []string{listed}, "-c", ours); len(hits) != 1 || hits[0].Own.Offender != listed {
			t.Errorf("tunnels between ends of our own, %s listed: %+v", listed, hits)
		}
	}
	// Who is in a packet is matched; who is in none is not.
	for _, c := range []struct {
		name, listed string
		hits         int
	}{
		{"cisco-avc-v9", "203.0.113.9", 2}, {"sflow-tpid-snap", "203.0.113.0/24", 3},
		{"ipversion-stale-pair", "198.51.100.77", 0}, {"ipversion-stale-pair", "2001:db8:dead::/48", 0}, {"ipversion-stale-pair", "2001:db8::9", 1},
		{"ipfix-two-processes-one-address", "0.0.3.232", 0}, {"ipfix-two-processes-one-address", "203.0.113.9", 1},
	} {
		hits := replayed(t, c.name, []string{c.listed})
		if len(hits) != c.hits || slices.ContainsFunc(hits, func(h caseHit) bool { return h.Own.Offender == "" }) {
			t.Errorf("%s, %s listed: %d hits, want %d: %+v", c.name, c.listed, len(hits), c.hits, hits)
		}
	}
}
