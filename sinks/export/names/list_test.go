package names

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func list(t *testing.T, o choice.Options, allow []string, listings []Listing) *List {
	t.Helper()
	m, err := New(o, allow, 187, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range listings {
		m.Add(&listings[i])
	}
	return m.Done()
}

// random makes listings that meet each other: few names, many levels, all labels.
func random(r *rand.Rand, n int) (out []Listing) {
	labels := []string{"a", "b", "c", "xn--bcher-kva", "a-b", "0"}
	tops := []string{"example.org", "example.co.uk", "co.uk", "github.io", "org", "lan", "one.example", "x.y"}
	for range n {
		name := tops[r.IntN(len(tops))]
		for range r.IntN(4) {
			name = labels[r.IntN(len(labels))] + "." + name
		}
		l := Listing{Name: name, Feed: fmt.Sprint("f", r.IntN(3)), Category: []string{"", "c2", "phishing"}[r.IntN(3)], Score: uint8(r.IntN(101)),
			TLP: []string{"", "green", "amber", "red", "odd"}[r.IntN(5)], OfURL: r.IntN(5) == 0}
		if r.IntN(4) == 0 {
			l.Expires = now.Add(time.Duration(r.IntN(3)-1) * time.Hour)
		}
		out = append(out, l)
	}
	return out
}

// allowedBy is the oracle: whether one listing may be in a list.
func allowedBy(l Listing, o choice.Options, allow []string) bool {
	for _, a := range allow {
		if l.Name == a || strings.HasSuffix(l.Name, "."+a) {
			return false
		}
	}
	return int(l.Score) >= o.MinScore && (len(o.Feeds) == 0 || slices.Contains(o.Feeds, l.Feed)) && (len(o.Categories) == 0 || slices.Contains(o.Categories, l.Category)) &&
		(!l.OfURL || o.URLs) && (l.Expires.IsZero() || l.Expires.After(now)) && (l.TLP == "" || l.TLP == "green" || o.MaxTLP == "red") &&
		!slices.Contains([]string{"co.uk", "github.io", "org", "lan", "one.example"}, l.Name) && !strings.HasSuffix(l.Name, ".lan") && !strings.HasSuffix(l.Name, ".example")
}

// TestOracle: the names in a list, with all below them, are those of the listings that pass
// one by one; the report counts each listing once.
func TestOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		o := choice.Default()
		o.MinScore, o.URLs = r.IntN(60)*r.IntN(2), r.IntN(2) == 0
		if r.IntN(3) == 0 {
			o.MaxTLP = "red"
		}
		if r.IntN(3) == 0 {
			o.Feeds = []string{"f1"}
		}
		if r.IntN(3) == 0 {
			o.Categories = []string{"c2", "phishing"}
		}
		allow := []string{"b.example.org", "a.a.example.co.uk"}[:r.IntN(3)]
		listings := random(r, 200)
		l := list(t, o, allow, listings)
		want, passed := make(map[string]uint8), 0
		for _, one := range listings {
			if allowedBy(one, o, allow) {
				want[one.Name] = max(want[one.Name], one.Score)
				passed++
			}
		}
		if !slices.IsSortedFunc(l.Rows, func(a, b Row) int { return compare(a.Name, b.Name) }) {
			t.Fatal("not in order")
		}
		for i, row := range l.Rows {
			score, ok := want[row.Name]
			if !ok || score != row.Score || len(row.Feeds) == 0 {
				t.Fatalf("round %d: %+v, want %d, %t", round, row, score, ok)
			}
			for _, other := range l.Rows[i+1:] {
				if hostname.Below(other.Name, row.Name) || hostname.Below(row.Name, other.Name) {
					t.Fatalf("%s and %s", row.Name, other.Name)
				}
			}
			for _, a := range allow {
				if hostname.Below(row.Name, a) || hostname.Below(a, row.Name) != slices.Contains(row.Except, a) {
					t.Fatalf("%+v, allowed %v", row, allow)
				}
			}
		}
		for name := range want {
			if !slices.ContainsFunc(l.Rows, func(r Row) bool { return hostname.Below(name, r.Name) }) {
				t.Fatalf("%s is missing", name)
			}
		}
		p := l.Report
		if p.Listings != len(listings) || p.Listings-p.Filtered-p.Expired-p.TLP-p.URLs-p.Allowed-p.Refused != passed || p.Rows != len(l.Rows) || p.Rows+p.Below != len(want) || p.Cut != 0 {
			t.Fatalf("%+v, %d passed, %d names", p, passed, len(want))
		}
	}
}

