//go:build integration

package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

var home = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}

const config = "home: [192.168.0.0/16, 10.0.0.0/8, \"2001:db8::/32\"]\nintel: {feeds: []}\n"

// A sum is what was exchanged with one address outside: flow records, and what was sent to
// it (out) and by it.
type sum struct{ flows, packetsOut, packetsIn, bytesOut, bytesIn uint64 }

// TestNfcapd: hunts in the live history, also after kill -9, and in imports of nfdump's csv and
// JSON find exactly what nfcapd has received; erased addresses are gone from all of them.
func TestNfcapd(t *testing.T) {
	i := instance.New(t, config)
	i.Start(t)
	c := startNfcapd(t, i.Address(t))
	flowgen := instance.Binary(t, "flowgen")
	for n, version := range []string{"v5", "v9", "ipfix"} {
		run(t, flowgen, "--to", c.address, "--version", version, "--rate", "4000", "--count", "3000", "--ipv6", []string{"0", "0.3", "0.3"}[n],
			"--home", "192.168.0.0/16,2001:db8::/32", "--exporters", "2", "--seed", fmt.Sprint(n+1))
	}
	for _, capture := range captures(t) {
		for _, version := range []string{"5", "9", "10"} {
			softflowd(t, capture, version, c.address)
		}
	}
	c.stop(t)
	want := c.sums(t)
	if len(want) < 1000 {
		t.Fatalf("nfcapd has received flows of %d addresses", len(want))
	}
	i.Until(t, "all is received", func() bool { return received(t, i) >= c.records })

	same(t, "live", hunt(t, i), want)
	i.Kill()
	i.Start(t)
	same(t, "live after kill -9", hunt(t, i), want)

	for name, form := range map[string]string{"a-json": "json", "a-csv": "csv"} {
		out := run(t, "nfdump", "-q", "-R", c.dir, "-o", form)
		command(t, i, out, "history", "import", "--name", name, "--timezone", "UTC", "-")
		same(t, form, hunt(t, i, "--import", name), want)
	}

	var gone string
	for a, s := range want {
		if s.flows > 0 && !strings.Contains(a, ":") {
			gone = a
			break
		}
	}
	command(t, i, nil, "history", "erase", gone)
	delete(want, gone)
	same(t, "live, erased", hunt(t, i), want)
	same(t, "import, erased", hunt(t, i, "--import", "a-json"), want)
}

// captures are those of ordinary traffic, if there are any.
func captures(t *testing.T) []string {
	corpus := os.Getenv("FLOWSNITCH_CORPUS")
	if corpus == "" {
		t.Log("without softflowd: FLOWSNITCH_CORPUS does not name the folder of the corpus")
		return nil
	}
	all, err := filepath.Glob(filepath.Join(corpus, "traffic", "*.pcap"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no captures in %s: %v", corpus, err)
	}
	return all[:min(len(all), 4)]
}

// softflowd exports the flows of a capture.
func softflowd(t *testing.T, capture, version, to string) {
	t.Helper()
	run(t, "softflowd", "-d", "-r", capture, "-c", "none", "-p", filepath.Join(t.TempDir(), "pid"), "-v", version, "-n", to, "-6")
}

// run gives what a program prints.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, errOut.Bytes())
	}
	return out.Bytes()
}

// command runs flowsnitch and gives its standard output.
func command(t *testing.T, i *instance.Instance, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(instance.Binary(t, "flowsnitch"), append(args, "-c", i.Config)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, errOut.Bytes())
	}
	return out.Bytes()
}

