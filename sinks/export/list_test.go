package export

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// What the rows of some targets can express.
var (
	text     = row.Can{}
	ipset    = row.Can{Timeouts: true, Reasons: true}
	nftables = row.Can{Ports: true, Timeouts: true, Reasons: true}
	stix     = row.Can{Ports: true, Timeouts: true, Reasons: true, Dates: true}
)

// world is two small networks that can be expanded, and a table that lists parts of them.
type world struct {
	*rand.Rand
	never func(netip.Addr) bool
	table *lookup.Table
}

var universe = []netip.Prefix{netip.MustParsePrefix("62.0.0.0/22"), netip.MustParsePrefix("2a00:1::/118")}

func (w *world) prefix(least int) netip.Prefix {
	u := universe[w.IntN(2)]
	a := u.Addr()
	for range w.IntN(1024) {
		a = a.Next()
	}
	p, _ := a.Prefix(u.Bits() + least + w.IntN(11-least))
	return p
}

func (w *world) list(least, most int) (list []netip.Prefix) {
	for range w.IntN(most) {
		list = append(list, w.prefix(least))
	}
	return list
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1))}
	p := lookup.Policy{Allow: w.list(3, 6), Home: append(w.list(4, 4), intel.DefaultHome()...)}
	infrastructure := w.list(4, 5)
	for class, list := range map[intel.Class][]netip.Prefix{
		intel.ClassInfrastructure: infrastructure, intel.ClassShared: w.list(2, 4), intel.ClassScanner: w.list(2, 4),
	} {
		p.Warninglists = append(p.Warninglists, intel.NewWarninglist(string(class), class, list, nil))
	}
	b := lookup.NewBuilder(p)
	for range w.IntN(6) {
		b.Exclude(w.feed(), w.prefix(3))
	}
	for range w.IntN(200) {
		ind := intel.Indicator{
			Prefix: w.prefix(0), Feed: w.feed(), Score: uint8(1 + w.IntN(100)), Category: []string{"", "c2", "scan"}[w.IntN(3)],
			TLP: []string{"", "white", "green", "amber", "red", "amber+strict"}[w.IntN(6)],
		}
		if w.IntN(3) == 0 {
			ind.Expires = now.Add(time.Duration(w.IntN(5)-2) * time.Hour)
		}
		if w.IntN(4) == 0 {
			ind.Port = uint16(443 + w.IntN(2))
		}
		o := lookup.OriginFeed
		if w.IntN(5) == 0 { // by the operator's own word even where nobody may be listed
			o = lookup.OriginOperator
			if w.IntN(4) == 0 {
				ind.Prefix = netip.MustParsePrefix([]string{"10.0.0.0/30", "8.8.8.8/32", "203.0.113.0/29", "0.0.0.0/1", "8000::/1"}[w.IntN(5)])
			}
		}
		b.Add(ind, o)
	}
	w.table, _ = b.Build("v1")
	inNever := slices.Concat(p.Allow, p.Home, infrastructure, intel.CriticalServices())
	w.never = func(a netip.Addr) bool {
		return intel.IsSpecial(a) || slices.ContainsFunc(inNever, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return w
}

func (w *world) feed() string { return string(rune('a' + w.IntN(4))) }

func (w *world) options() choice.Options {
	o := choice.Default()
	o.MinScore = w.IntN(2) * w.IntN(100)
	o.Family = []int{0, 0, 4, 6}[w.IntN(4)]
	o.MaxTLP = choice.TLPs[w.IntN(len(choice.TLPs))]
	o.NoTime = w.IntN(2) == 0
	for range w.IntN(3) {
		o.Feeds = append(o.Feeds, w.feed())
	}
	for range w.IntN(2) {
		o.Categories = append(o.Categories, []string{"c2", "scan", "scanner"}[w.IntN(3)])
	}
	return o
}

// rowList is a list with its rows at hand.
type rowList struct {
	*List
	can  row.Can
	Rows []row.Row
}

func withRows(l *List, can row.Can) *rowList {
	r := &rowList{List: l, can: can}
	for row := range l.Rows {
		r.Rows = append(r.Rows, *row)
	}
	return r
}

func (w *world) export(t *testing.T, can row.Can, o choice.Options) *rowList {
	t.Helper()
	never, err := w.table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Make(can, w.table.Pieces(), never, o, now)
	if err != nil {
		t.Fatal(err)
	}
	return withRows(l, can)
}

// passing gives the listings that put an address at a port into a list.
func (w *world) passing(o *choice.Options, a netip.Addr, port uint16) (list []intel.Indicator) {
	if w.never(a) || o.Family == 4 && a.Is6() || o.Family == 6 && a.Is4() {
		return nil
	}
	for _, ind := range w.table.Find(a, port).Indicators() {
		label := map[string]string{"": "clear", "white": "clear"}[ind.TLP]
		if label == "" {
			label = ind.TLP
		}
		switch {
		case ind.Port != port,
			len(o.Feeds) > 0 && !slices.Contains(o.Feeds, ind.Feed),
			len(o.Categories) > 0 && !slices.Contains(o.Categories, ind.Category),
			int(ind.Score) < o.MinScore,
			!ind.Expires.IsZero() && !ind.Expires.After(now),
			slices.Index(choice.TLPs, label) > slices.Index(choice.TLPs, o.MaxTLP):
			continue
		}
		list = append(list, ind)
	}
	return list
}

// addresses are all of the universe, and some that must never be blocked.
func addresses(yield func(netip.Addr) bool) {
	for _, p := range universe {
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			if !yield(a) {
				return
			}
		}
	}
	for _, a := range []string{"0.0.0.0", "8.8.8.8", "1.1.1.1", "10.0.0.1", "127.0.0.1", "192.168.1.1", "203.0.113.1", "224.0.0.1", "255.255.255.255",
		"::", "::1", "fd00::1", "fe80::1", "2001:db8::1", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "9.9.9.9", "198.41.0.4", "9.9.9.10"} {
		if !yield(netip.MustParseAddr(a)) {
			return
		}
	}
}