// TestCut: the best scores stay, the others are counted.
func TestCut(t *testing.T) {
	var all []Listing
	for i := range 1000 {
		all = append(all, Listing{Name: fmt.Sprintf("n%d.example.org", i), Feed: "f", Score: uint8(i % 10)})
	}
	o := choice.Default()
	o.Max = 250
	l := list(t, o, nil, all)
	if l.Report.Rows != 250 || l.Report.Cut != 750 || l.Report.Lowest != 7 {
		t.Errorf("%+v", l.Report)
	}
	for _, r := range l.Rows {
		if r.Score < 7 {
			t.Errorf("%+v", r)
		}
	}
	if again := list(t, o, nil, all); !slices.EqualFunc(l.Rows, again.Rows, func(a, b Row) bool { return a.Name == b.Name }) {
		t.Error("another list of the same")
	}
}

// TestHostile: what is no name gets into no list, whoever gives it; reasons are harmless.
func TestHostile(t *testing.T) {
	l := list(t, choice.Default(), nil, []Listing{
		{Name: "a b.example.org"}, {Name: "$INCLUDE"}, {Name: ""}, {Name: "x\n.example.org"}, {Name: "A.example.org"}, {Name: strings.Repeat("a.", 93) + "org"},
		{Name: "good.example.org", Feed: "f\nevil OK", Category: "c\r\n@ IN A 1"},
	})
	if l.Report.Refused != 6 || len(l.Rows) != 1 || strings.ContainsAny(l.Rows[0].Reason()+strings.Join(l.Header("rpz"), ""), "\r\n") {
		t.Errorf("%+v %q", l.Report, l.Rows)
	}
	if _, err := New(choice.Options{}, nil, 9, now); err == nil {
		t.Error("options that are not valid")
	}
	if _, err := New(choice.Default(), []string{"a b"}, 9, now); err == nil {
		t.Error("an allowed name that is none")
	}
}

// TestMemory: 100,000 names take no more than 100 bytes each while a list is made.
func TestMemory(t *testing.T) {
	m, err := New(choice.Default(), nil, 187, now)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100_000 {
		m.Add(&Listing{Name: fmt.Sprintf("n%d.of-a-usual-length.example.org", i), Feed: "f", Score: uint8(i % 100)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if used > 100*100_000 {
		t.Errorf("%d bytes", used)
	}
	l := m.Done()
	t.Logf("%d bytes a name, %d rows of %d", used/100_000, l.Report.Rows, l.Report.Listings)
}

// compare orders names by their labels from the right, so that all below a name follow it.
func compare(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y)
}

// TestDrop: a list of many names is the same as one that is made with all names at hand, and
// memory depends on the size of the list. FLOWSNITCH_NAMES=1000000 is what 'make soak' does.
func TestDrop(t *testing.T) {
	count := 100_000
	if n, err := strconv.Atoi(os.Getenv("FLOWSNITCH_NAMES")); err == nil {
		count = n
	}
	one := func(i int) Listing {
		r := uint32(i) * 2654435761
		return Listing{Name: fmt.Sprintf("n%d.of-a-usual-length-%d.example.org", r%uint32(count), r%7), Feed: "f", Score: uint8(r % 101)}
	}
	o := choice.Default()
	o.Max = 10_000
	m, err := New(o, nil, 187, now)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before, most := heap(), int64(0)
	best := make(map[string]uint8)
	for i := range count {
		l := one(i)
		m.Add(&l)
		if i%(count/20) == 0 {
			most = max(most, heap()-before)
		}
	}
	for i := range count {
		l := one(i)
		best[l.Name] = max(best[l.Name], l.Score)
	}
	l := m.Done()
	type scored struct {
		name, key string
		score     uint8
	}
	var all []scored
	for name, score := range best {
		all = append(all, scored{name, string(appendKey(nil, name)), score})
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.key, b.key)) })
	want := make(map[string]bool)
	for _, s := range all[:o.Max] {
		want[s.name] = true
	}
	for _, r := range l.Rows {
		if !want[r.Name] {
			t.Fatalf("%+v, the lowest is %d", r, all[o.Max-1].score)
		}
	}
	if len(l.Rows) != o.Max || l.Report.Cut != len(all)-o.Max || l.Report.Lowest != int(all[o.Max-1].score) {
		t.Errorf("%d rows, %+v, want %d cut down to %d", len(l.Rows), l.Report, len(all)-o.Max, all[o.Max-1].score)
	}
	if limit := int64(20 << 20); most > limit {
		t.Errorf("%d bytes for %d names", most, count)
	}
	t.Logf("%d names: at most %d bytes", count, most)
}

