package target

import (
	"encoding/json"
	"iter"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"go4.org/netipx"
)

// readers read back the addresses that a consumer of each target would block, all ports alike.
var readers = map[string]*regexp.Regexp{
	"text":     regexp.MustCompile(`(?m)^([0-9a-f][0-9a-f.:/]*)$`),
	"pf":       regexp.MustCompile(`(?m)^([0-9a-f][0-9a-f.:/]*)$`),
	"nftables": regexp.MustCompile(`(?m)^([0-9a-f][0-9a-f.:/]*)(?: \. \d+)?(?: timeout \d+s)? comment "[^"]*",$`),
	"ipset":    regexp.MustCompile(`(?m)^add flowsnitch[46]\.new (\S+) timeout \d+ comment "[^"]*"$`),
	"openbgpd": regexp.MustCompile(`(?m)^\t(\S+)$`),
	"mikrotik": regexp.MustCompile(`(?m)^:do { add list="flowsnitch" address=(\S+)(?: timeout=\w+)? comment="[^"]*" } on-error={}$`),
	"bird":     regexp.MustCompile(`(?m)^\troute (\S+) blackhole;$`),
	"rpz-ip":   regexp.MustCompile(`(?m)^(\S+)\.rpz-ip IN CNAME \.$`),
	"rbldnsd":  regexp.MustCompile(`(?m)^(\S+/\d+) :127\.0\.0\.2:.*$`),
	"stix":     regexp.MustCompile(`"pattern":"\[[^"]*value = '([^']+)'[^"]*\]"`),
}

// readBack gives what a consumer reads of a list.
func readBack(t *testing.T, target *Target, text string) *netipx.IPSet {
	t.Helper()
	var b netipx.IPSetBuilder
	for _, m := range readers[target.Name].FindAllStringSubmatch(text, -1) {
		if strings.HasSuffix(m[0], ":127.0.0.2:test point") {
			continue
		}
		p, err := prefixOf(target, m[1])
		if err != nil {
			t.Fatalf("%s: %q: %v", target.Name, m[0], err)
		}
		b.AddPrefix(p)
	}
	s, err := b.IPSet()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prefixOf(target *Target, s string) (netip.Prefix, error) {
	switch {
	case target == &rpzIP:
		labels := strings.Split(s, ".")
		bits := labels[0]
		labels = labels[1:]
		slices.Reverse(labels)
		sep := "."
		if len(labels) != 4 || slices.Contains(labels, "zz") {
			sep = ":"
		}
		a := strings.Join(labels, sep)
		a = strings.ReplaceAll(strings.ReplaceAll(":"+a+":", ":zz:", "::"), ":::", "::")
		if a = strings.TrimSuffix(strings.TrimPrefix(a, ":"), ":"); strings.HasPrefix(a, ":") && !strings.HasPrefix(a, "::") {
			a = ":" + a
		}
		if strings.HasSuffix(a, ":") && !strings.HasSuffix(a, "::") {
			a += ":"
		}
		return netip.ParsePrefix(a + "/" + bits)
	case strings.Contains(s, "/"):
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err
}

// worldOf makes listings around what must never be blocked: below it, above it, all of it, with
// and without ports; as ranges that do not overlap, and as offenders.
func worldOf(r *rand.Rand) (never *netipx.IPSet, pieces iter.Seq2[netipx.IPRange, []intel.Indicator], seen []export.Seen, listed, portless *netipx.IPSet) {
	var guard, all, whole netipx.IPSetBuilder
	guard.AddSet(intel.SpecialSpace())
	for _, p := range intel.CriticalServices() {
		guard.AddPrefix(p)
	}
	for range 1 + r.IntN(8) { // home and allowed
		guard.AddPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{62, byte(r.IntN(2)), byte(r.IntN(256)), byte(r.IntN(256))}), 12+r.IntN(21)).Masked())
		guard.AddPrefix(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x2a, 0, 0, byte(r.IntN(2)), byte(r.IntN(256)), 15: byte(r.IntN(4))}), 20+r.IntN(109)).Masked())
	}
	never, _ = guard.IPSet()
	type listing struct {
		r   netipx.IPRange
		ind intel.Indicator
	}
	var list []listing
	var taken netipx.IPSetBuilder
	wide := []string{"0.0.0.0/0", "::/0", "62.0.0.0/8", "8.0.0.0/8", "2a00::/16", "192.168.0.0/16", "10.0.0.0/7", "64:ff9b::/96"}
	for i := range 40 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{62, byte(r.IntN(3)), byte(r.IntN(256)), byte(r.IntN(256))}), 8+r.IntN(25)).Masked()
		switch {
		case r.IntN(3) == 0:
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x2a, 0, 0, byte(r.IntN(3)), byte(r.IntN(256)), 15: byte(r.IntN(4))}), 16+r.IntN(113)).Masked()
		case i > 30:
			p = netip.MustParsePrefix(wide[r.IntN(len(wide))])
		}
		var b netipx.IPSetBuilder
		b.AddPrefix(p)
		done, _ := taken.IPSet()
		b.RemoveSet(done)
		rest, _ := b.IPSet()
		taken.AddPrefix(p)
		ind := intel.Indicator{Prefix: p, Feed: "f", Category: "c2", Score: uint8(1 + r.IntN(100))}
		if r.IntN(4) == 0 {
			ind.Expires = now.Add(time.Duration(1+r.IntN(99)) * time.Hour)
		}
		if r.IntN(6) == 0 {
			ind.Port = 443
		}
		for _, part := range rest.Ranges() {
			list = append(list, listing{part, ind})
			all.AddRange(part)
			if ind.Port == 0 {
				whole.AddRange(part)
			}
		}
	}
	slices.SortFunc(list, func(a, b listing) int { return a.r.From().Compare(b.r.From()) })
	for _, l := range list {
		seen = append(seen, export.Seen{Addr: l.r.From(), Contacts: 1, First: now, Last: now, Listings: []intel.Indicator{{Feed: "f", Score: 50}}})
	}
	all.RemoveSet(never)
	whole.RemoveSet(never)
	listed, _ = all.IPSet()
	portless, _ = whole.IPSet()
	return never, func(yield func(netipx.IPRange, []intel.Indicator) bool) {
		for _, l := range list {
			if !yield(l.r, []intel.Indicator{l.ind}) {
				return
			}
		}
	}, seen, listed, portless
}

