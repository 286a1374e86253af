package target

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"go4.org/netipx"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// sample is a listing of every kind: with and without an end, a port, a date, a label.
func sample(category, feed string) []intel.Indicator {
	seen := now.Add(-48 * time.Hour)
	return []intel.Indicator{
		{Prefix: netip.MustParsePrefix("62.0.0.9/32"), Feed: feed, Score: 95, Category: category, Expires: now.Add(26*time.Hour + 90*time.Second), FirstSeen: seen, TLP: "green"},
		{Prefix: netip.MustParsePrefix("62.0.1.0/24"), Feed: feed, Score: 50, LastSeen: seen},
		{Prefix: netip.MustParsePrefix("62.0.2.1/32"), Feed: feed, Score: 70, Category: category, Port: 443},
		{Prefix: netip.MustParsePrefix("2a00:1::/32"), Feed: feed, Score: 60, Category: category},
		{Prefix: netip.MustParsePrefix("2a00:2::7/128"), Feed: feed, Score: 60, Category: category, Port: 25},
	}
}

func sampleList(t *testing.T, target *Target, category, feed string, o choice.Options) string {
	t.Helper()
	l, err := export.Make(target.Can, of(sample(category, feed)...), new(netipx.IPSet), o, now)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, target, l)
}

func written(t *testing.T, target *Target, l *export.List) string {
	t.Helper()
	var b bytes.Buffer
	if err := target.Write(&b, l); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// of makes pieces of single addresses and prefixes, which must be in order.
func of(listings ...intel.Indicator) iter.Seq2[netipx.IPRange, []intel.Indicator] {
	return func(yield func(netipx.IPRange, []intel.Indicator) bool) {
		for i := range listings {
			if !yield(netipx.RangeOfPrefix(listings[i].Prefix), listings[i:i+1]) {
				return
			}
		}
	}
}

// ofAddresses are the targets that take addresses.
func ofAddresses() (targets []*Target) {
	for _, t := range All {
		if !t.TakesNames() {
			targets = append(targets, t)
		}
	}
	return targets
}

// golden is what each target writes of the sample, behind the header.
var golden = map[string]string{
	"text": `62.0.0.9
62.0.1.0/24
2a00:1::/32
`,
	"pf": `62.0.0.9
62.0.1.0/24
2a00:1::/32
`,
	"nftables": `table inet flowsnitch {
	set v4 { type ipv4_addr; flags interval, timeout; }
	set v6 { type ipv6_addr; flags interval, timeout; }
	set v4port { type ipv4_addr . inet_service; flags interval, timeout; }
	set v6port { type ipv6_addr . inet_service; flags interval, timeout; }
}
flush set inet flowsnitch v4
flush set inet flowsnitch v6
flush set inet flowsnitch v4port
flush set inet flowsnitch v6port
add element inet flowsnitch v4 {
62.0.0.9 timeout 93690s comment "c2, score 95: feodo",
62.0.1.0/24 comment "listed, score 50: feodo",
}
add element inet flowsnitch v6 {
2a00:1::/32 comment "c2, score 60: feodo",
}
add element inet flowsnitch v4port {
62.0.2.1 . 443 comment "c2, score 70: feodo",
}
add element inet flowsnitch v6port {
2a00:2::7 . 25 comment "c2, score 60: feodo",
}
`,
	"ipset": `create flowsnitch4 hash:net family inet hashsize 4096 maxelem 8388608 timeout 0 comment -exist
create flowsnitch4.new hash:net family inet hashsize 4096 maxelem 8388608 timeout 0 comment -exist
flush flowsnitch4.new
add flowsnitch4.new 62.0.0.9 timeout 93690 comment "c2, score 95: feodo"
add flowsnitch4.new 62.0.1.0/24 timeout 0 comment "listed, score 50: feodo"
swap flowsnitch4.new flowsnitch4
destroy flowsnitch4.new
create flowsnitch6 hash:net family inet6 hashsize 4096 maxelem 8388608 timeout 0 comment -exist
create flowsnitch6.new hash:net family inet6 hashsize 4096 maxelem 8388608 timeout 0 comment -exist
flush flowsnitch6.new
add flowsnitch6.new 2a00:1::/32 timeout 0 comment "c2, score 60: feodo"
swap flowsnitch6.new flowsnitch6
destroy flowsnitch6.new
`,
	"openbgpd": `prefix-set flowsnitch {
	62.0.0.9/32
	62.0.1.0/24
	2a00:1::/32
}
`,
	"mikrotik": `/ip firewall address-list
remove [find list="flowsnitch"]
:do { add list="flowsnitch" address=62.0.0.9 timeout=1d2h1m30s comment="c2, score 95: feodo" } on-error={}
:do { add list="flowsnitch" address=62.0.1.0/24 comment="listed, score 50: feodo" } on-error={}
/ipv6 firewall address-list
remove [find list="flowsnitch"]
:do { add list="flowsnitch" address=2a00:1::/32 comment="c2, score 60: feodo" } on-error={}
`,
	"bird": `protocol static flowsnitch4 {
	ipv4 {
		import filter { bgp_community.add((65535, 666)); accept; };
	};
	route 62.0.0.9/32 blackhole;
	route 62.0.1.0/24 blackhole;
}
protocol static flowsnitch6 {
	ipv6 {
		import filter { bgp_community.add((65535, 666)); accept; };
	};
	route 2a00:1::/32 blackhole;
}
`,
	"rpz-ip": `$TTL 300
@ IN SOA localhost. root.localhost. 1796040000 300 60 86400 60
@ IN NS localhost.
32.9.0.0.62.rpz-ip IN CNAME .
24.0.1.0.62.rpz-ip IN CNAME .
32.zz.1.2a00.rpz-ip IN CNAME .
`,
	"rbldnsd": `$TTL 300
$SOA 300 localhost. root.localhost. 0 300 60 86400 60
$DATASET ip4trie @
:127.0.0.2:listed: $
127.0.0.2/32 :127.0.0.2:test point
62.0.0.9/32 :127.0.0.2:c2, score 95: feodo
62.0.1.0/24 :127.0.0.2:listed, score 50: feodo
$DATASET ip6trie @
:127.0.0.2:listed: $
::ffff:7f00:2/128 :127.0.0.2:test point
2a00:1::/32 :127.0.0.2:c2, score 60: feodo
`,
}

// use is how the list of each target is loaded, and how that is undone.
var use = map[string][2]string{
	"text":     {"by the firewall, alias or program that reads the address or file of this list", "remove the list there"},
	"nftables": {"nft -f FILE", "nft delete table inet flowsnitch"},
	"ipset":    {"ipset restore < FILE", "ipset flush flowsnitch4; ipset flush flowsnitch6"},
	"pf":       {"pfctl -t flowsnitch -T replace -f FILE", "pfctl -t flowsnitch -T flush"},
	"openbgpd": {"include FILE in bgpd.conf; bgpctl reload", "remove the include and what refers to flowsnitch; bgpctl reload"},
	"mikrotik": {"/import FILE", "/ip firewall address-list remove [find list=flowsnitch]; /ipv6 firewall address-list remove [find list=flowsnitch]"},
	"bird":     {"include FILE in bird.conf; birdc configure", "remove the include; birdc configure"},
	"rpz-ip":   {"a zone of response-policy; rndc reload ZONE", "remove the zone from response-policy; rndc reconfig"},
	"rbldnsd":  {"rbldnsd reads a changed file again within a minute", "remove the dataset from the command line of rbldnsd"},
}

// TestTargets: every target, line by line.
func TestTargets(t *testing.T) {
	for _, target := range ofAddresses() {
		if target.Name == "stix" {
			continue // below
		}
		count := "3 prefixes, 2 of IPv4 and 1 of IPv6"
		if target.Can.Ports {
			count = "5 prefixes, 3 of IPv4 and 2 of IPv6"
		}
		want := fmt.Sprintf("%[1]s flowsnitch export %[2]s: %[3]s\n%[1]s filter: all that is listed, max-tlp green, max 65536\n%[1]s made: 2026-11-30T12:00:00Z\n%[1]s load: %[4]s\n%[1]s undo: %[5]s\n",
			target.comment, target.Name, count, use[target.Name][0], use[target.Name][1]) + golden[target.Name]
		if got := sampleList(t, target, "c2", "feodo", choice.Default()); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", target.Name, got, want)
		}
	}
}

