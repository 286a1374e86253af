package store

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// TestPeriodAgrees: everything a report counts is what plain Go counts in the events.
func TestPeriodAgrees(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		r := rand.New(rand.NewPCG(4, 4))
		events, _ := randomEvents(r, 150)
		for i := range events {
			events[i].Retro = false // a contact of the past has its days apart
			events[i].ContactFirstSeen = events[i].Time
		}
		for some := range slices.Chunk(events, 100) {
			commit(t, s, some...)
		}
		list := map[netip.Addr]*incident.Incident{}
		for _, e := range events {
			list[e.Offender] = get(t, s, e.Offender.String())
		}
		midnight := t0.Truncate(24 * time.Hour)
		for _, of := range [][2]int{{5, 12}, {0, 60}, {12, 13}, {50, 60}, {-9, -2}, {3, 3}, {4, 2}} {
			from, to := midnight.AddDate(0, 0, of[0]), midnight.AddDate(0, 0, of[1])
			got, err := s.Period(t.Context(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			comparePeriod(t, got, periodOf(events, list, from, to))
			before := midnight.AddDate(0, 0, 4)
			seen, returned, err := s.Returning(t.Context(), before, from, to)
			wantSeen, wantReturned := 0, 0
			for a := range flowsOf(events, from, to) {
				wantSeen++
				if list[a].First.Before(before) {
					wantReturned++
				}
			}
			if err != nil || seen != wantSeen || returned != wantReturned {
				t.Errorf("%v: %d returned of %d, want %d of %d (%v)", of, returned, seen, wantReturned, wantSeen, err)
			}
		}
	})
}

// flowsOf gives the flows of each offender with contact in a period.
func flowsOf(events []event.Event, from, to time.Time) map[netip.Addr]uint64 {
	m := map[netip.Addr]uint64{}
	for i := range events {
		if e := &events[i]; !e.Time.Before(from) && e.Time.Before(to) {
			m[e.Offender] += e.Flows
		}
	}
	return m
}

// periodOf is the oracle of Period.
func periodOf(events []event.Event, list map[netip.Addr]*incident.Incident, from, to time.Time) *incident.Period {
	p := &incident.Period{From: from, Until: to}
	if !from.Before(to) {
		return p
	}
	for n := range uint64(8) {
		p.Attempts = append(p.Attempts, incident.Bucket{From: n + 1, To: n + 1})
	}
	p.Attempts = append(p.Attempts, incident.Bucket{From: 9, To: 10}, incident.Bucket{From: 11, To: 20}, incident.Bucket{From: 21, To: 50}, incident.Bucket{From: 51, To: 100},
		incident.Bucket{From: 101, To: 1000}, incident.Bucket{From: 1001, To: 10_000}, incident.Bucket{From: 10_001})
	flows := flowsOf(events, from, to)
	countries, networks, feeds := map[string]*incident.PlaceSum{}, map[uint32]*incident.PlaceSum{}, map[string]*incident.FeedSum{}
	for _, x := range list {
		if x.First.Before(from) {
			p.Before++
		}
		for _, l := range x.Listings {
			if feeds[l.Feed] == nil {
				feeds[l.Feed] = &incident.FeedSum{Feed: l.Feed, Verdict: incident.Verdict{Feed: l.Feed}}
			}
		}
		for f := range feedsOf(x) {
			feeds[f].Verdict.Open++
		}
	}
	for a, n := range flows {
		x := list[a]
		p.Offenders++
		if x.First.Before(from) {
			p.Known++
		} else {
			p.New++
		}
		p.Severities[x.Worst]++
		p.States[x.State]++
		for i, b := range p.Attempts {
			if n >= b.From && (b.To == 0 || n <= b.To) {
				p.Attempts[i].Offenders++
			}
		}
		if countries[x.Country] == nil {
			countries[x.Country] = &incident.PlaceSum{Country: x.Country}
		}
		if networks[x.ASNumber] == nil {
			networks[x.ASNumber] = &incident.PlaceSum{ASNumber: x.ASNumber}
		}
		for _, p := range []*incident.PlaceSum{countries[x.Country], networks[x.ASNumber]} {
			p.Offenders++
			p.Flows += n
		}
		names := feedsOf(x)
		for f := range names {
			feeds[f].Offenders++
			feeds[f].Flows += n
			if len(names) == 1 {
				feeds[f].Unique++
			}
		}
	}
	hosts, days := map[incident.Host]bool{}, map[int32]*incident.DaySum{}
	onDay := map[string]bool{}
	for i := range events {
		e := &events[i]
		if e.Time.Before(from) || !e.Time.Before(to) {
			continue
		}
		if e.Direction != event.Transit { // else no end is ours
			hosts[incident.Host{Site: e.Site, Addr: e.Local}] = true
		}
		out, in := e.Bytes, e.BytesBack
		if e.Role.IsSrc() {
			out, in = in, out
		}
		p.Sums.Add(incident.Sums{Flows: e.Flows, BytesOut: out, BytesIn: in})
		d := incident.DayOf(e.Time)
		if days[d] == nil {
			days[d] = &incident.DaySum{Day: incident.Day{Day: d}}
		}
		sums := incident.Sums{Flows: days[d].Flows, BytesOut: days[d].BytesOut, BytesIn: days[d].BytesIn}
		sums.Add(incident.Sums{Flows: e.Flows, BytesOut: out, BytesIn: in})
		days[d].Flows, days[d].BytesOut, days[d].BytesIn = sums.Flows, sums.BytesOut, sums.BytesIn
		if k := fmt.Sprint(d, e.Offender); !onDay[k] {
			onDay[k] = true
			days[d].Offenders++
		}
	}
	p.Hosts = len(hosts)
	for _, d := range slices.Sorted(maps.Keys(days)) {
		p.Days = append(p.Days, *days[d])
	}
	p.Countries, p.Networks = mostFirst(countries), mostFirst(networks)
	for _, f := range slices.Sorted(maps.Keys(feeds)) {
		p.Feeds = append(p.Feeds, *feeds[f])
	}
	return p
}

