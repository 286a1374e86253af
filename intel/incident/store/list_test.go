package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/reader"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// hostile are texts that would show a filter that is put into a statement.
var hostile = []string{`100%`, `under_score`, `back\slash`, `it's; DROP TABLE incident; --`, `"quoted"`, `Ünïcode`, `plain`}

// randomEvents makes events of some offenders, hosts, sites, feeds and services.
func randomEvents(r *rand.Rand, offenders int) (events []event.Event, all []netip.Addr) {
	feeds, categories := []string{"feodo", "otx", "100%_feed", "spam's"}, []string{"c2", "scan", "spam"}
	sites := []string{"", "oslo", "Bergen"}
	directions := []event.Direction{event.Inbound, event.Inbound, event.Outbound, event.Internal, event.Transit}
	pick := func(n int) int { return r.IntN(n) }
	for n := range offenders {
		a := netip.AddrFrom4([4]byte{203, 0, byte(110 + n%9), byte(n)})
		switch n % 5 {
		case 0:
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n % 3), 15: byte(n)})
		case 1:
			a = netip.AddrFrom4([4]byte{20, byte(n % 2), 3, byte(n)})
		}
		all = append(all, a)
		for range 1 + pick(4) {
			when := t0.Add(time.Duration(pick(40*24)) * time.Hour)
			e := event.Event{
				Kind: event.KindHit, ID: uuid.New(), Contact: uuid.New(), Seq: 1, Time: when, ContactFirstSeen: when.Add(-time.Duration(pick(50)) * time.Minute),
				Offender: a, Local: netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + pick(12))}), Site: sites[pick(3)], Direction: directions[pick(5)],
				Answered: []event.Answered{event.AnsweredYes, event.AnsweredNo, event.AnsweredUnknown}[pick(3)],
				Severity: event.Severity(pick(4)), Score: uint8(pick(4)), Reason: hostile[pick(len(hostile))], Protocol: []uint8{6, 17, 1}[pick(3)], HasProtocol: true,
				ServicePort: []uint16{0, 22, 53, 443}[pick(4)], Flows: []uint64{1, 1, 2, 65, 66, 4200, 70_000}[pick(7)],
				Packets: 3, Bytes: []uint64{0, 40, 40, 4095, 5000, 5001, 1 << 62}[pick(7)], BytesBack: uint64(pick(3)) * 1000, PacketsBack: 1,
				Retro: pick(8) == 0, Exporter: netip.MustParseAddr("192.0.2.1"),
				Country: []string{"", "NL", "CN"}[pick(3)], ASNumber: []uint32{0, 64500, 64501}[pick(3)], ASName: hostile[pick(len(hostile))],
			}
			if e.Role = flow.SideDst; e.Direction == event.Inbound {
				e.Role = flow.SideSrc
			}
			for range pick(3) {
				e.Indicators = append(e.Indicators, event.Indicator{Prefix: netip.PrefixFrom(a, a.BitLen()-pick(2)*8).Masked(), Feed: feeds[pick(4)], Category: categories[pick(3)],
					Score: uint8(1 + pick(99)), TLP: "amber"})
			}
			events = append(events, e)
		}
	}
	return events, all
}

// fill puts random incidents into a store, judges some, and gives all of them whole.
func fill(t *testing.T, s *Store, seed uint64, offenders int) (list []incident.Incident) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	events, all := randomEvents(r, offenders)
	for some := range slices.Chunk(events, 300) {
		commit(t, s, some...)
	}
	for i, a := range all {
		if i%4 == 0 {
			act(t, s, a.String(), []incident.Act{incident.ActTake, incident.ActClose, incident.ActFalseAlarm}[i/4%3], "")
		}
		if i%7 == 0 {
			for range 1 + i%2 {
				act(t, s, a.String(), incident.ActNote, "a note of 50% "+hostile[i%len(hostile)])
			}
		}
	}
	for _, a := range all {
		list = append(list, *get(t, s, a.String()))
	}
	return list
}