// TestListAgainstOracle: the rows have exactly the addresses that pass, address by address,
// with the best score and the feeds of what lists them.
func TestListAgainstOracle(t *testing.T) {
	blocked := 0
	for seed := range uint64(100) {
		w := newWorld(seed)
		o := w.options()
		var lists []*rowList
		for _, can := range []row.Can{text, ipset, nftables, stix} {
			l := w.export(t, can, o)
			checkOrder(t, l)
			lists = append(lists, l)
		}
		for _, port := range []uint16{0, 443, 444} {
			for a := range addresses {
				want := w.passing(&o, a, port)
				for _, l := range lists {
					row := rowOf(l, a, port)
					if expected := len(want) > 0 && (port == 0 || l.can.Ports); (row != nil) != expected {
						t.Fatalf("seed %d, %+v, %+v: %s port %d: row %+v, listings %v", seed, l.can, o, a, port, row, want)
					}
					if row != nil {
						blocked++
						checkRow(t, l.can, o.NoTime, row, want)
					}
				}
			}
		}
	}
	if blocked < 50_000 {
		t.Errorf("only %d addresses were in a list", blocked)
	}
}

func rowOf(l *rowList, a netip.Addr, port uint16) *row.Row {
	i, ok := slices.BinarySearchFunc(l.Rows, a, func(r row.Row, a netip.Addr) int {
		switch {
		case r.Port != port:
			return cmp.Compare(r.Port, port)
		case r.Prefix.Contains(a):
			return 0
		}
		return r.Prefix.Addr().Compare(a)
	})
	if !ok {
		return nil
	}
	return &l.Rows[i]
}

