//go:build integration

package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	languages "github.com/flowsnitch/flowsnitch/sinks/export/target"
	"go4.org/netipx"
)

// entries is how many listings the lists are made of: some are refused, not to be shared, or
// in others. Of 140,000, which FLOWSNITCH_EXPORT_ENTRIES=140000 gives, 100,000 rows are left.
var entries = count("FLOWSNITCH_EXPORT_ENTRIES", 14_000)

// count reads a number from the environment.
func count(variable string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil || n < 1000 {
		return otherwise
	}
	return n
}

// patience detects what hangs.
const patience = 8 * time.Minute

// names try to leave the comments that they stand in.
var names = []string{"feodo", "a\n}", `x" ; flush ruleset`, `\`, "$(reboot)", "\x1b]0;t\x07", "ü\u2028", "[/system reset]", strings.Repeat("n", 300)}

// made is the table that all tests export, and when.
var made = sync.OnceValues(func() (*lookup.Table, time.Time) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Now().UTC().Truncate(time.Second)
	home := netip.MustParsePrefix("62.1.0.0/16")
	b := lookup.NewBuilder(lookup.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("62.2.128.0/17"), netip.MustParsePrefix("2a00:1:8000::/33")}, Home: []netip.Prefix{home}})
	for i := range entries {
		var a netip.Addr
		bits := 32
		if i%8 == 0 {
			a, bits = netip.AddrFrom16([16]byte{0x2a, byte(r.IntN(2)), 0, byte(r.IntN(4)), byte(r.IntN(256)), byte(r.IntN(256)), 7: byte(r.IntN(4)), 15: byte(r.IntN(256))}), 128
		} else {
			a = netip.AddrFrom4([4]byte{62, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
		}
		if r.IntN(50) == 0 {
			bits -= r.IntN(12)
		}
		p, _ := a.Prefix(bits)
		ind := intel.Indicator{Prefix: p, Feed: names[r.IntN(len(names))], Category: []string{"", "c2", names[r.IntN(len(names))]}[r.IntN(3)], Score: uint8(1 + r.IntN(100)), TLP: []string{"", "", "", "", "green", "green", "green", "amber"}[r.IntN(8)]}
		if r.IntN(3) == 0 {
			ind.Expires = now.Add(time.Duration(1+r.IntN(5)) * 24 * time.Hour)
		}
		if r.IntN(10) == 0 {
			ind.Port = uint16(1 + r.IntN(3))
			ind.FirstSeen = now.Add(-time.Hour)
		}
		o := lookup.OriginFeed
		if r.IntN(50) == 0 {
			o = lookup.OriginOperator // home and allowed, too
		}
		b.Add(ind, o)
	}
	t, _ := b.Build("v1")
	return t, now
})

// list writes the list of a target into a file.
func list(t *testing.T, target string, change func(*choice.Options)) (path string, rows []row.Row) {
	t.Helper()
	table, now := made()
	never, err := table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	o := choice.Default()
	o.Max = 2 * entries
	if change != nil {
		change(&o)
	}
	to := languages.Find(target)
	l, err := export.Make(to.Can, table.Pieces(), never, o, now)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := to.Write(&b, l); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = instance.WriteFile(t, filepath.Join(dir, target), b.String())
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for r := range l.Rows {
		rows = append(rows, *r)
	}
	t.Logf("%s: %d rows of %d listings, %d bytes", target, len(rows), l.Report.Listings, b.Len())
	return path, rows
}

// need installs a program that is missing.
func need(t *testing.T, program, from string) string {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if os.Geteuid() != 0 {
		t.Fatalf("%s is needed: apt-get install %s", program, from)
	}
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", from}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apt-get %v: %v\n%s", args, err, out)
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program and gives what it prints.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s\n%.2000s", program, args, err, &problems, out)
	}
	return string(out)
}

// isolated runs a script in a network namespace of its own.
func isolated(t *testing.T, script string, args ...string) string {
	t.Helper()
	return run(t, "unshare", append([]string{"-n", "sh", "-euc", script}, args...)...)
}

// undo gives the command by which the header of a list takes it out of force.
func undo(t *testing.T, path string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^# undo: (.+)$`).FindStringSubmatch(instance.ReadFile(t, path))
	if m == nil {
		t.Fatal("the header has no undo")
	}
	return m[1]
}

// An element is what a consumer has of a row.
type element struct {
	prefix netip.Prefix
	port   uint16
}