// hunt gives the sums of all rows.
func hunt(t *testing.T, i *instance.Instance, args ...string) map[string]sum {
	t.Helper()
	out := command(t, i, nil, append([]string{"hunt", "--force", "--json", "--limit", "0", "0.0.0.0/0", "::/0"}, args...)...)
	sums := make(map[string]sum)
	for line := range bytes.Lines(out) {
		var r struct {
			Outside    string
			Flows      uint64
			PacketsOut uint64 `json:"packets_out"`
			PacketsIn  uint64 `json:"packets_in"`
			BytesOut   uint64 `json:"bytes_out"`
			BytesIn    uint64 `json:"bytes_in"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		s := sums[r.Outside]
		s.flows, s.packetsOut, s.packetsIn = s.flows+r.Flows, s.packetsOut+r.PacketsOut, s.packetsIn+r.PacketsIn
		s.bytesOut, s.bytesIn = s.bytesOut+r.BytesOut, s.bytesIn+r.BytesIn
		sums[r.Outside] = s
	}
	return sums
}

// same compares.
func same(t *testing.T, what string, got, want map[string]sum) {
	t.Helper()
	if maps.Equal(got, want) {
		t.Logf("%s: %d addresses, all sums equal", what, len(got))
		return
	}
	n := 0
	for a, w := range want {
		if g := got[a]; g != w {
			if n++; n <= 5 {
				t.Errorf("%s: %s: %+v, want %+v", what, a, g, w)
			}
		}
	}
	t.Errorf("%s: %d addresses, want %d; %d differ", what, len(got), len(want), n)
}

// An nfcapd writes what it receives, and repeats it to another collector.
type nfcapd struct {
	dir, address string
	cmd          *exec.Cmd
	records      uint64 // after sums
}

func startNfcapd(t *testing.T, repeat string) *nfcapd {
	t.Helper()
	port := instance.FreePort(t)
	c := &nfcapd{dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", port)}
	to := netip.MustParseAddrPort(repeat)
	c.cmd = exec.Command("nfcapd", "-w", c.dir, "-b", "127.0.0.1", "-p", fmt.Sprint(port), "-t", "86400", "-B", "8000000",
		"-R", fmt.Sprintf("127.0.0.1/%d", to.Port()))
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	for deadline := time.Now().Add(instance.Patience); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile("/proc/net/udp"); bytes.Contains(b, fmt.Appendf(nil, "0100007F:%04X", port)) {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal("nfcapd does not listen")
		}
	}
}

// stop has it write its file, once it has read what the kernel holds for it.
func (c *nfcapd) stop(t *testing.T) {
	t.Helper()
	port := netip.MustParseAddrPort(c.address).Port()
	for deadline := time.Now().Add(instance.Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile("/proc/net/udp")
		waiting := true
		for line := range bytes.Lines(b) {
			if f := strings.Fields(string(line)); len(f) > 4 && f[1] == fmt.Sprintf("0100007F:%04X", port) {
				waiting = !strings.HasSuffix(f[4], ":00000000")
			}
		}
		if !waiting {
			break
		}
	}
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.cmd.Wait()
}

// sums adds up nfdump's records by the address outside, read with nothing of ours.
func (c *nfcapd) sums(t *testing.T) map[string]sum {
	t.Helper()
	var records []struct {
		Src4       netip.Addr `json:"src4_addr"`
		Dst4       netip.Addr `json:"dst4_addr"`
		Src6       netip.Addr `json:"src6_addr"`
		Dst6       netip.Addr `json:"dst6_addr"`
		Bytes      uint64     `json:"in_bytes"`
		Packets    uint64     `json:"in_packets"`
		OutBytes   uint64     `json:"out_bytes"`
		OutPackets uint64     `json:"out_packets"`
	}
	if err := json.Unmarshal(run(t, "nfdump", "-R", c.dir, "-o", "json"), &records); err != nil {
		t.Fatal(err)
	}
	c.records = uint64(len(records))
	sums := make(map[string]sum)
	for _, r := range records {
		src, dst := r.Src4, r.Dst4
		if !src.IsValid() {
			src, dst = r.Src6, r.Dst6
		}
		if src.IsUnspecified() || dst.IsUnspecified() || ours(src) && ours(dst) {
			continue
		}
		if !ours(src) {
			s := sums[src.String()]
			s.flows, s.packetsIn, s.bytesIn = s.flows+1, s.packetsIn+r.Packets, s.bytesIn+r.Bytes
			s.packetsOut, s.bytesOut = s.packetsOut+r.OutPackets, s.bytesOut+r.OutBytes
			sums[src.String()] = s
		}
		if !ours(dst) {
			s := sums[dst.String()]
			s.flows, s.packetsOut, s.bytesOut = s.flows+1, s.packetsOut+r.Packets, s.bytesOut+r.Bytes
			s.packetsIn, s.bytesIn = s.packetsIn+r.OutPackets, s.bytesIn+r.OutBytes
			sums[dst.String()] = s
		}
	}
	return sums
}

func ours(a netip.Addr) bool {
	for _, p := range home {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// received is how many records an instance has decoded.
func received(t *testing.T, i *instance.Instance) (n uint64) {
	t.Helper()
	var s struct {
		Decoded struct {
			Versions map[string]struct{ Records uint64 }
		}
	}
	i.Status(t, &s)
	for _, v := range s.Decoded.Versions {
		n += v.Records
	}
	return n
}