// fits is the oracle of a filter: the words of stories, in plain Go.
func fits(f *incident.Filter, x *incident.Incident) bool {
	in := func(n int, one func(int) bool) bool {
		for i := range n {
			if one(i) {
				return true
			}
		}
		return false
	}
	within := func(list []netip.Prefix, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	choice := func(c incident.Choice, is bool) bool { return c == incident.Any || (c == incident.Yes) == is }
	switch {
	case !f.FirstBefore.IsZero() && x.First.After(f.FirstBefore), !f.FirstAfter.IsZero() && x.First.Before(f.FirstAfter),
		!f.LastBefore.IsZero() && x.Last.After(f.LastBefore), !f.LastAfter.IsZero() && x.Last.Before(f.LastAfter),
		x.Worst < f.MinSeverity,
		len(f.States) > 0 && !slices.Contains(f.States, x.State),
		len(f.Feeds) > 0 && !in(len(x.Listings), func(i int) bool { return slices.Contains(f.Feeds, x.Listings[i].Feed) }),
		len(f.Categories) > 0 && !in(len(x.Listings), func(i int) bool { return slices.Contains(f.Categories, x.Listings[i].Category) }),
		len(f.Services) > 0 && !in(len(x.Services), func(i int) bool {
			v := x.Services[i]
			return slices.ContainsFunc(f.Services, func(s incident.ServiceFilter) bool {
				return (s.AnyProtocol || s.Protocol == v.Protocol) && (s.AnyPort || s.Port == v.Port)
			})
		}),
		len(f.Offenders) > 0 && !within(f.Offenders, x.Offender),
		f.OfHosts() && !in(len(x.HostList), func(i int) bool { return fitsHost(f, x.HostList[i].Host) }),
		len(f.Countries) > 0 && !slices.Contains(f.Countries, x.Country),
		len(f.AS) > 0 && !slices.Contains(f.AS, x.ASNumber),
		len(f.Directions) > 0 && !in(len(f.Directions), func(i int) bool { return slices.Contains(x.Directions(), f.Directions[i]) }),
		!choice(f.Answered, x.Answered), !choice(f.Retro, x.Retro),
		f.Text != "" && !hasText(f.Text, x):
		return false
	}
	return true
}

func fitsHost(f *incident.Filter, h incident.Host) bool {
	return (len(f.Hosts) == 0 || slices.ContainsFunc(f.Hosts, func(p netip.Prefix) bool { return p.Contains(h.Addr) })) &&
		(len(f.Sites) == 0 || slices.Contains(f.Sites, h.Site))
}

func hasText(s string, x *incident.Incident) bool {
	fold := func(s string) string { // ASCII alone
		b := []byte(s)
		for i, c := range b {
			if 'A' <= c && c <= 'Z' {
				b[i] += 'a' - 'A'
			}
		}
		return string(b)
	}
	texts := []string{x.ASName}
	for _, l := range x.Listings {
		texts = append(texts, l.Feed, l.Category)
	}
	for _, n := range x.Notes {
		texts = append(texts, n.Text)
	}
	if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(fold(t), fold(s)) }) {
		return true
	}
	address := x.Offender.String()
	if x.Offender.Is6() {
		b := x.Offender.As16()
		var groups []string
		for i := 0; i < 16; i += 2 {
			groups = append(groups, fmt.Sprintf("%x", int(b[i])<<8|int(b[i+1])))
		}
		address = strings.Join(groups, ":")
	}
	return strings.ContainsAny(s, ".:") && (strings.HasPrefix(address, fold(s)) || x.Offender.String() == fold(s))
}

// compare is the oracle of the orders, ascending.
func compareBy(sort incident.Sort, a, b *incident.Incident) int {
	by := map[incident.Sort]int{
		incident.ByLast: a.Last.Compare(b.Last), incident.ByFirst: a.First.Compare(b.First), incident.BySeverity: cmp.Compare(a.Worst, b.Worst),
		incident.ByDays: cmp.Compare(a.Days, b.Days), incident.ByFlows: cmp.Compare(a.Flows, b.Flows), incident.ByHosts: cmp.Compare(a.Hosts, b.Hosts),
		incident.ByBytes: cmp.Compare(a.Bytes(), b.Bytes()), incident.ByRank: -incident.Less(a, b),
	}[sort]
	if sort == incident.BySeverity || sort == incident.ByDays || sort == incident.ByHosts {
		by = cmp.Or(by, a.First.Compare(b.First))
	}
	return cmp.Or(by, cmp.Compare(a.ID, b.ID))
}

