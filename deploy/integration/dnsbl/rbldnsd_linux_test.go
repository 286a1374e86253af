//go:build integration

package dnsbl

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/lookup"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// patience detects what hangs; it says nothing about speed.
const patience = 60 * time.Second

// install gives the path of rbldnsd.
func install(t *testing.T) string {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath("rbldnsd"); err == nil {
		return path
	}
	if os.Geteuid() != 0 {
		t.Fatal("rbldnsd is needed: apt-get install rbldnsd")
	}
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", "rbldnsd"}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apt-get %v: %v\n%s", args, err, out)
		}
	}
	path, err := exec.LookPath("rbldnsd")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A zones is what rbldnsd serves: one zone of both families that is as it should be,
// and one that lists the whole world.
type zones struct{ dir string }

func (z zones) write(t *testing.T, list4, list6 string) {
	t.Helper()
	const head = "$SOA 60 ns.example.org admin.example.org 0 1h 1h 1h 30\n$TTL 60\n"
	for name, text := range map[string]string{
		"list4": head + ":2:listed, see https://bl.example.org/?$\n127.0.0.2\n" + list4,
		"list6": head + ":2:listed, see https://bl.example.org/?$\n::ffff:7f00:2\n" + list6,
		"world": head + ":2:everything\n0.0.0.0/1\n128.0.0.0/1\n",
	} {
		if err := os.WriteFile(filepath.Join(z.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts rbldnsd and gives its address; HUP makes it read its zones again.
func (z zones) serve(t *testing.T) (addr string, process *os.Process) {
	t.Helper()
	program := install(t)
	addr = fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t))
	if err := os.Chmod(z.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	process = instance.Serve(t, program, "-n", "-f", "-w", z.dir, "-b", strings.Replace(addr, ":", "/", 1), "-c", "1s", "-u", "nobody",
		"bl.example.org:ip4set:list4", "bl.example.org:ip6trie:list6", "world.example.org:ip4set:world")
	for end := time.Now().Add(patience); !answers(addr); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("rbldnsd does not answer")
		}
	}
	return addr, process
}

// answers reports whether a server knows the test point of the good zone.
func answers(addr string) bool {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", addr)
	}}
	found, err := resolver.LookupHost(context.Background(), "2.0.0.127.bl.example.org.")
	return err == nil && len(found) > 0
}

// TestRBLDNSD: from the flow to the hit and back to silence.
func TestRBLDNSD(t *testing.T) {
	z := zones{dir: t.TempDir()}
	z.write(t, "62.0.0.0/24\n62.1.0.1:4:a c2\n62.2.0.1:127.255.255.254:open resolver\n62.0.0.9\n!62.0.0.77\n", "2a00:1::/32\n")
	addr, process := z.serve(t)
	cfg := dnsbl.DefaultConfig()
	cfg.Server = addr
	cfg.Rate = 1000
	cfg.MinTTL, cfg.MaxTTL, cfg.NegativeTTL = time.Second, time.Second, time.Second
	cfg.Zones = []dnsbl.Zone{
		{Zone: "bl.example.org", Name: "bl", Category: "spam", Codes: []dnsbl.Code{
			{Answer: netip.MustParseAddr("127.0.0.2"), Score: 40}, {Answer: netip.MustParseAddr("127.0.0.4"), Score: 90, Category: "c2"},
		}},
		{Zone: "world.example.org"},
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	hits := make(chan lookup.Hit, 100)
	c := dnsbl.New(cfg, func(h lookup.Hit) { hits <- h })
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	ready(t, c)
	for addr, want := range map[string]string{
		"62.0.0.5": "40 spam https://bl.example.org/?62.0.0.5", "62.1.0.1": "90 c2 ", "2a00:1::7": "40 spam https://bl.example.org/?2a00:1::7",
		"62.0.0.77": "", "62.2.0.1": "", "62.9.0.1": "", "2a00:2::1": "",
	} {
		if got := ask(t, c, hits, addr); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	z.write(t, "", "")
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ask(t, c, hits, "62.0.0.5") != ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("an address stays listed after its removal")
		}
	}
}

// ready waits until the good zone is believed and makes sure that the other is not.
func ready(t *testing.T, c *dnsbl.Checker) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s := c.Zones()
		if s[1].Error != "not checked yet" {
			if !s[0].IPv4 || !s[0].IPv6 || s[1].IPv4 || !strings.Contains(s[1].Error, "lists everything") {
				t.Fatalf("%+v", s)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not checked: %+v", s)
		}
	}
}

// ask shows a flow to an address and gives what its hit says.
func ask(t *testing.T, c *dnsbl.Checker, hits chan lookup.Hit, text string) string {
	t.Helper()
	a := netip.MustParseAddr(text)
	before := c.Stats()
	c.NewAsker().Ask(&flow.Record{Dst: a}, flow.SideDst, a, [2]netip.Addr{a}, time.Now())
	wait := patience
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := c.Stats()
		if done(s) > done(before) {
			if s.Listed == before.Listed {
				wait = 200 * time.Millisecond // for what must not come, or is known from before
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no verdict on %s: %+v", text, s)
		}
	}
	select {
	case h := <-hits:
		ind := h.Match.Indicators()[0]
		return fmt.Sprint(ind.Score, " ", ind.Category, " ", ind.Ref)
	case <-time.After(wait): // the hit follows the counter at once
		return ""
	}
}

func done(s dnsbl.Stats) uint64 { return s.Cached + s.Listed + s.Unlisted + s.Failed }