// TestHostileFeed: a feed that lists what everybody needs, in whatever spelling, blocks none of
// it, with the names that are refused counted; what is below a shared host is blocked.
func TestHostileFeed(t *testing.T) {
	var listings []Listing
	for _, text := range []string{"COM", "com.", "*.com", "co.uk", "*.Co.Uk.", "github.io", "xn--p1ai", "рф", "amazonaws.com", "a.root-servers.net", "google.com", "localhost", "router.lan", "1.0.0.127.in-addr.arpa",
		"192.0.2.1", "0x7f.0.0.1", "example", "ck", "www.ck.ck"} {
		if name, err := hostname.Parse(text); err == nil {
			listings = append(listings, Listing{Name: name, Feed: "hostile", Score: 100})
		}
	}
	refused := len(listings) - 1 // www.ck.ck has an owner
	listings = append(listings, Listing{Name: "evil.s3.amazonaws.com", Feed: "f"}, Listing{Name: "evil.github.io", Feed: "f"}, Listing{Name: "_x.example.org", Feed: "f"}, Listing{Name: "xn--bcher-kva.example.org", Feed: "f"})
	l := list(t, choice.Default(), nil, listings)
	var got []string
	for _, r := range l.Rows {
		got = append(got, r.Name)
	}
	slices.Sort(got)
	if want := []string{"_x.example.org", "evil.github.io", "evil.s3.amazonaws.com", "www.ck.ck", "xn--bcher-kva.example.org"}; !slices.Equal(got, want) || l.Report.Refused != refused {
		t.Errorf("%v, %+v, want %d refused", got, l.Report, refused)
	}
}

// TestAllowedTooLong: a name above one that is allowed and that the target cannot express is left out.
func TestAllowedTooLong(t *testing.T) {
	long := strings.Repeat("a.", 95) + "example.org"
	l := list(t, choice.Default(), []string{long, "b.example.net"}, []Listing{{Name: "example.org", Feed: "f"}, {Name: "example.net", Feed: "f"}})
	if len(l.Rows) != 1 || l.Rows[0].Name != "example.net" || !slices.Equal(l.Rows[0].Except, []string{"b.example.net"}) || l.Report.Allowed != 1 || l.Report.Rows != 1 {
		t.Errorf("%+v", l)
	}
}

// TestManyAllowed: a long list of allowed names costs a name no more than its labels.
func TestManyAllowed(t *testing.T) {
	var allow []string
	for i := range 20_000 {
		allow = append(allow, fmt.Sprintf("ours%d.example.org", i))
	}
	var listings []Listing
	for i := range 20_000 {
		listings = append(listings, Listing{Name: fmt.Sprintf("a.ours%d.example.org", 2*i), Feed: "f"})
	}
	if l := list(t, choice.Default(), allow, listings); len(l.Rows) != 10_000 || l.Report.Allowed != 10_000 {
		t.Errorf("%d rows, %+v", len(l.Rows), l.Report)
	}
}