// filters are values of each filter, and some together.
func filters() (all []string) {
	at := func(d int) string { return url.QueryEscape(t0.AddDate(0, 0, d).Format(time.RFC3339)) }
	all = []string{
		"", "first-before=" + at(10), "first-after=" + at(10), "last-before=" + at(15), "last-after=" + at(20), "first-before=" + at(5) + "&last-after=" + at(25), "last-after=" + at(99),
		"severity=medium", "severity=critical", "state=new", "state=taken,false_alarm", "state=closed", "state=open",
		"feed=feodo", "feed=feodo,otx", "feed=100%25_feed", "feed=100%25", "feed=nobody", "feed=spam's", "category=c2", "category=scan,spam", "feed=otx&category=spam",
		"service=tcp/22", "service=53", "service=icmp", "service=udp/443,tcp/443", "service=9",
		"offender=203.0.110.0/23", "offender=2001:db8::/40", "offender=20.0.3.1", "offender=::/0", "offender=0.0.0.0/0", "offender=203.0.113.0/24,2001:db8:100::/40",
		"host=10.0.0.5", "host=10.0.0.0/29", "host=192.0.2.0/24", "site=oslo", "site=oslo,Bergen&host=10.0.0.3", "site=OSLO",
		"country=NL", "country=NL,CN", "country=SE", "as=64500", "as=64500,64501&country=CN", "as=1",
		"answered=yes", "answered=no", "direction=outbound", "direction=transit,internal", "direction=inbound", "direction=outbound&answered=no&severity=high", "retro=yes", "retro=no",
		"text=203.0.11", "text=203.0.113.", "text=2", "text=20.", "text=2001:db8", "text=2001:d", "text=2001:DB8:1", "text=2001:db8::5", "text=203.0.1130", "text=256.", "text=:", "text=.",
		"text=note", "text=SCA", "text=spam", "text=c", "text=otx", "text=outbound", "text=50%25", "text=feo", "text=PLAIN", "text=%25", "text=_", "text=\\", "text=Ü", "text=ü", "text=nothing has this",
	}
	for _, h := range hostile {
		q := url.QueryEscape(h)
		all = append(all, "text="+q, "feed="+q, "category="+q, "site="+q)
	}
	if raceDetector { // what they find is tested without; each eighth is enough for races
		for i := range len(all) / 8 {
			all[i] = all[8*i]
		}
		all = all[:len(all)/8]
	}
	return all
}

// TestListAgrees: every filter in every order, page by page, gives what plain Go gives, whichever
// way is taken to find it.
func TestListAgrees(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		list := fill(t, s, 7, 120)
		normal := reader.DefaultLimits()
		for n, text := range filters() {
			f := filter(t, text)
			var want []incident.Incident
			for i := range list {
				if fits(&f, &list[i]) {
					want = append(want, list[i])
				}
			}
			for _, sort := range incident.Sorts() {
				limits := []reader.Limits{normal, {Few: 0, Patience: 20, Many: 50_000 * int64(n%2)}, {Few: 0, Patience: 20_000, Many: 50_000}}[(n+int(sort))%3]
				s.Reader = reader.New(s.db, limits)
				q := incident.Query{Filter: f, Sort: sort, Descending: (n+int(sort))%2 == 0, Limit: 1 + (n*3+int(sort)*5)%40}
				slices.SortFunc(want, func(a, b incident.Incident) int {
					if q.Descending {
						return compareBy(sort, &b, &a)
					}
					return compareBy(sort, &a, &b)
				})
				checkPages(t, s, q, want, limits.Patience < 100)
				if t.Failed() {
					t.Fatalf("filter %q, order %v, %+v", text, sort, limits)
				}
			}
		}
	})
}

