package store

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/reader"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// hostsOf is the oracle of the host view: the shares of all incidents that fit, put together.
func hostsOf(f *incident.Filter, list []incident.Incident, days map[incident.Host]map[int32]bool) (rows []incident.HostRow) {
	rest := *f
	rest.Hosts, rest.Sites = nil, nil
	all := rest.IsZero()
	at := map[incident.Host]int{}
	for i := range list {
		if !fits(&rest, &list[i]) {
			continue
		}
		for _, h := range list[i].HostList {
			if !fitsHost(f, h.Host) {
				continue
			}
			n, ok := at[h.Host]
			if !ok {
				n = len(rows)
				at[h.Host] = n
				rows = append(rows, incident.HostRow{HostShare: incident.HostShare{Host: h.Host, First: h.First, Last: h.Last}})
			}
			r := &rows[n]
			r.Sums.Add(h.Sums)
			r.Offenders++
			r.Worst, r.Called, r.Answered = max(r.Worst, h.Worst), r.Called || h.Called, r.Answered || h.Answered
			r.Inbound, r.Outbound, r.Internal = r.Inbound || h.Inbound, r.Outbound || h.Outbound, r.Internal || h.Internal
			if h.First.Before(r.First) {
				r.First = h.First
			}
			if h.Last.After(r.Last) {
				r.Last = h.Last
			}
			if r.Days = max(r.Days, h.Days); all {
				r.Days = len(days[h.Host])
			}
		}
	}
	return rows
}

func compareHosts(sort incident.Sort, a, b *incident.HostRow) int {
	by := map[incident.Sort]int{
		incident.ByLast: a.Last.Compare(b.Last), incident.ByFirst: a.First.Compare(b.First), incident.BySeverity: cmp.Compare(a.Worst, b.Worst),
		incident.ByDays: cmp.Compare(a.Days, b.Days), incident.ByFlows: cmp.Compare(a.Flows, b.Flows), incident.ByHosts: cmp.Compare(a.Offenders, b.Offenders),
		incident.ByBytes: cmp.Compare(a.BytesOut+a.BytesIn, b.BytesOut+b.BytesIn), incident.ByRank: -incident.LessHost(&a.HostShare, &b.HostShare),
	}[sort]
	return cmp.Or(by, bytes.Compare(schema.Key(a.Addr), schema.Key(b.Addr)), cmp.Compare(a.Site, b.Site))
}

// TestHostsAgree: the host view gives what plain Go puts together, in each order, with every
// filter; by rank the order is that of incident.LessHost.
func TestHostsAgree(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		events, all := randomEvents(rand.New(rand.NewPCG(2, 2)), 60)
		for some := range slices.Chunk(events, 50) {
			commit(t, s, some...)
		}
		days := map[incident.Host]map[int32]bool{}
		for _, e := range events {
			if e.Direction == event.Transit {
				continue // no end is ours
			}
			h := incident.Host{Site: e.Site, Addr: e.Local}
			if days[h] == nil {
				days[h] = map[int32]bool{}
			}
			days[h][incident.DayOf(e.Time)] = true
		}
		var list []incident.Incident
		for _, a := range all {
			list = append(list, *get(t, s, a.String()))
		}
		for n, text := range filters() {
			f := filter(t, text)
			want := hostsOf(&f, list, days)
			for k := range 3 {
				sort := incident.Sorts()[(n+3*k)%8]
				if k == 0 {
					sort = incident.ByRank
				}
				q := incident.Query{Filter: f, Sort: sort, Descending: (n+k)%4 != 0, Limit: 1 + (n+k)%17}
				slices.SortFunc(want, func(a, b incident.HostRow) int {
					if q.Descending {
						return compareHosts(sort, &b, &a)
					}
					return compareHosts(sort, &a, &b)
				})
				checkHosts(t, s, q, want, list)
				if t.Failed() {
					t.Fatalf("filter %q, order %v", text, sort)
				}
			}
		}
	})
}

func checkHosts(t *testing.T, s *Store, q incident.Query, want []incident.HostRow, list []incident.Incident) {
	t.Helper()
	var got []incident.HostRow
	for first := true; first || q.After != ""; first = false {
		page, err := s.Hosts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if first && page.Total != len(want) {
			t.Errorf("a total of %d, want %d", page.Total, len(want))
		}
		got, q.After = append(got, page.Rows...), page.Next
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
		return
	}
	for i := range got {
		w := want[i]
		w.Top = topOf(w.Host, list)
		if !reflect.DeepEqual(got[i], w) {
			t.Errorf("row %d:\n%+v, want\n%+v", i, got[i], w)
			return
		}
	}
}

// topOf gives the worst offenders of a host.
func topOf(h incident.Host, list []incident.Incident) (top []netip.Addr) {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b incident.Incident) int { return incident.Less(&a, &b) })
	for _, x := range sorted {
		if len(top) < 3 && slices.ContainsFunc(x.HostList, func(s incident.HostShare) bool { return s.Host == h }) {
			top = append(top, x.Offender)
		}
	}
	return top
}