// TestReproducible: without the time the same listings give the same bytes tomorrow, and
// nothing in them is a date of today.
func TestReproducible(t *testing.T) {
	o := choice.Default()
	o.NoTime = true
	for _, target := range ofAddresses() {
		first := sampleList(t, target, "c2", "feodo", o)
		l, err := export.Make(target.Can, of(sample("c2", "feodo")...), new(netipx.IPSet), o, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if second := written(t, target, l); first != second || strings.Contains(first, "2026-11-30") || strings.Contains(first, "timeout 9") {
			t.Errorf("%s:\n%s\nan hour later\n%s", target.Name, first, second)
		}
	}
}

// hostile are texts that try to leave the comment or the quotes that they stand in.
var hostile = []string{
	"a\n127.0.0.1", "a\r\nflush ruleset", "a\u2028b\u0085c\vd\fe", `a" } ; flush ruleset ; add element x { "`, `a\`, `a\n\"`, `a"`, "a'", "$[/system reboot]", "[/system reboot]",
	"`reboot`", "$(reboot)", "*/ }", "/* a", "}; protocol kernel {", "# a", "; a", "a // b", "\x1b[31mred\x1b]0;title\x07", "\x00", "\u009b31m", "\u202egnp", "??", "a\tb",
	":127.0.0.9:x", "$DATASET ip4set @", "$INCLUDE /etc/passwd", "@include", "%s%n", "<script>", "]]>", "&amp;", "{{.}}", "\xff\xfe", strings.Repeat("ü", 300), strings.Repeat("a", 300), "' OR 1=1", "=cmd|' /C calc'!A0",
}

// TestHostileText: whatever feeds, categories and filters are called, the lines of a list
// are those of harmless names, of printable ASCII, with the same signs.
func TestHostileText(t *testing.T) {
	sign := regexp.MustCompile(`[^A-Za-z0-9 .,:_+=/@()-]`)
	for _, target := range ofAddresses() {
		for _, text := range hostile {
			o := choice.Default()
			good := sampleList(t, target, "c2", "feodo", o)
			o.Feeds, o.Categories = []string{text}, []string{text, ""}
			bad := sampleList(t, target, text, text, o)
			if i := strings.IndexFunc(bad, func(r rune) bool { return r != '\n' && r != '\t' && (r < ' ' || r > '~') }); i >= 0 {
				t.Errorf("%s: %q: byte %q", target.Name, text, bad[i])
			}
			if strings.Count(bad, "\n") != strings.Count(good, "\n") {
				t.Errorf("%s: %q makes other lines:\n%s", target.Name, text, bad)
				continue
			}
			badLines, goodLines := strings.Split(bad, "\n"), strings.Split(good, "\n")
			for i := range badLines {
				got, want := sign.FindAllString(badLines[i], -1), sign.FindAllString(goodLines[i], -1)
				if strings.Join(got, "") != strings.Join(want, "") {
					t.Errorf("%s: %q:\n%s\nhas other signs than\n%s", target.Name, text, badLines[i], goodLines[i])
				}
				if len(badLines[i]) > 1300 {
					t.Errorf("%s: a line of %d bytes", target.Name, len(badLines[i]))
				}
			}
		}
	}
}

// TestRPZName reads names back, as a resolver does.
func TestRPZName(t *testing.T) {
	for prefix, want := range map[string]string{
		"203.0.113.9/32": "32.9.113.0.203", "::/0": "0.zz", "::1/128": "128.1.zz", "2001:db8::/32": "32.zz.db8.2001",
		"2001:db8:1:2:3:4:5:6/128": "128.6.5.4.3.2.1.db8.2001", "2001:0:0:1::1/128": "128.1.zz.1.0.0.2001", "2001:db8:0:0:1:0:0:1/128": "128.1.0.0.1.zz.db8.2001", "0:0:1::/48": "48.zz.1.0.0",
	} {
		if got := rpzName(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		var b [16]byte
		for i := range 8 {
			if random.IntN(2) == 0 {
				b[2*i+1] = byte(random.IntN(256))
			}
		}
		p := netip.PrefixFrom(netip.AddrFrom16(b), 128)
		if p.Addr().Is4In6() {
			continue // not in a table
		}
		labels := strings.Split(rpzName(p), ".")
		var words [8]uint64
		word := 7
		for _, label := range labels[1:] {
			if label == "zz" {
				word -= 8 - (len(labels) - 2)
				continue
			}
			words[word], _ = strconv.ParseUint(label, 16, 16)
			word--
		}
		for i, want := range words {
			if got := uint64(b[2*i])<<8 | uint64(b[2*i+1]); word != -1 || got != want {
				t.Fatalf("%s: %v", p, labels)
			}
		}
	}
}

func TestRouterTime(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Second: "1s", 1500 * time.Millisecond: "2s", time.Hour: "1h", 8*24*time.Hour + time.Minute: "1w1d1m"} {
		if got := routerTime(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