func filter(t testing.TB, text string) incident.Filter {
	t.Helper()
	v, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := incident.ParseFilter(v)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkPages compares all pages of a query with what is expected.
func checkPages(t *testing.T, s *Store, q incident.Query, want []incident.Incident, uncounted bool) {
	t.Helper()
	var got []incident.Incident
	for first := true; first || q.After != ""; first = false {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !first && page.Total != -1:
			t.Errorf("a later page has a total of %d", page.Total)
		case first && page.More && (!uncounted || page.Total < len(page.Rows) || page.Total >= len(want)):
			t.Errorf("a total of more than %d, want %d", page.Total, len(want))
		case first && !page.More && page.Total != len(want):
			t.Errorf("a total of %d, want %d", page.Total, len(want))
		}
		if len(page.Rows) > q.Limit || len(page.Rows) < q.Limit && page.Next != "" {
			t.Errorf("a page of %d rows, limit %d, next %q", len(page.Rows), q.Limit, page.Next)
		}
		got, q.After = append(got, page.Rows...), page.Next
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
		return
	}
	for i := range got {
		w := want[i]
		w.Listings, w.HostList, w.Services, w.Daily, w.Notes, w.Audit = nil, nil, nil, nil, nil, nil
		if !reflect.DeepEqual(got[i], w) {
			t.Errorf("row %d:\n%+v, want\n%+v", i, got[i], w)
			return
		}
	}
}

// TestListWhileWritten: pages that follow each other while incidents are added and change have
// no row twice that keeps its place, and none is missing.
func TestListWhileWritten(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		r := rand.New(rand.NewPCG(1, 1))
		events, all := randomEvents(r, 200)
		commit(t, s, events...)
		for _, sort := range incident.Sorts() {
			q := incident.Query{Sort: sort, Descending: true, Limit: 23}
			seen := map[netip.Addr]int{}
			moved := map[netip.Addr]bool{}
			for n := 0; n == 0 || q.After != ""; n++ {
				page, err := s.List(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range page.Rows {
					seen[x.Offender]++
				}
				q.After = page.Next
				more, _ := randomEvents(r, 12) // of the first dozen of offenders, and new ones
				for i := range more {
					moved[more[i].Offender] = true
				}
				fresh := hit(r.IntN(1e6)+1000, fmt.Sprintf("198.51.%d.%d", int(sort), n), "10.0.0.1", time.Hour)
				commit(t, s, append(more, fresh)...)
			}
			for _, a := range all {
				if seen[a] > 1 || seen[a] == 0 && !moved[a] {
					t.Errorf("%v: %s came %d times", sort, a, seen[a])
				}
			}
		}
	})
}

// TestCursor: what is no page of this list is refused, and never read as something else.
func TestCursor(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		fill(t, s, 3, 40)
		page, err := s.List(t.Context(), incident.Query{Sort: incident.ByFlows, Descending: true, Limit: 5})
		if err != nil || page.Next == "" {
			t.Fatal(page.Next, err)
		}
		for _, after := range []string{"x", "flows.asc.0.1.2", "flows.desc.9.1.2", "flows.desc.0.1", "flows.desc.0.1.2.3", "flows.desc.0.1.x", "flows.desc.0.1.99999999999999999999",
			"rank.desc.0.1.2.3.4", "flows.desc.0.1 OR 1=1.2", strings.Repeat("9.", 1<<16), "last.desc.0.1.2"} {
			for _, list := range []func(incident.Query) error{
				func(q incident.Query) error { _, err := s.List(t.Context(), q); return err },
				func(q incident.Query) error { _, err := s.Hosts(t.Context(), q); return err },
			} {
				err := list(incident.Query{Sort: incident.ByFlows, Descending: true, After: after})
				if e := (*incident.Error)(nil); !asError(err, &e) || e.Name != "after" {
					t.Errorf("%.40q: %v", after, err)
				}
			}
		}
		if _, err := s.List(t.Context(), incident.Query{Sort: 99}); err == nil {
			t.Error("an order that there is not was accepted")
		}
	})
}