// checkOrder: rows are sorted, do not overlap, and are as few as can be.
func checkOrder(t *testing.T, l *rowList) {
	t.Helper()
	if len(l.Rows) != l.Report.Rows {
		t.Fatalf("%d rows, the report has %d", len(l.Rows), l.Report.Rows)
	}
	var sets = make(map[string]*netipx.IPSetBuilder)
	count := make(map[string]int)
	for i := range l.Rows {
		r := &l.Rows[i]
		if i > 0 {
			p := &l.Rows[i-1]
			if p.Port > r.Port || p.Port == r.Port && !netipx.PrefixLastIP(p.Prefix).Less(r.Prefix.Addr()) {
				t.Fatalf("row %v after %v", r, p)
			}
		}
		key := fmt.Sprint(r.Port, " ", r.Expires)
		if sets[key] == nil {
			sets[key] = new(netipx.IPSetBuilder)
		}
		sets[key].AddPrefix(r.Prefix)
		count[key]++
	}
	for key, b := range sets {
		if s, err := b.IPSet(); err != nil || len(s.Prefixes()) != count[key] {
			t.Fatalf("%s: %d rows, %d are enough: %v", key, count[key], len(s.Prefixes()), err)
		}
	}
}

// checkRow: what a row shows covers what lists one of its addresses.
func checkRow(t *testing.T, can row.Can, noTime bool, r *row.Row, listings []intel.Indicator) {
	t.Helper()
	var last time.Time
	forever := false
	for _, ind := range listings {
		if ind.Score > r.Score || can.Reasons && !slices.Contains(r.Feeds, ind.Feed) || can.Reasons && intel.TLPRank(ind.TLP) > intel.TLPRank(r.TLP) {
			t.Fatalf("row %+v does not show %+v", r, ind)
		}
		forever = forever || ind.Expires.IsZero()
		if ind.Expires.After(last) {
			last = ind.Expires
		}
	}
	if forever || !can.Timeouts || noTime && !can.Dates {
		last = time.Time{}
	}
	if !r.Expires.Equal(last) {
		t.Fatalf("row %+v, the last listing of an address ends %s", r, last)
	}
}

// TestNever: whatever a source lists, no address of what must never be blocked gets out.
func TestNever(t *testing.T) {
	never, err := new(lookup.Table).Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	everything := func(yield func(netipx.IPRange, []intel.Indicator) bool) {
		for _, p := range []string{"0.0.0.0/0", "::/0"} {
			ind := intel.Indicator{Prefix: netip.MustParsePrefix(p), Feed: "all", Score: 50}
			if !yield(netipx.RangeOfPrefix(ind.Prefix), []intel.Indicator{ind}) {
				return
			}
		}
	}
	l, err := Make(text, everything, never, choice.Default(), now)
	if err != nil {
		t.Fatal(err)
	}
	var got, want netipx.IPSetBuilder
	for r := range l.Rows {
		got.AddPrefix(r.Prefix)
	}
	want.AddSet(never)
	want.Complement()
	a, err := got.IPSet()
	b, err2 := want.IPSet()
	if err != nil || err2 != nil || !a.Equal(b) || l.Report.Guarded != 2 {
		t.Errorf("%+v: not all but what must never be blocked; %v, %v", l.Report, err, err2)
	}
}

// TestCut: there are at most so many rows, those of the best scores, and few are left out
// without need.
func TestCut(t *testing.T) {
	cut := 0
	for seed := range uint64(200) {
		w := newWorld(seed)
		o := choice.Default()
		o.MaxTLP = "red"
		can := []row.Can{text, ipset, nftables}[w.IntN(3)]
		whole := w.export(t, can, o)
		o.Max = 1 + w.IntN(len(whole.Rows)+1)
		l := w.export(t, can, o)
		checkOrder(t, l)
		r := &l.Report
		switch {
		case len(l.Rows) > o.Max:
			t.Fatalf("seed %d: %d rows, at most %d are allowed", seed, len(l.Rows), o.Max)
		case len(whole.Rows) <= o.Max && (r.Cut != 0 || !reflect.DeepEqual(whole.Rows, l.Rows)):
			t.Fatalf("seed %d: %d of %d rows, cut without need: %+v", seed, len(l.Rows), len(whole.Rows), r)
		case len(whole.Rows) > o.Max && r.Cut != len(whole.Rows)-len(l.Rows):
			t.Fatalf("seed %d: %d of %d rows: %+v", seed, len(l.Rows), len(whole.Rows), r)
		}
		if r.Cut == 0 {
			continue
		}
		cut++
		if text := l.Header("text")[0]; !strings.Contains(text, fmt.Sprintf("cut to the best scores, %d more are left out", r.Cut)) {
			t.Fatalf("seed %d: %s", seed, text)
		}
		for a := range addresses {
			list := w.passing(&o, a, 0)
			if len(list) == 0 {
				continue
			}
			best := int(slices.MaxFunc(list, func(a, b intel.Indicator) int { return int(a.Score) - int(b.Score) }).Score)
			if in := rowOf(l, a, 0) != nil; !in && best > r.Lowest || in && best < r.Lowest {
				t.Fatalf("seed %d: %s of score %d: in the list %t, which goes down to %d", seed, a, best, in, r.Lowest)
			}
		}
	}
	if cut < 100 {
		t.Errorf("only %d lists were cut", cut)
	}
}