// listed gives what must be blocked by the table, judged listing by listing and not by the
// exporter: addresses by port. The last listing's end is compared by the tests of rows.
func listed(t *testing.T) map[uint16]*netipx.IPSet {
	t.Helper()
	table, _ := made()
	never, err := table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	sets := make(map[uint16]*netipx.IPSet)
	for port := range uint16(4) {
		var b netipx.IPSetBuilder
		for _, all := range []string{"62.0.0.0/8", "2a00::/15"} {
			for _, ind := range everything(table, netip.MustParsePrefix(all)) {
				if ind.Port == port && ind.TLP != "amber" {
					b.AddPrefix(ind.Prefix)
				}
			}
		}
		b.RemoveSet(never)
		if sets[port], err = b.IPSet(); err != nil {
			t.Fatal(err)
		}
	}
	return sets
}

// everything gives all listings in a prefix: the table answers with at most 1,000 at once.
func everything(table *lookup.Table, p netip.Prefix) []intel.Indicator {
	list := table.Listings(p)
	if len(list) < 1000 || p.IsSingleIP() {
		return list
	}
	half := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	next := netipx.PrefixLastIP(half).Next()
	return append(everything(table, half), everything(table, netip.PrefixFrom(next, p.Bits()+1))...)
}

// compare compares the elements of a consumer with what must be blocked.
func compare(t *testing.T, elements []element, ports bool) {
	t.Helper()
	builders := make(map[uint16]*netipx.IPSetBuilder)
	for _, e := range elements {
		if builders[e.port] == nil {
			builders[e.port] = new(netipx.IPSetBuilder)
		}
		builders[e.port].AddPrefix(e.prefix)
	}
	for port, want := range listed(t) {
		if builders[port] == nil {
			builders[port] = new(netipx.IPSetBuilder)
		}
		got, err := builders[port].IPSet()
		if err != nil {
			t.Fatal(err)
		}
		if port != 0 && !ports {
			want = new(netipx.IPSet)
		}
		if len(want.Ranges()) == 0 && (port == 0 || ports) || !got.Equal(want) {
			t.Errorf("port %d: %d ranges, want %d", port, len(got.Ranges()), len(want.Ranges()))
		}
	}
}