// TestReadBack: what a consumer reads of a list, of every target and source, is exactly what is
// listed without what must never be blocked, however the listings overlap with that.
func TestReadBack(t *testing.T) {
	o := choice.Default()
	o.Max = 1_000_000
	for seed := range uint64(10) {
		never, pieces, seen, listed, portless := worldOf(rand.New(rand.NewPCG(seed, 9)))
		var offenders netipx.IPSetBuilder
		for i := range seen {
			offenders.Add(seen[i].Addr)
		}
		offenders.RemoveSet(never)
		met, _ := offenders.IPSet()
		for _, target := range ofAddresses() {
			l, err := export.Make(target.Can, pieces, never, o, now)
			if err != nil {
				t.Fatal(err)
			}
			want := portless
			if target.Can.Ports {
				want = listed
			}
			if got := readBack(t, target, written(t, target, l)); !got.Equal(want) || got.Overlaps(never) {
				t.Fatalf("seed %d: %s of the set: %d ranges, want %d", seed, target.Name, len(got.Ranges()), len(want.Ranges()))
			}
			m, err := export.NewMaker(target.Can, never, o, "seen here", now)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range rand.New(rand.NewPCG(seed, 2)).Perm(len(seen)) {
				s := seen[i]
				s.Listings = slices.Clone(s.Listings)
				m.Add(&s)
			}
			if got := readBack(t, target, written(t, target, m.Done())); !got.Equal(met) {
				t.Fatalf("seed %d: %s of offenders: %v, want %v", seed, target.Name, got.Ranges(), met.Ranges())
			}
		}
	}
}

// TestEmpty: a list without an entry is one that takes everything out of force, in every target.
func TestEmpty(t *testing.T) {
	for _, target := range ofAddresses() {
		l, err := export.Make(target.Can, of(), new(netipx.IPSet), choice.Default(), now)
		if err != nil {
			t.Fatal(err)
		}
		text := written(t, target, l)
		if got := readBack(t, target, text); len(got.Ranges()) != 0 || text == "" {
			t.Errorf("%s: %s", target.Name, text)
		}
		if target == &stixBundle && !json.Valid([]byte(text)) {
			t.Error(text)
		}
	}
}

// TestReadBackRPZ: the reader of the test reads all forms of names.
func TestReadBackRPZ(t *testing.T) {
	for _, s := range []string{"203.0.113.9/32", "1::/16", "::1/128", "2a00:1::/32", "2a00::1:0:0:7/128", "0:0:1::/48", "2001:db8:1:2:3:4:5:6/128"} {
		p := netip.MustParsePrefix(s)
		if got, err := prefixOf(&rpzIP, rpzName(p)); err != nil || got != p {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
}
