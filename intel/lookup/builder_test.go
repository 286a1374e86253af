package lookup

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func ind(prefix, feed string) intel.Indicator {
	return intel.Indicator{Prefix: pfx(prefix), Feed: feed}
}

func TestGuards(t *testing.T) {
	policy := Policy{
		Allow: []netip.Prefix{pfx("8.8.8.0/24"), pfx("2001:4860::/32")},
		Home:  []netip.Prefix{pfx("62.1.0.0/16"), pfx("10.0.0.0/8"), pfx("8.8.8.64/26")},
	}
	tests := []struct {
		prefix string
		origin Origin
		want   Reason
	}{
		{"93.184.216.34/32", OriginFeed, ""},
		{"0.0.0.0/0", OriginFeed, ReasonDefaultRoute},
		{"0.0.0.0/0", OriginOperator, ReasonDefaultRoute},
		{"::/0", OriginOperator, ReasonDefaultRoute},
		{"::ffff:0:0/96", OriginOperator, ReasonDefaultRoute}, // 0.0.0.0/0 in disguise
		{"0.0.0.0/1", OriginFeed, ReasonTooWide},
		{"8.0.0.0/6", OriginFeed, ReasonTooWide},
		{"8.0.0.0/6", OriginOperator, ""},
		{"9.0.0.0/8", OriginFeed, ""},
		{"2400::/18", OriginFeed, ReasonTooWide},
		{"2400::/19", OriginFeed, ""},
		{"8.8.8.8/32", OriginFeed, ReasonAllow},
		{"8.8.8.65/32", OriginFeed, ReasonAllow}, // allow goes before home
		{"8.8.8.8/32", OriginOperator, ""},
		{"8.8.0.0/16", OriginFeed, ReasonHome}, // wider than the allow entry, and than ours
		{"2001:4860:4860::8888/128", OriginFeed, ReasonAllow},
		{"62.1.2.3/32", OriginFeed, ReasonHome},
		{"62.0.0.0/8", OriginFeed, ReasonHome},
		{"62.1.2.3/32", OriginOperator, ""},
		{"10.1.2.3/32", OriginFeed, ReasonHome}, // home goes before special-purpose
		{"192.168.0.0/16", OriginFeed, ReasonSpecialPurpose},
		{"192.0.0.0/16", OriginFeed, ReasonSpecialPurpose}, // overlap, not first address
		{"192.168.0.1/32", OriginOperator, ""},
		{"::ffff:192.168.0.1/128", OriginFeed, ReasonSpecialPurpose},
	}
	for _, tt := range tests {
		b := NewBuilder(policy)
		b.Add(ind(tt.prefix, "f"), tt.origin)
		table, report := b.Build("")
		f := report.Feeds[0]
		if tt.want == "" {
			if f.Accepted != 1 || len(f.Refused) != 0 || table.Len() != 1 {
				t.Errorf("%s: not accepted: %+v", tt.prefix, f)
			}
			continue
		}
		if f.Accepted != 0 || f.Refused[tt.want] != 1 || f.Samples[0].Reason != tt.want || table.Len() != 0 {
			t.Errorf("%s: want %s, got %+v", tt.prefix, tt.want, f)
		}
		if own := len(report.OwnListed) == 1; own != (tt.want == ReasonHome) {
			t.Errorf("%s: own listed %t", tt.prefix, own)
		}
	}
}

func TestInvalidPrefix(t *testing.T) {
	b := NewBuilder(Policy{})
	b.Add(intel.Indicator{Feed: "f"}, OriginOperator)
	b.Exclude("f", netip.Prefix{})
	_, report := b.Build("")
	if got := report.Feeds[0].Refused[ReasonInvalid]; got != 2 {
		t.Errorf("%d refused as invalid, want 2", got)
	}
}

// Host bits and IPv4-mapped forms name the same prefix.
func TestCanonical(t *testing.T) {
	b := NewBuilder(Policy{})
	for _, p := range []string{"9.9.9.0/24", "9.9.9.77/24", "::ffff:9.9.9.0/120"} {
		b.Add(ind(p, "f"), OriginFeed)
	}
	table, report := b.Build("")
	if f := report.Feeds[0]; f.Accepted != 1 || f.Duplicate != 2 {
		t.Errorf("got %+v, want 1 accepted and 2 duplicate", f)
	}
	if got := table.Find(netip.MustParseAddr("::ffff:9.9.9.9"), 0).Indicators(); len(got) != 1 || got[0].Prefix != pfx("9.9.9.0/24") {
		t.Errorf("Find = %v", got)
	}
}

func TestDuplicatesKeepTheBestEvidence(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	old := intel.Indicator{Prefix: pfx("9.9.9.9/32"), Feed: "f", Score: 90, Ref: "old", FirstSeen: day(1), LastSeen: day(2)}
	young := intel.Indicator{Prefix: pfx("9.9.9.9/32"), Feed: "f", Score: 50, Ref: "new", FirstSeen: day(3), LastSeen: day(4), Expires: day(9)}
	want := young
	want.Score, want.FirstSeen = 90, day(1)
	for _, order := range [][]intel.Indicator{{old, young}, {young, old}, {old, young, old}} {
		b := NewBuilder(Policy{})
		for _, i := range order {
			b.Add(i, OriginFeed)
		}
		table, report := b.Build("")
		got := table.Find(netip.MustParseAddr("9.9.9.9"), 0).Indicators()
		if len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if f := report.Feeds[0]; f.Accepted != 1 || f.Duplicate != len(order)-1 {
			t.Errorf("report %+v", f)
		}
	}
}

