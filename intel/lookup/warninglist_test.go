package lookup

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
)

// warnedTable lists the same addresses by two feeds and the operator.
func warnedTable(lists ...*intel.Warninglist) (*Table, Report) {
	b := NewBuilder(Policy{Warninglists: lists})
	b.Add(intel.Indicator{Prefix: pfx("62.0.0.9/32"), Feed: "deny", Score: 90, Category: "deny"}, OriginOperator)
	for _, ind := range []intel.Indicator{
		{Prefix: pfx("62.0.0.0/24"), Feed: "a", Score: 80, Category: "scan"},
		{Prefix: pfx("62.0.0.2/32"), Feed: "b", Score: 40, Category: "c2"},
		{Prefix: pfx("62.1.0.1/32"), Feed: "a", Score: 80, Port: 443},
		{Prefix: pfx("62.2.0.1/32"), Feed: "a", Score: 1},
	} {
		b.Add(ind, OriginFeed)
	}
	return b.Build("1")
}

// scores gives score and category of the first listing; 0 = none.
func first(tab *Table, addr string, port uint16) (uint8, string) {
	list := tab.Find(netip.MustParseAddr(addr), port).Indicators()
	if len(list) == 0 {
		return 0, ""
	}
	return list[0].Score, list[0].Category
}

// TestInfrastructureNeverHits: but what it stopped is counted, and the operator's
// word stands.
func TestInfrastructureNeverHits(t *testing.T) {
	list := intel.NewWarninglist("roots", intel.ClassInfrastructure, []netip.Prefix{pfx("62.0.0.1/32"), pfx("62.0.0.9/32"), pfx("0.0.0.0/0"), {}}, nil)
	tab, report := warnedTable(list)
	for addr, want := range map[string]uint8{"62.0.0.1": 0, "62.0.0.3": 80, "62.0.0.9": 90, "62.7.0.1": 0} {
		if got, _ := first(tab, addr, 0); got != want {
			t.Errorf("%s: score %d, want %d", addr, got, want)
		}
	}
	if n := list.Stopped.Load(); n != 1 {
		t.Errorf("%d would-be hits, want 1: that of 62.0.0.1", n)
	}
	if m := tab.Find(netip.MustParseAddr("62.0.0.9"), 0); m.Len() != 1 || len(m.Indicators()) != 1 {
		t.Errorf("%d listings of 62.0.0.9, want the operator's alone", m.Len())
	}
	want := []WarnedReport{{"roots", intel.ClassInfrastructure, 1}}
	if !slices.Equal(report.Warned, want) {
		t.Errorf("touched %v, want %v", report.Warned, want)
	}
	var reasons []Reason
	for _, s := range tab.Explain(pfx("62.0.0.1/32")) {
		reasons = append(reasons, s.Reason)
		if s.Name != "roots" || s.By != pfx("62.0.0.1/32") {
			t.Errorf("explained by %q %s", s.Name, s.By)
		}
	}
	if !slices.Equal(reasons, []Reason{"infrastructure"}) {
		t.Errorf("reasons %v", reasons)
	}
}

func TestSharedCountsHalf(t *testing.T) {
	list := intel.NewWarninglist("cdn", intel.ClassShared, []netip.Prefix{pfx("62.0.0.0/8")}, nil)
	tab, _ := warnedTable(list)
	tests := []struct {
		addr string
		port uint16
		want uint8
		why  string
	}{
		{"62.0.0.1", 0, 40, "one feed, any port"},
		{"62.0.0.2", 0, 80, "two feeds agree"},
		{"62.1.0.1", 443, 80, "the feed names the port"},
		{"62.2.0.1", 0, 1, "a listing never becomes none"},
		{"62.0.0.9", 0, 90, "the operator's word"},
	}
	for _, tt := range tests {
		if got, _ := first(tab, tt.addr, tt.port); got != tt.want {
			t.Errorf("%s: score %d, want %d: %s", tt.addr, got, tt.want, tt.why)
		}
	}
	if n := list.Stopped.Load(); n != 0 {
		t.Errorf("a shared list stopped %d hits", n)
	}
}

func TestLabels(t *testing.T) {
	scanner := intel.NewWarninglist("research", intel.ClassScanner, []netip.Prefix{pfx("62.0.0.0/23")}, nil)
	sinkhole := intel.NewWarninglist("sinks", intel.ClassSinkhole, []netip.Prefix{pfx("62.2.0.0/16"), pfx("62.0.0.7/32")}, nil)
	tab, _ := warnedTable(scanner, sinkhole)
	for addr, want := range map[string]string{
		"62.0.0.1": "scanner", "62.0.0.7": "sinkhole", "62.2.0.1": "sinkhole", "62.0.0.9": "deny",
	} {
		if _, got := first(tab, addr, 0); got != want {
			t.Errorf("%s: category %q, want %q", addr, got, want)
		}
	}
	c2 := slices.ContainsFunc(tab.Find(netip.MustParseAddr("62.0.0.2"), 0).Indicators(),
		func(i intel.Indicator) bool { return i.Category == "c2" })
	if !c2 {
		t.Error("a label hides that a feed knows a c2")
	}
}

// TestUnique: the share of a feed that nobody else has.
func TestUnique(t *testing.T) {
	b := NewBuilder(Policy{})
	for _, ind := range []intel.Indicator{
		{Prefix: pfx("62.0.0.1/32"), Feed: "a"}, {Prefix: pfx("62.0.0.1/32"), Feed: "b"},
		{Prefix: pfx("62.0.0.2/32"), Feed: "a", Port: 80}, {Prefix: pfx("62.0.0.2/32"), Feed: "a", Port: 443},
		{Prefix: pfx("62.0.0.3/32"), Feed: "b"}, {Prefix: pfx("62.0.0.3/32"), Feed: "b"},
		{Prefix: pfx("62.0.0.0/24"), Feed: "b"},
	} {
		b.Add(ind, OriginFeed)
	}
	_, report := b.Build("1")
	got := map[string]int{}
	for _, f := range report.Feeds {
		got[f.Feed] = f.Unique
	}
	if got["a"] != 2 || got["b"] != 2 {
		t.Errorf("unique %v, want a: 2, b: 2", got)
	}
}
