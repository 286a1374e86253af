package lookup

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A history is a set that changes from step to step.
type history struct {
	*world
	policy  Policy
	given   []given
	exclude []exclusion
	changed map[string]bool // feeds, since the last step
	ends    []netip.Addr    // of all prefixes that ever were
}

func newHistory(seed uint64) *history {
	h := &history{world: newWorld(seed, seed%2 == 1)}
	o := h.world.oracle()
	h.policy, h.given, h.exclude = o.policy, o.given, o.exclude
	var warn []netip.Prefix
	for range h.IntN(5) {
		warn = append(warn, h.prefix(12))
	}
	h.policy.Warninglists = []*intel.Warninglist{
		intel.NewWarninglist("w1", intel.ClassInfrastructure, warn, nil), intel.NewWarninglist("w2", intel.ClassShared, warn[:len(warn)/2], nil),
	}
	h.remember(h.given...)
	return h
}

func (h *history) remember(all ...given) {
	for _, g := range all {
		h.ends = append(h.ends, g.Prefix.Addr(), lastAddr(g.Prefix))
	}
}

// step changes a few things of some feeds.
func (h *history) step() {
	h.changed = make(map[string]bool)
	for range h.IntN(6) {
		feed := h.feed()
		h.changed[feed] = true
		mine := func(g given) bool { return g.Feed == feed }
		i := slices.IndexFunc(h.given, mine)
		more := given{Indicator: intel.Indicator{Prefix: h.prefix(1), Feed: feed, Score: uint8(h.IntN(4) * 25), Ref: fmt.Sprint("r", h.IntN(4))}}
		switch {
		case h.IntN(8) == 0:
			h.given = slices.DeleteFunc(h.given, mine)
		case h.IntN(8) == 0:
			h.exclude = append(h.exclude, exclusion{feed, h.prefix(8)})
		case h.IntN(8) == 0 && len(h.exclude) > 0:
			h.changed[h.exclude[0].feed] = true
			h.exclude = h.exclude[1:]
		case h.IntN(3) > 0 && i >= 0:
			h.given = slices.Delete(h.given, i, i+1)
		case h.IntN(2) == 0 && i >= 0: // the same once more, or otherwise
			more = h.given[i]
			more.Score = uint8(h.IntN(4) * 25)
			h.given = append(h.given, more)
		default:
			if h.IntN(4) == 0 {
				more.origin, more.Port = OriginOperator, uint16(80+h.IntN(2))
			}
			h.given = append(h.given, more)
			h.remember(more)
		}
	}
	h.Shuffle(len(h.given), func(i, j int) {
		if a, b := h.given[i].Feed, h.given[j].Feed; h.changed[a] && h.changed[b] {
			h.given[i], h.given[j] = h.given[j], h.given[i]
		}
	})
}

// build gives all feeds to a builder; those that it can keep it may keep.
func (h *history) build(b *Builder, version string) (*Table, Report) {
	for _, feed := range []string{"a", "b", "c"} {
		if !h.changed[feed] && h.IntN(2) == 0 && b.Keep(feed) {
			continue
		}
		for _, x := range h.exclude {
			if x.feed == feed {
				b.Exclude(feed, x.prefix)
			}
		}
		for _, g := range h.given {
			switch {
			case g.Feed != feed:
			case g.NativeID == "3":
				b.Refuse(g.Indicator, ReasonExpired)
			default:
				b.Add(g.Indicator, g.origin)
			}
		}
	}
	return b.Build(version)
}

// TestUpdate: a table made from the one before it is the one that is made from nothing.
func TestUpdate(t *testing.T) {
	for seed := range uint64(12) {
		h := newHistory(seed)
		last, _ := h.build(NewBuilder(h.policy), "v0")
		for i := range 6 {
			h.step()
			version := fmt.Sprint("v", i+1)
			before := look(last, h)
			next, report := h.build(NewBuilderFrom(last, h.policy), version)
			want, wantReport := h.build(NewBuilder(h.policy), version)
			if got, want := difference(look(next, h), look(want, h)); got != want {
				t.Fatalf("seed %d, step %d: got\n%s\nwant\n%s", seed, i, got, want)
			}
			if sortReports(&report, &wantReport); !reflect.DeepEqual(report, wantReport) {
				t.Fatalf("seed %d, step %d: got\n%+v\nwant\n%+v", seed, i, report, wantReport)
			}
			if look(last, h) != before {
				t.Fatalf("seed %d, step %d: the table in force has changed", seed, i)
			}
			last = next
		}
	}
}

// difference gives the first lines that differ.
func difference(a, b string) (string, string) {
	next := strings.SplitSeq(b, "\n")
	more, stop := iter.Pull(next)
	defer stop()
	for line := range strings.SplitSeq(a, "\n") {
		if other, _ := more(); line != other {
			return line, other
		}
	}
	return "", ""
}