func asError(err error, to **incident.Error) bool {
	e, ok := err.(*incident.Error)
	*to = e
	return ok
}

// TestWhole: an incident has all that belongs to it, in order, and the same as JSON.
func TestWhole(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		a, b := hit(1, "203.0.113.9", "10.0.0.5", 0), hit(2, "203.0.113.9", "10.0.0.6", 50*time.Hour)
		a.Indicators = []event.Indicator{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Feed: "otx", Category: "scan", Score: 40, Ref: "https://example.org/1"},
			{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Feed: "feodo", Category: "c2", Score: 90, TLP: "red"}}
		b.Indicators = nil
		b.Severity, b.Direction, b.Answered, b.Role, b.ServicePort, b.Flows, b.Site = event.Critical, event.Outbound, event.AnsweredYes, flow.SideDst, 443, 9, "oslo"
		commit(t, s, a, b)
		act(t, s, "203.0.113.9", incident.ActNote, "looks bad")
		act(t, s, "203.0.113.9", incident.ActTake, "")
		x := get(t, s, "203.0.113.9")
		if len(x.Listings) != 2 || x.Listings[0].Feed != "feodo" || x.Listings[0].TLP != "red" || x.Listings[1].Ref != "https://example.org/1" || x.Listings[1].Indicator.Bits() != 24 {
			t.Errorf("listings %+v", x.Listings)
		}
		if len(x.HostList) != 2 || x.HostList[0].Addr.String() != "10.0.0.6" || x.HostList[0].Site != "oslo" || !x.HostList[0].Called || x.HostList[1].Called {
			t.Errorf("hosts %+v", x.HostList)
		}
		if len(x.Services) != 2 || x.Services[0].Port != 443 || x.Services[0].Flows != 9 {
			t.Errorf("services %+v", x.Services)
		}
		if len(x.Daily) != 2 || x.Daily[0].Date() != "2026-11-20" || x.Daily[1].Date() != "2026-11-22" || x.Daily[1].Flows != 9 {
			t.Errorf("days %+v", x.Daily)
		}
		if len(x.Notes) != 1 || x.Notes[0].Text != "looks bad" || x.Notes[0].Author != "ada" || len(x.Audit) != 2 || x.Audit[1].Act != "take" || x.Owner != "ada" {
			t.Errorf("notes %+v, audit %+v, owner %q", x.Notes, x.Audit, x.Owner)
		}
		text, err := json.Marshal(x)
		var again incident.Incident
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if again.ID = x.ID; err != nil || !reflect.DeepEqual(again, *x) {
			t.Errorf("%s\nis read as %+v, %v", text, again, err)
		}
	})
}

// TestBlockable: all that fits comes in the order of addresses with the best listing first,
// and never a false alarm.
func TestBlockable(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		list := fill(t, s, 5, 200)
		for _, text := range []string{"", "severity=high", "state=false_alarm", "feed=otx&last-after=2026-12-01", "host=10.0.0.1"} {
			f := filter(t, text)
			var want []incident.Incident
			for _, x := range list {
				if fits(&f, &x) && x.State != incident.FalseAlarm {
					x.HostList, x.Services, x.Daily, x.Notes, x.Audit = nil, nil, nil, nil, nil
					want = append(want, x)
				}
			}
			slices.SortFunc(want, func(a, b incident.Incident) int {
				return slices.Compare(schema.Key(a.Offender), schema.Key(b.Offender))
			})
			var got []incident.Incident
			err := s.Blockable(t.Context(), f, func(x *incident.Incident) error { got = append(got, *x); return nil })
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %d, want %d (%v)", text, len(got), len(want), err)
			}
		}
		stop := fmt.Errorf("stop")
		if err := s.Blockable(t.Context(), incident.Filter{}, func(*incident.Incident) error { return stop }); err != stop {
			t.Error(err)
		}
	})
}