// What the operator says stays the operator's word when a feed of the same name says
// it too.
func TestDuplicateOfTheOperatorsWord(t *testing.T) {
	b := NewBuilder(Policy{Allow: []netip.Prefix{pfx("9.9.9.9/32")}})
	later := ind("9.9.9.0/24", "f")
	later.LastSeen = time.Unix(1, 0)
	b.Add(ind("9.9.9.0/24", "f"), OriginOperator)
	b.Add(later, OriginFeed)
	table, _ := b.Build("")
	if table.Len() != 1 || table.Find(netip.MustParseAddr("9.9.9.9"), 0).Empty() {
		t.Error("the allowlist stopped the operator's own entry")
	}
}

func TestCap(t *testing.T) {
	b := NewBuilder(Policy{MaxIndicators: 10})
	for i := range 10 { // five of them twice: room for five more
		b.Add(ind(fmt.Sprintf("9.9.9.%d/32", i%5), "f"), OriginFeed)
	}
	for i := range 20 {
		b.Add(ind(fmt.Sprintf("9.9.8.%d/32", i), "g"), OriginFeed)
	}
	for i := range 12 {
		b.Exclude("f", pfx(fmt.Sprintf("9.9.7.%d/32", i)))
	}
	table, report := b.Build("")
	f, g := report.Feeds[0], report.Feeds[1]
	if table.Len() != 10 || f.Accepted != 5 || f.Duplicate != 5 || g.Accepted != 5 || g.Refused[ReasonOverCap] != 15 {
		t.Errorf("%d entries, report %+v", table.Len(), report)
	}
	if len(g.Samples) != maxSamples {
		t.Errorf("%d samples, want %d", len(g.Samples), maxSamples)
	}
	if f.Exclusions != 10 || f.Refused[ReasonOverCap] != 2 {
		t.Errorf("exclusions: %+v", f)
	}
	if why := table.Explain(pfx("9.9.8.19/32")); len(why) != 1 || why[0].Reason != ReasonOverCap || why[0].Feed != "g" {
		t.Errorf("Explain = %+v", why)
	}
}

func TestStoppedIsBounded(t *testing.T) {
	b := NewBuilder(Policy{Home: []netip.Prefix{pfx("62.0.0.0/8")}})
	const maxAside = 10_000 // that package listings keeps
	for i := range maxAside + 7 {
		a := netip.AddrFrom4([4]byte{62, byte(i >> 16), byte(i >> 8), byte(i)})
		b.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Feed: "f"}, OriginFeed)
	}
	_, report := b.Build("")
	if report.Forgotten != 7 || len(report.OwnListed) != maxOwnListed || report.Feeds[0].Refused[ReasonHome] != maxAside+7 {
		t.Errorf("forgotten %d, own %d, refused %v", report.Forgotten, len(report.OwnListed), report.Feeds[0].Refused)
	}
}

// All evidence comes back as it was given, with the resolution of a second.
func TestEvidenceRoundTrip(t *testing.T) {
	in := intel.Indicator{
		Prefix: pfx("2a00:1:2::/48"), Port: 443, Feed: "otx", Score: 75, Category: "c2",
		Ref: "https://example.net/1", Description: "foreign \x00 text", NativeID: "id-1", TLP: "amber",
		FirstSeen: time.Date(2016, 1, 2, 3, 4, 5, 999, time.UTC),
		LastSeen:  time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC),
		Expires:   time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	want := in
	want.FirstSeen = in.FirstSeen.Truncate(time.Second)
	want.LastSeen = time.Unix(1, 0).UTC()
	want.Expires = time.Unix(1<<32-1, 0).UTC()
	b := NewBuilder(Policy{})
	b.Add(in, OriginFeed)
	table, _ := b.Build("v7")
	m := table.Find(netip.MustParseAddr("2a00:1:2::3"), 443)
	if got := m.Indicators(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if m.Version() != "v7" || table.Version() != "v7" {
		t.Errorf("version %q, %q", m.Version(), table.Version())
	}
}

func TestFeeds(t *testing.T) {
	b := NewBuilder(Policy{})
	b.Add(ind("9.9.9.9/32", "z"), OriginFeed)
	b.Add(ind("9.9.9.8/32", "z"), OriginFeed)
	b.Add(ind("9.9.9.8/32", "a"), OriginFeed)
	table, report := b.Build("")
	if got, want := table.Feeds(), []FeedCount{{"a", 1}, {"z", 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Feeds = %v, want %v", got, want)
	}
	if report.Feeds[0].Feed != "a" {
		t.Errorf("report begins with %s", report.Feeds[0].Feed)
	}
	if got := table.Find(netip.MustParseAddr("9.9.9.9"), 0).Indicators()[0].Feed; got != "z" {
		t.Errorf("feed %q, want z", got)
	}
}