func mostFirst[K comparable](m map[K]*incident.PlaceSum) []incident.PlaceSum {
	list := []incident.PlaceSum{}
	for _, p := range m {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b incident.PlaceSum) int {
		return cmp.Or(b.Offenders-a.Offenders, cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.Country, b.Country), cmp.Compare(a.ASNumber, b.ASNumber))
	})
	return list
}

func feedsOf(x *incident.Incident) map[string]bool {
	m := map[string]bool{}
	for _, l := range x.Listings {
		m[l.Feed] = true
	}
	return m
}

func comparePeriod(t *testing.T, got, want *incident.Period) {
	t.Helper()
	for i := range got.Networks {
		if n := &got.Networks[i]; n.ASNumber != 0 && n.ASName == "" {
			t.Errorf("AS%d has no name", n.ASNumber)
		}
		got.Networks[i].ASName = ""
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v to %v:\n%+v, want\n%+v", want.From, want.Until, got, want)
	}
}

// TestPeriodOthers: alerts by name, pulses, silenced events and verdicts.
func TestPeriodOthers(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		alert := func(name string, sev event.Severity, after time.Duration, reason string) event.Event {
			return event.Event{Kind: event.KindAlert, ID: uuid.New(), Alert: name, Severity: sev, Time: t0.Add(after), Reason: reason}
		}
		listed := alert("storm", event.Low, 2*time.Hour, "last")
		listed.Indicators = []event.Indicator{{TLP: "green"}, {TLP: "RED"}, {TLP: "amber"}}
		var b batch.Batch
		for _, e := range []event.Event{alert("storm", event.High, 0, "first"), listed, alert("storm", event.Low, time.Hour, "middle"),
			alert("own", event.Critical, 0, "x"), alert("own", event.Low, 100*time.Hour, "after"), hit(1, "203.0.113.9", "10.0.0.5", 0), hit(2, "203.0.113.10", "10.0.0.5", 0), hit(3, "203.0.113.11", "10.0.0.5", 0),
			hit(4, "203.0.113.12", "10.0.0.5", 0)} {
			b.Add(&e)
		}
		for n := range 3 {
			now = t0.Add(time.Duration(n) * time.Hour)
			if _, err := s.Commit(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			beat(t, s, 1, n, incident.Pulse{Minutes: 50 + n, Flows: 10, Lost: uint64(n), Worst: "warning", Findings: []string{"a feed is old"}})
		}
		act(t, s, "203.0.113.9", incident.ActTake, "")
		act(t, s, "203.0.113.10", incident.ActClose, "")
		act(t, s, "203.0.113.11", incident.ActFalseAlarm, "")
		p, err := s.Period(t.Context(), t0, t0.Add(3*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Alerts) != 2 || p.Alerts[0].Name != "storm" || p.Alerts[0].Count != 3 || p.Alerts[0].Severity != event.High || p.Alerts[0].Reason != "last" || p.Alerts[0].TLP != "RED" || p.Alerts[1].TLP != "" || !p.Alerts[0].First.Equal(t0) || p.Alerts[1].Count != 1 {
			t.Errorf("alerts %+v", p.Alerts)
		}
		if len(p.Pulses) != 3 || p.Pulses[2].Minutes != 52 || p.Pulses[2].Lost != 2 || p.Pulses[0].Worst != "warning" || p.Pulses[0].Findings[0] != "a feed is old" || !p.Pulses[1].Hour.Equal(t0.Add(time.Hour)) {
			t.Errorf("pulses %+v", p.Pulses)
		}
		want := []incident.Verdict{{Feed: "dshield", Confirmed: 2, False: 1, Open: 1}}
		got, err := s.Verdicts(t.Context())
		if err != nil || !slices.Equal(got, want) || p.Feeds[0].Verdict != want[0] {
			t.Errorf("verdicts %+v, %v; of the period %+v", got, err, p.Feeds)
		}
		if p.States[incident.Closed] != 1 || p.States[incident.New] != 1 {
			t.Errorf("states %v", p.States)
		}
	})
}