func sortReports(reports ...*Report) {
	for _, r := range reports {
		slices.SortFunc(r.OwnListed, func(a, b Suppression) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}

// look prints all that a table answers.
func look(t *Table, h *history) string {
	text := fmt.Sprintln(t.Version(), t.Len(), t.Feeds())
	var set4 []uint32
	var set6 []flow.Addr6
	for _, a := range h.ends {
		if a.Is4() {
			set4 = append(set4, uint32(flow.Addr6Of(a).Lo))
		} else {
			set6 = append(set6, flow.Addr6Of(a))
		}
		for _, port := range []uint16{0, 80, 81} {
			text += fmt.Sprintln(a, port, t.Find(a, port).Indicators())
		}
		for _, bits := range []int{a.BitLen(), a.BitLen() / 2} {
			p, _ := a.Prefix(bits)
			text += fmt.Sprintln(p, t.ByOperator(p), t.Listings(p), explanations(t, p))
		}
	}
	return text + fmt.Sprintln(t.Match4(set4, nil), t.Match6(set6, nil))
}

func explanations(t *Table, p netip.Prefix) []string {
	var out []string
	for _, s := range t.Explain(p) {
		out = append(out, fmt.Sprint(s))
	}
	slices.Sort(out)
	return out
}

// many gives n addresses.
func many(n int) (out []intel.Indicator) {
	for i := range n {
		out = append(out, intel.Indicator{
			Prefix: netip.PrefixFrom(flow.Addr4(0x3e000000+uint32(i)*7), 32), Feed: "many",
			Category: "scan", Ref: fmt.Sprint("https://example.net/", i),
		})
	}
	return out
}

func tableOf(b *Builder, entries []intel.Indicator) *Table {
	for _, i := range entries {
		b.Add(i, OriginFeed)
	}
	t, _ := b.Build("")
	return t
}

// TestUpdateGrows: a set that grows by little and little gets larger filters in time.
func TestUpdateGrows(t *testing.T) {
	entries := many(20_000)
	for i := range entries {
		entries[i].Ref = "" // so that no lack of room for strings makes it from nothing
	}
	table := tableOf(NewBuilder(Policy{}), entries[:1_000])
	for n := 1_000; n < len(entries); n += 500 {
		table = tableOf(NewBuilderFrom(table, Policy{}), entries[:n+500])
	}
	if table.Len() != len(entries) {
		t.Fatalf("%d entries, want %d", table.Len(), len(entries))
	}
	passes := func(table *Table) (n int) {
		for a := entries[0].Prefix.Addr(); a.Less(entries[len(entries)-1].Prefix.Addr()); a = a.Next() {
			if table.set.Lets(a) && !table.Contains(a) {
				n++
			}
		}
		return n
	}
	got, want := passes(table), passes(tableOf(NewBuilder(Policy{}), entries))
	if got > max(5*want/2, 1_000) {
		t.Errorf("%d addresses pass the filters in vain, want about %d", got, want)
	}
}

// TestUpdateFamilies: a family that the filters do not know makes a table from nothing.
func TestUpdateFamilies(t *testing.T) {
	table := tableOf(NewBuilder(Policy{}), many(10))
	next := tableOf(NewBuilderFrom(table, Policy{}), append(many(10), ind("2a00::1/128", "six"), ind("62.0.0.0/24", "four")))
	for _, a := range []string{"2a00::1", "62.0.0.99", "62.0.0.7"} {
		if !matches(next, netip.MustParseAddr(a)) {
			t.Errorf("%s is not listed", a)
		}
	}
}

// TestUpdateCap: nothing comes over the cap by way of the base, and what is refused is
// counted.
func TestUpdateCap(t *testing.T) {
	const most = 1_000
	table := tableOf(NewBuilder(Policy{MaxIndicators: most}), many(most))
	b := NewBuilderFrom(table, Policy{MaxIndicators: most})
	b.Keep("many")
	for i := range 300 {
		b.Add(intel.Indicator{Prefix: netip.PrefixFrom(flow.Addr4(0x30000000+uint32(i)), 32), Feed: "other"}, OriginFeed)
	}
	next, r := b.Build("")
	if next.Len() != most || r.Feeds[0].Accepted != most || r.Feeds[1].Refused[ReasonOverCap] != 300 {
		t.Errorf("%d entries, report %+v", next.Len(), r)
	}
	b = NewBuilderFrom(table, Policy{MaxIndicators: most})
	for _, i := range append(many(most-100), many(most + 100)[most-100:]...) {
		b.Add(i, OriginFeed)
	}
	if next, r = b.Build(""); next.Len() != most || r.Feeds[0].Refused[ReasonOverCap] != 100 {
		t.Errorf("%d entries, report %+v", next.Len(), r)
	}
}

// TestKeep: only what the base knows in full can be kept.
func TestKeep(t *testing.T) {
	if NewBuilder(Policy{}).Keep("many") || NewBuilderFrom(new(Table), Policy{}).Keep("many") {
		t.Error("something was kept of nothing")
	}
	table := tableOf(NewBuilder(Policy{}), many(10))
	b := NewBuilderFrom(table, Policy{})
	if b.Keep("other") || !b.Keep("many") || b.Keep("many") {
		t.Error("kept what there is not, or the same twice, or not what there is")
	}
	if next, r := b.Build("v2"); next.Len() != 10 || next.Version() != "v2" || r.Feeds[0].Unique != 10 {
		t.Errorf("%d entries, report %+v", next.Len(), r)
	}
	lists := Policy{Warninglists: []*intel.Warninglist{intel.NewWarninglist("w", intel.ClassShared, nil, nil)}}
	if NewBuilderFrom(table, lists).Keep("many") || NewBuilderFrom(table, Policy{MaxIndicators: 9}).Keep("many") {
		t.Error("kept under another policy")
	}
	home := Policy{Home: []netip.Prefix{pfx("62.0.0.0/8")}}
	if full := tableOf(NewBuilder(home), many(maxOwnListed)); NewBuilderFrom(full, home).base != nil {
		t.Error("a table that has not remembered all is a base")
	}
}

// BenchmarkUpdate changes 1,000 of 1,000,000 entries: a feed of 1,000 that is read beside
// a feed of all others that is kept.
func BenchmarkUpdate(b *testing.B) {
	table, _ := benchTable(1_000_000, false)
	entries := many(2_000)
	for n := 0; b.Loop(); n++ {
		u := NewBuilderFrom(table, Policy{})
		if !u.Keep("bench") {
			b.Fatal("not kept")
		}
		from := len(entries) / 2 * (n % 2)
		table = tableOf(u, entries[from:from+1_000])
	}
}
