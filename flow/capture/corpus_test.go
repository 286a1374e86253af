package capture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// corpusFiles lists the captures in a folder of the corpus that have a
// reference beside them.
func corpusFiles(t *testing.T, folder, suffix string) map[string]string {
	t.Helper()
	root := os.Getenv("FLOWSNITCH_CORPUS")
	if root == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder with the corpus of captures")
	}
	files := map[string]string{}
	for _, kind := range []string{"*.pcap", "*.pcapng"} {
		found, err := filepath.Glob(filepath.Join(root, folder, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			files[f] = strings.TrimSuffix(f, filepath.Ext(f)) + suffix
		}
	}
	if len(files) == 0 {
		t.Fatalf("no captures in %s", filepath.Join(root, folder))
	}
	return files
}

// lines decodes a file of JSON lines.
func lines[T any](t *testing.T, path string) (all []T) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var v T
		if err := d.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, v)
	}
}

// readFile reads a whole capture that has no damage.
func readFile(t *testing.T, path string) ([]got, Stats) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, s, err := drain(t, r)
	if err != io.EOF {
		t.Fatal(err)
	}
	return all, s
}

// TestCorpusFlow: every frame that the reference has a record of is given, from
// the sender that the reference names.
func TestCorpusFlow(t *testing.T) {
	type record struct {
		Pkt      int        `json:"pkt"`
		Exporter netip.Addr `json:"exporter"`
		Port     uint16     `json:"exporter_port"`
	}
	for path, reference := range corpusFiles(t, "flow", ".expect.jsonl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			all, s := readFile(t, path)
			from := map[int]netip.AddrPort{}
			for _, g := range all {
				from[g.frame] = g.source
			}
			for _, r := range lines[record](t, reference) {
				if want := netip.AddrPortFrom(r.Exporter, r.Port); from[r.Pkt] != want {
					t.Fatalf("frame %d: from %v, want %v; %+v", r.Pkt, from[r.Pkt], want, s)
				}
			}
		})
	}
}

func TestCorpusTZSP(t *testing.T) {
	type record struct {
		Pkt    int        `json:"pkt"`
		Sensor netip.Addr `json:"sensor"`
	}
	for path, reference := range corpusFiles(t, "tzsp", ".expect.jsonl") {
		all, _ := readFile(t, path)
		for _, r := range lines[record](t, reference) {
			if !slices.ContainsFunc(all, func(g got) bool { return g.frame == r.Pkt && g.source.Addr() == r.Sensor }) {
				t.Errorf("%s: frame %d from %v is not given", filepath.Base(path), r.Pkt, r.Sensor)
			}
		}
	}
}

// TestCorpusTraffic compares with the UDP packets that tshark counted, sender by
// sender, and with their bytes and times (rounded to ms there).
func TestCorpusTraffic(t *testing.T) {
	type tuple struct {
		Src     netip.Addr `json:"src"`
		Sport   *uint16    `json:"sport"`
		Proto   int        `json:"proto"`
		Packets int        `json:"packets"`
		Bytes   int        `json:"ip_bytes"`
		First   int64      `json:"first_ms"`
		Last    int64      `json:"last_ms"`
	}
	type sum struct {
		packets, bytes int
		first, last    int64
	}
	for path, reference := range corpusFiles(t, "traffic", ".tuples.jsonl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, have := map[netip.AddrPort]sum{}, map[netip.AddrPort]sum{}
			for _, u := range lines[tuple](t, reference) {
				if u.Proto != flow.ProtocolUDP || u.Sport == nil {
					continue
				}
				k := netip.AddrPortFrom(u.Src, *u.Sport)
				s, ok := want[k]
				if !ok {
					s = sum{first: u.First, last: u.Last}
				}
				want[k] = sum{s.packets + u.Packets, s.bytes + u.Bytes, min(s.first, u.First), max(s.last, u.Last)}
			}
			all, stats := readFile(t, path)
			for _, g := range all {
				ms, header := g.time.Round(time.Millisecond).UnixMilli(), 28
				if g.source.Addr().Is6() {
					header = 48
				}
				s, ok := have[g.source]
				if !ok {
					s = sum{first: ms, last: ms}
				}
				have[g.source] = sum{s.packets + 1, s.bytes + header + len(g.payload), min(s.first, ms), max(s.last, ms)}
			}
			t.Logf("%+v", stats)
			if fmt.Sprint(want) != fmt.Sprint(have) {
				for k := range want {
					if want[k] != have[k] {
						t.Errorf("%v: got %v, want %v", k, have[k], want[k])
					}
				}
				for k := range have {
					if _, ok := want[k]; !ok {
						t.Errorf("%v: got %v, want none", k, have[k])
					}
				}
			}
		})
	}
}
