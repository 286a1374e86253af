package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// The numbers of the article, a hundredth of them: offenders of ten months, of the month after,
// and of both. TestSeed of intel/incident/store has the whole of them.
const yearBefore, yearMonth, yearBoth = 999, 165, 18

// year makes a state directory whose database knows of a year of offenders, and gives the flows of
// those that came back.
func year(t *testing.T) (config, dir string, returned map[netip.Addr]uint64) {
	t.Helper()
	config, dir = undisturbed(t, "incidents: {keep: 200000h, keep_judged: 200000h}\n")
	var events []event.Event
	returned = map[netip.Addr]uint64{}
	add := func(n int, when time.Time) {
		a := fmt.Sprintf("62.%d.%d.1", n>>8, n&255)
		e := talk(a, fmt.Sprintf("10.1.0.%d", 1+n%9), event.Inbound, event.AnsweredNo, 18, uint64(1+n*7%500))
		e.Time, e.ContactFirstSeen = when, when
		events = append(events, e)
		if n < yearBoth {
			returned[netip.MustParseAddr(a)] += e.Flows
		}
	}
	for n := range yearBefore {
		add(n, time.Date(2014, 3, 1, 0, 0, n, 0, time.UTC).AddDate(0, 0, n%300))
	}
	for n := range yearBoth {
		add(n, time.Date(2015, 2, 1+n%28, 0, 0, n, 0, time.UTC))
	}
	for n := range yearMonth - yearBoth {
		add(yearBefore+n, time.Date(2015, 2, 1+n%28, 0, 0, n, 0, time.UTC))
	}
	remember(t, config, events...)
	return config, dir, returned
}

// TestReturning: who has come back after a year is found by the list and counted by the report, on
// the command line with and without an instance, and by its API.
func TestReturning(t *testing.T) {
	config, dir, returned := year(t)
	check := func(rows []incident.Incident) {
		t.Helper()
		if len(rows) != yearBoth || !slices.IsSortedFunc(rows, func(a, b incident.Incident) int { return int(b.Flows) - int(a.Flows) }) {
			t.Errorf("%d rows, want %d by their flows", len(rows), yearBoth)
		}
		for _, x := range rows {
			if returned[x.Offender] != x.Flows {
				t.Errorf("%s: %d flows, want %d", x.Offender, x.Flows, returned[x.Offender])
			}
		}
	}
	counted := func(f *report.Figures) {
		t.Helper()
		if f.Offenders != yearMonth || f.Returned != yearBoth || f.New != yearMonth-yearBoth || f.KnownBefore != yearBefore {
			t.Errorf("%d offenders, %d returned, %d new, %d known before", f.Offenders, f.Returned, f.New, f.KnownBefore)
		}
	}
	const before, after, until = "2015-01-01T00:00:00Z", "2015-02-01T00:00:00Z", "2015-03-01T00:00:00Z"
	for _, running := range []bool{false, true} {
		if running {
			startInstance(t, config)
		}
		r := command(t, "incidents", "-c", config, "--first-before", before, "--last-after", after, "--sort", "flows", "--limit", "0", "--json")
		var rows []incident.Incident
		for d := json.NewDecoder(strings.NewReader(r.out)); d.More(); {
			var x incident.Incident
			if err := d.Decode(&x); err != nil {
				t.Fatal(err, r.err)
			}
			rows = append(rows, x)
		}
		check(rows)
		r = command(t, "report", "-c", config, "--since", after, "--until", until, "--json")
		made, err := report.Read(strings.NewReader(r.out), time.UTC)
		if err != nil {
			t.Fatal(err, r.err)
		}
		counted(&made.Figures)
		r = command(t, "report", "-c", config, "--since", after, "--until", until)
		if want := fmt.Sprintf("%d of the %d offenders of this period had been seen before (10.9 %%)", yearBoth, yearMonth); !strings.Contains(strings.Join(strings.Fields(r.out), " "), want) {
			t.Errorf("no %q in\n%s%s", want, r.out, r.err)
		}
	}
	var page incident.Page[incident.Incident]
	times := url.Values{"first-before": {before}, "last-after": {after}, "sort": {"flows"}}
	if err := web.Ask(t.Context(), dir, app.IncidentsPath+"?"+times.Encode(), &page); err != nil {
		t.Fatal(err)
	}
	if check(page.Rows); page.Total != yearBoth {
		t.Errorf("a total of %d", page.Total)
	}
	var made report.Report
	if err := web.Ask(t.Context(), dir, app.ReportPath+"?"+url.Values{"since": {after}, "until": {until}}.Encode(), &made); err != nil {
		t.Fatal(err)
	}
	counted(&made.Figures)
}