// TestRankedHosts: in a week like any other, the host that calls its control server comes
// first, and those that are merely scanned last, however often they are.
func TestRankedHosts(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		var events []event.Event
		for n := range 1544 { // scanned
			events = append(events, hit(n, "198.51.100."+string('1'+rune(n%9)), "10.0.0.80", time.Duration(n)*time.Minute*6))
		}
		for d := range 7 { // answers to scans
			e := hit(5000+d, "198.51.100.200", "10.0.0.22", time.Duration(d)*24*time.Hour)
			e.Answered, e.Severity, e.BytesBack = event.AnsweredYes, event.Medium, 4000
			events = append(events, e)
		}
		beacon := hit(6000, "203.0.113.66", "10.0.0.5", time.Hour)
		beacon.Direction, beacon.Role, beacon.Answered, beacon.Severity, beacon.ServicePort = event.Outbound, flow.SideDst, event.AnsweredYes, event.Critical, 443
		beacon.Src, beacon.Dst = beacon.Local, beacon.Offender
		tried := beacon
		tried.Contact, tried.ID, tried.Local, tried.Answered, tried.Offender, tried.Bytes = id(6001), id(6001), netip.MustParseAddr("10.0.0.7"), event.AnsweredNo, netip.MustParseAddr("203.0.113.67"), 1e9
		commit(t, s, append(events, beacon, tried)...)
		page, err := s.Hosts(t.Context(), incident.Query{Descending: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range page.Rows {
			got = append(got, h.Addr.String())
		}
		if want := []string{"10.0.0.5", "10.0.0.7", "10.0.0.22", "10.0.0.80"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		host, list, err := s.Of(t.Context(), incident.Host{Addr: netip.MustParseAddr("10.0.0.80")})
		if err != nil || host.Offenders != 9 || host.Flows != 1544 || len(list) != 9 || len(host.Top) != 3 || host.Days != 7 {
			t.Errorf("%+v, %d incidents, %v", host, len(list), err)
		}
		if _, _, err := s.Of(t.Context(), incident.Host{Addr: netip.MustParseAddr("10.0.0.80"), Site: "x"}); !errors.Is(err, reader.ErrNoHost) || !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if sites, err := s.Sites(t.Context(), netip.MustParseAddr("10.0.0.5")); err != nil || len(sites) != 1 || sites[0].Site != "" {
			t.Errorf("%v, %v", sites, err)
		}
	})
}

// TestRecountHosts: what is counted anew is what the commits have kept.
func TestRecountHosts(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		fill(t, s, 11, 60)
		before, err := s.Hosts(t.Context(), incident.Query{Descending: true, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := s.db.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(50) {
			if err := recountHost(tx, n+1); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		after, err := s.Hosts(t.Context(), incident.Query{Descending: true, Limit: 1000})
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%+v\nbecame\n%+v, %v", before, after, err)
		}
	})
}

// TestWays: a host that called without an answer has tried, one that was called without an answer
// was scanned, in the list of hosts, with a filter and without, and in an incident; the other
// end of what was in transit is no host of ours anywhere.
func TestWays(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		n := 0
		make := func(host string, d event.Direction, answered event.Answered) event.Event {
			n++
			e := hit(n, "203.0.113.9", host, time.Duration(n)*time.Minute)
			if e.Direction, e.Answered = d, answered; d == event.Outbound {
				e.Role = flow.SideDst
			}
			return e
		}
		commit(t, s,
			make("10.0.0.1", event.Outbound, event.AnsweredYes), make("10.0.0.1", event.Inbound, event.AnsweredNo),
			make("10.0.0.2", event.Outbound, event.AnsweredNo), make("10.0.0.2", event.Inbound, event.AnsweredYes),
			make("10.0.0.3", event.Inbound, event.AnsweredYes), make("10.0.0.4", event.Inbound, event.AnsweredNo),
			make("10.0.0.5", event.Internal, event.AnsweredNo), make("10.0.0.6", "", event.AnsweredUnknown),
			make("198.51.100.7", event.Transit, event.AnsweredYes))
		alone := hit(100, "203.0.113.10", "198.51.100.8", 0)
		alone.Direction = event.Transit
		commit(t, s, alone)

		want := map[string]incident.Way{"10.0.0.1": incident.WayCalled, "10.0.0.2": incident.WayTried, "10.0.0.3": incident.WayAnswered,
			"10.0.0.4": incident.WayScanned, "10.0.0.5": incident.WayInternal, "10.0.0.6": incident.WayUnknown}
		for _, text := range []string{"", "feed=dshield", "host=10.0.0.0/8", "direction=transit"} {
			page, err := s.Hosts(t.Context(), incident.Query{Filter: filter(t, text), Descending: true})
			if err != nil || len(page.Rows) != len(want) || page.Total != len(want) {
				t.Fatalf("%q: %d hosts, a total of %d, want %d (%v)", text, len(page.Rows), page.Total, len(want), err)
			}
			for _, h := range page.Rows {
				if got := h.Way(); got != want[h.Addr.String()] {
					t.Errorf("%q: %s %s, want %s", text, h.Addr, got, want[h.Addr.String()])
				}
			}
		}
		x := get(t, s, "203.0.113.9")
		for _, h := range x.HostList {
			if got := h.Way(); got != want[h.Addr.String()] {
				t.Errorf("of the incident: %s %s, want %s", h.Addr, got, want[h.Addr.String()])
			}
		}
		if x.Hosts != len(want) || len(x.HostList) != len(want) || x.Contacts != 9 || x.Flows != 9 {
			t.Errorf("%d hosts, %d listed, %d contacts, %d flows", x.Hosts, len(x.HostList), x.Contacts, x.Flows)
		}
		if y := get(t, s, "203.0.113.10"); y.Hosts != 0 || y.Way() != incident.WayTransit || y.Flows != 1 {
			t.Errorf("in transit: %+v", y)
		}
		p, err := s.Period(t.Context(), t0.Add(-time.Hour), t0.Add(24*time.Hour))
		if err != nil || p.Hosts != len(want) || p.Offenders != 2 {
			t.Errorf("%d hosts, %d offenders in the period, %v", p.Hosts, p.Offenders, err)
		}
		if sites, err := s.Sites(t.Context(), netip.MustParseAddr("198.51.100.7")); err != nil || len(sites) != 0 {
			t.Errorf("%v, %v", sites, err)
		}
	})
}