// TestNFTables: nft takes the list, takes it again while the rules of the README refer to
// its sets, and has what it lists.
func TestNFTables(t *testing.T) {
	need(t, "nft", "nftables")
	path, rows := list(t, "nftables", nil)
	rules := regexp.MustCompile(`(?m)^nft add (chain|rule) .*$`).FindAllString(instance.ReadFile(t, "../../../sinks/export/README.md"), -1)
	if len(rules) < 7 {
		t.Errorf("%d rules in the README", len(rules))
	}
	out := isolated(t, `nft -c -f "$0"; nft -f "$0"; `+strings.Join(rules, "; ")+`; nft -f "$0"; nft -j list table inet flowsnitch; `+undo(t, path)+`; test -z "$(nft list tables)"`, path)
	var answer struct {
		NFTables []struct {
			Set struct {
				Name string            `json:"name"`
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	var elements []element
	timeouts := 0
	for _, o := range answer.NFTables {
		for _, raw := range o.Set.Elem {
			var e struct {
				Elem struct {
					Val     json.RawMessage `json:"val"`
					Timeout int             `json:"timeout"`
				} `json:"elem"`
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			if e.Elem.Timeout > 0 {
				timeouts++
			}
			elements = append(elements, nftElement(t, e.Elem.Val))
		}
	}
	ending := 0
	for i := range rows {
		if !rows[i].Expires.IsZero() {
			ending++
		}
	}
	if len(elements) != len(rows) || timeouts != ending || ending == 0 {
		t.Errorf("%d elements, %d with a timeout; want %d, %d", len(elements), timeouts, len(rows), ending)
	}
	compare(t, elements, true)
}

// nftElement reads "addr", {"prefix": {…}} or {"concat": [either, port]}.
func nftElement(t *testing.T, raw json.RawMessage) (e element) {
	t.Helper()
	var text string
	if json.Unmarshal(raw, &text) == nil {
		a := netip.MustParseAddr(text)
		e.prefix = netip.PrefixFrom(a, a.BitLen())
		return e
	}
	var o struct {
		Prefix struct {
			Addr netip.Addr `json:"addr"`
			Len  int        `json:"len"`
		} `json:"prefix"`
		Concat []json.RawMessage `json:"concat"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if len(o.Concat) == 2 {
		e = nftElement(t, o.Concat[0])
		if err := json.Unmarshal(o.Concat[1], &e.port); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		return e
	}
	e.prefix = netip.PrefixFrom(o.Prefix.Addr, o.Prefix.Len)
	if !e.prefix.IsValid() {
		t.Fatalf("%s", raw)
	}
	return e
}

// TestIPSet: ipset takes the list, exchanges it for another, and has what it lists.
func TestIPSet(t *testing.T) {
	need(t, "ipset", "ipset")
	less, _ := list(t, "ipset", func(o *choice.Options) { o.MinScore = 90 })
	path, rows := list(t, "ipset", nil)
	out := isolated(t, `ipset restore < "$0"; ipset restore < "$1"; ipset save; `+undo(t, path)+`; test "$(ipset list | grep -c '^Number of entries: 0$')" = 2`, less, path)
	var elements []element
	for _, m := range regexp.MustCompile(`(?m)^add flowsnitch[46] (\S+) timeout (\d+)`).FindAllStringSubmatch(out, -1) {
		p, err := netipx.ParsePrefixOrAddr(m[1])
		if prefix, err2 := netip.ParsePrefix(m[1]); err2 == nil {
			elements = append(elements, element{prefix: prefix})
		} else if err == nil {
			elements = append(elements, element{prefix: netip.PrefixFrom(p, p.BitLen())})
		} else {
			t.Fatal(m[0])
		}
	}
	if len(elements) != len(rows) || strings.Contains(out, ".new") {
		t.Errorf("%d elements, want %d", len(elements), len(rows))
	}
	compare(t, elements, false)
}

// TestBIRD: bird takes the routes as a part of a configuration.
func TestBIRD(t *testing.T) {
	need(t, "bird", "bird2")
	path, _ := list(t, "bird", nil)
	main := instance.WriteFile(t, filepath.Join(t.TempDir(), "bird.conf"), fmt.Sprintf("router id 192.0.2.1;\nprotocol device {}\ninclude %q;\n", path))
	if out := run(t, "bird", "-p", "-c", main); out != "" {
		t.Error(out)
	}
}

// TestOpenBGPD: bgpd takes the prefix set, in announcements and in filters.
func TestOpenBGPD(t *testing.T) {
	need(t, "bgpd", "openbgpd")
	path, _ := list(t, "openbgpd", nil)
	run(t, "bgpd", "-n", "-f", bgpdConfig(t, path))
}

// bgpdConfig makes a configuration that uses a prefix set.
func bgpdConfig(t *testing.T, path string) string {
	t.Helper()
	main := instance.WriteFile(t, filepath.Join(t.TempDir(), "bgpd.conf"), fmt.Sprintf(
		"AS 65001\nrouter-id 192.0.2.1\ninclude %q\nnetwork prefix-set flowsnitch set { community BLACKHOLE nexthop blackhole }\ndeny from any prefix-set flowsnitch\n", path))
	for _, file := range []string{path, main} {
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return main
}

// TestEmptyLists: all programs take a list without an entry, as it is when nobody is to be
// blocked any more, in the place of one that has some.
func TestEmptyLists(t *testing.T) {
	none := func(o *choice.Options) { o.Categories = []string{"none"} }
	empty := make(map[string]string)
	for _, name := range []string{"nftables", "ipset", "bird", "openbgpd", "rpz-ip"} {
		path, rows := list(t, name, none)
		if empty[name] = path; len(rows) != 0 {
			t.Fatalf("%s: %v", name, rows)
		}
	}
	some := func(o *choice.Options) { o.Max = 100 }
	full, _ := list(t, "nftables", some)
	need(t, "nft", "nftables")
	if out := isolated(t, `nft -f "$0"; nft -f "$1"; nft list table inet flowsnitch`, full, empty["nftables"]); strings.Contains(out, "elements") {
		t.Error(out)
	}
	full, _ = list(t, "ipset", some)
	need(t, "ipset", "ipset")
	if out := isolated(t, `ipset restore < "$0"; ipset restore < "$1"; ipset save`, full, empty["ipset"]); strings.Contains(out, "add ") || strings.Count(out, "create ") != 2 {
		t.Error(out)
	}
	need(t, "bird", "bird2")
	run(t, "bird", "-p", "-c", instance.WriteFile(t, filepath.Join(t.TempDir(), "bird.conf"), fmt.Sprintf("router id 192.0.2.1;\nprotocol device {}\ninclude %q;\n", empty["bird"])))
	need(t, "bgpd", "openbgpd")
	run(t, "bgpd", "-n", "-f", bgpdConfig(t, empty["openbgpd"]))
	need(t, "named-checkzone", "bind9-utils")
	run(t, "named-checkzone", "-i", "local", "flowsnitch.rpz", empty["rpz-ip"])
}

// TestRPZ: BIND takes the zone, and has a record for each row.
func TestRPZ(t *testing.T) {
	need(t, "named-checkzone", "bind9-utils")
	path, rows := list(t, "rpz-ip", nil)
	out := run(t, "named-checkzone", "-i", "local", "-D", "-o", "-", "flowsnitch.rpz", path)
	if n := strings.Count(out, "CNAME"); n != len(rows) {
		t.Errorf("%d records, want %d", n, len(rows))
	}
}

// TestRBLDNSD: a real server has the test points, the first and the last address of rows
// with their reasons, and no neighbour of them.
func TestRBLDNSD(t *testing.T) {
	program := need(t, "rbldnsd", "rbldnsd")
	path, rows := list(t, "rbldnsd", nil)
	addr := fmt.Sprintf("127.0.0.1:%d", instance.FreePort(t))
	instance.Serve(t, program, "-n", "-f", "-w", filepath.Dir(path), "-b", strings.Replace(addr, ":", "/", 1), "-u", "nobody", "bl.example.org:combined:"+filepath.Base(path))
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", addr)
	}}
	for end := time.Now().Add(patience); reasonAt(t, resolver, "127.0.0.2") != "test point"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("rbldnsd does not have the test point")
		}
	}
	for a, want := range map[string]string{"::ffff:7f00:2": "test point", "127.0.0.1": "", "::ffff:7f00:1": ""} {
		if got := reasonAt(t, resolver, a); got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		one := &rows[r.IntN(len(rows))]
		first, last := one.Prefix.Addr(), netipx.PrefixLastIP(one.Prefix)
		for _, a := range []netip.Addr{first, last, first.Prev(), last.Next()} {
			in := slices.ContainsFunc(rows, func(r row.Row) bool { return r.Prefix.Contains(a) })
			got := reasonAt(t, resolver, a.String())
			if in != strings.Contains(got, ", score ") || !in && got != "" {
				t.Fatalf("%s: %q, listed %t", a, got, in)
			}
		}
	}
}

// reasonAt asks the list for an address, as a mail server does.
func reasonAt(t *testing.T, resolver *net.Resolver, addr string) string {
	t.Helper()
	a := netip.MustParseAddr(addr)
	var name []string
	for _, b := range slices.Backward(a.AsSlice()) {
		if a.Is6() {
			name = append(name, strconv.FormatInt(int64(b&15), 16), strconv.FormatInt(int64(b>>4), 16))
		} else {
			name = append(name, strconv.Itoa(int(b)))
		}
	}
	texts, err := resolver.LookupTXT(t.Context(), strings.Join(name, ".")+".bl.example.org.")
	if dns, ok := errors.AsType[*net.DNSError](err); ok && (dns.IsNotFound || strings.Contains(err.Error(), "refused")) {
		return ""
	}
	if err != nil || len(texts) != 1 {
		t.Fatalf("%s: %v, %v", addr, texts, err)
	}
	return texts[0]
}

// TestSTIX: the validator of OASIS finds nothing wrong or unusual in a bundle but that ids
// are made of patterns (version 5 where 4 is usual). It takes 4 ms an object, so the bundle
// is a part of the list.
func TestSTIX(t *testing.T) {
	path, _ := list(t, "stix", func(o *choice.Options) { o.Max, o.MaxTLP = entries/45, "red" })
	validSTIX(t, path)
}

// TestSTIXSightings: the same for the sightings of offenders.
func TestSTIXSightings(t *testing.T) {
	to := languages.Find("stix")
	now := time.Now()
	m, err := export.NewMaker(to.Can, new(netipx.IPSet), choice.Default(), "seen here", now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		m.Add(&export.Seen{Addr: netip.AddrFrom4([4]byte{62, 0, 0, byte(i)}), Contacts: uint64(1 + i), First: now.Add(-time.Duration(i) * time.Hour), Last: now,
			Listings: []intel.Indicator{{Feed: names[i%len(names)], Score: uint8(1 + i%100), Category: "c2", TLP: []string{"", "white", "green"}[i%3], FirstSeen: now.Add(-24 * time.Hour)}}})
	}
	var b bytes.Buffer
	if err := to.Write(&b, m.Done()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"type":"sighting"`) {
		t.Error("no sighting")
	}
	validSTIX(t, instance.WriteFile(t, filepath.Join(t.TempDir(), "seen"), b.String()))
}

// validSTIX validates a bundle.
func validSTIX(t *testing.T, path string) {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "flowsnitch-integration", "stix2-validator-3.3.2")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err != nil {
		const script = `python3 -m venv "$0" && "$0/bin/pip" install -q stix2-validator==3.3.2 && touch "$0/complete"`
		if out, err := exec.CommandContext(t.Context(), "sh", "-ec", script, dir).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: stix2-validator cannot be installed, this needs Python with venv, and PyPI: %v\n%s", err, out)
		}
	}
	file := path + ".json"
	if err := os.Rename(path, file); err != nil {
		t.Fatal(err)
	}
	if out := run(t, filepath.Join(dir, "bin", "stix2_validator"), "--strict", "--disable", "103", file); !strings.Contains(out, "STIX JSON: Valid") {
		t.Error(out)
	}
}