// TestReport: each listing counts once, however many ranges it is cut into, and under the
// first reason that keeps it out.
func TestReport(t *testing.T) {
	b := lookup.NewBuilder(lookup.Policy{})
	for _, ind := range []intel.Indicator{
		{Prefix: netip.MustParsePrefix("62.0.0.0/16"), Feed: "wide", Score: 50},
		{Prefix: netip.MustParsePrefix("62.0.1.0/24"), Feed: "low", Score: 10},
		{Prefix: netip.MustParsePrefix("62.0.2.1/32"), Feed: "red", Score: 50, TLP: "red"},
		{Prefix: netip.MustParsePrefix("62.0.2.2/32"), Feed: "old", Score: 50, Expires: now},
		{Prefix: netip.MustParsePrefix("62.0.2.3/32"), Feed: "port", Score: 50, Port: 25},
		{Prefix: netip.MustParsePrefix("63.0.0.0/24"), Feed: "port", Score: 50, Port: 25},
	} {
		b.Add(ind, lookup.OriginFeed)
	}
	table, _ := b.Build("v1")
	never, err := table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	o := choice.Default()
	o.MinScore = 20
	l, err := Make(text, table.Pieces(), never, o, now)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Report{Listings: 6, Filtered: 1, Expired: 1, TLP: 1, Port: 2, Rows: 1}); l.Report != want {
		t.Errorf("%+v, want %+v", l.Report, want)
	}
}

// TestCutWithinRange: a range of many prefixes, larger than the list may be, is cut itself;
// the list is not empty.
func TestCutWithinRange(t *testing.T) {
	b := lookup.NewBuilder(lookup.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("62.0.0.7/32")}})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("62.0.0.0/24"), Feed: "a", Score: 50}, lookup.OriginFeed)
	table, _ := b.Build("v1")
	never, err := table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	for most := 1; most <= 8; most++ {
		o := choice.Default()
		o.Max = most
		l, err := Make(text, table.Pieces(), never, o, now)
		if err != nil {
			t.Fatal(err)
		}
		if r := l.Report; r.Rows != most || r.Cut != 8-most || most < 8 && r.Lowest != 50 || len(withRows(l, text).Rows) != most {
			t.Errorf("at most %d: %+v", most, r)
		}
	}
}

// TestNoTimeMerges: where no timeout is written, prefixes that end at different times are one.
func TestNoTimeMerges(t *testing.T) {
	b := lookup.NewBuilder(lookup.Policy{})
	for i, p := range []string{"62.0.0.0/25", "62.0.0.128/25"} {
		b.Add(intel.Indicator{Prefix: netip.MustParsePrefix(p), Feed: "a", Score: 50, Expires: now.Add(time.Duration(1+i) * time.Hour)}, lookup.OriginFeed)
	}
	table, _ := b.Build("v1")
	for noTime, want := range map[bool]int{false: 2, true: 1} {
		o := choice.Default()
		o.NoTime = noTime
		l, err := Make(nftables, table.Pieces(), new(netipx.IPSet), o, now)
		if err != nil || l.Report.Rows != want {
			t.Errorf("no time %t: %+v, %v", noTime, l.Report, err)
		}
	}
}