// seedVariable has TestSeed work with the numbers of the article, not a hundredth of them.
const seedVariable = "FLOWSNITCH_SEED"

// TestSeed: a year of events with the numbers of the article that the return report comes from:
// 99,966 offenders in ten months, 16,500 in the month after, 1,800 of them in both; and the
// query for persistent offenders, by count.
func TestSeed(t *testing.T) {
	scale := 100
	if os.Getenv(seedVariable) != "" {
		scale = 1
	}
	before, month, both := 99_966/scale, 16_500/scale, 1_800/scale
	persistent := both * 11 / 12 // the others were first seen in January
	each(t, func(t *testing.T, cfg Config) {
		cfg.Keep = 0
		s := open(t, cfg)
		r := rand.New(rand.NewPCG(2015, 2))
		start, january, february := date(2014, 4, 1), date(2015, 1, 1), date(2015, 2, 1)
		flows := map[netip.Addr]uint64{} // of persistent ones
		var b batch.Batch
		n := 0
		add := func(offender int, from, to time.Time) netip.Addr {
			n++
			a := netip.AddrFrom4([4]byte{100 + byte(offender>>16), byte(offender >> 8), byte(offender), 1})
			e := hit(n, a.String(), fmt.Sprintf("10.0.0.%d", 1+n%200), 0)
			e.Time = from.Add(time.Duration(r.Int64N(int64(to.Sub(from)/time.Second))) * time.Second)
			e.ContactFirstSeen, e.Flows = e.Time, uint64(1+r.IntN(500))
			b.Add(&e)
			if offender < persistent {
				flows[a] += e.Flows
			}
			if len(b.Contacts) == 20_000 {
				flushSeed(t, s, &b)
			}
			return a
		}
		for i := range before {
			if i >= persistent && i < both {
				add(i, january.Add(time.Second), february)
			} else {
				add(i, start, january)
			}
		}
		for i := range both { // they return
			add(i, february, date(2015, 3, 1))
		}
		for i := range month - both {
			add(before+i, february, date(2015, 3, 1))
		}
		flushSeed(t, s, &b)

		seen, returned, err := s.Returning(t.Context(), february, february, date(2015, 3, 1))
		if err != nil || seen != month || returned != both {
			t.Errorf("%d returned of %d, want %d of %d (%v)", returned, seen, both, month, err)
		}
		p, err := s.Period(t.Context(), february, date(2015, 3, 1))
		if err != nil || p.Offenders != month || p.New != month-both || p.Known != both || p.Before != before {
			t.Errorf("%d offenders, %d new, %d known, %d before (%v)", p.Offenders, p.New, p.Known, p.Before, err)
		}
		checkPersistent(t, s, flows)
	})
}

func date(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func flushSeed(t *testing.T, s *Store, b *batch.Batch) {
	t.Helper()
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b.Reset()
}

// checkPersistent reads all pages of the query for persistent offenders.
func checkPersistent(t *testing.T, s *Store, flows map[netip.Addr]uint64) {
	q := incident.Query{Filter: filter(t, "first-before=2015-01-01T00:00:00Z&last-after=2015-02-01T00:00:00Z"), Sort: incident.ByFlows, Descending: true}
	var got []incident.Incident
	var slowest time.Duration
	for first := true; first || q.After != ""; first = false {
		began := time.Now()
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if slowest = max(slowest, time.Since(began)); first && page.Total != len(flows) {
			t.Errorf("a total of %d, want %d", page.Total, len(flows))
		}
		got, q.After = append(got, page.Rows...), page.Next
	}
	sorted := slices.IsSortedFunc(got, func(a, b incident.Incident) int { return cmp.Compare(b.Flows, a.Flows) })
	if len(got) != len(flows) || !sorted {
		t.Errorf("%d persistent offenders, want %d; sorted: %v", len(got), len(flows), sorted)
	}
	for _, x := range got {
		if flows[x.Offender] != x.Flows {
			t.Errorf("%s: %d flows, want %d", x.Offender, x.Flows, flows[x.Offender])
		}
	}
	t.Logf("%d persistent offenders, slowest page %v", len(got), slowest.Round(time.Millisecond/10))
}
