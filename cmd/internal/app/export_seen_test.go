package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// offenders is a store of a few incidents.
type offenders struct {
	list []incident.Incident
	last incident.Filter
}

func (o *offenders) Blockable(_ context.Context, f incident.Filter, row func(*incident.Incident) error) error {
	o.last = f
	for i := range o.list {
		if x := &o.list[i]; x.State != incident.FalseAlarm && x.Worst >= f.MinSeverity && !x.Last.Before(f.LastAfter) {
			if err := row(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *offenders) List(_ context.Context, q incident.Query) (page incident.Page[incident.Incident], err error) {
	for _, x := range o.list {
		if slices.Contains(q.States, x.State) {
			page.Rows = append(page.Rows, x)
		}
	}
	return page, nil
}

func offender(addr string, change func(*incident.Incident)) incident.Incident {
	x := incident.Incident{Offender: netip.MustParseAddr(addr), Worst: event.High, First: time.Now().Add(-time.Hour), Last: time.Now(), Contacts: 3,
		Listings: []incident.Listing{{Feed: "f", Category: "c2", Score: 80}}}
	if change != nil {
		change(&x)
	}
	return x
}

// TestExportSeen: offenders of the last days that were bad enough, and never what is home,
// allowed, silenced, judged a false alarm, special, critical or not to be shared.
func TestExportSeen(t *testing.T) {
	b := lookup.NewBuilder(lookup.Policy{Home: []netip.Prefix{netip.MustParsePrefix("62.0.0.0/24")}, Allow: []netip.Prefix{netip.MustParsePrefix("62.0.1.0/24")}})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("62.7.0.0/30"), Feed: "f", Score: 80}, lookup.OriginFeed)
	table, _ := b.Build("v")
	base := &offenders{list: []incident.Incident{
		offender("62.5.0.1", nil), offender("2a00:5::1", nil),
		offender("62.0.0.9", nil), offender("62.0.1.9", nil), offender("8.8.8.8", nil), offender("192.168.0.9", nil), offender("::1", nil), // home, allowed, critical, special
		offender("62.6.0.9", nil), offender("62.6.1.9", nil), offender("62.6.2.9", func(x *incident.Incident) { x.Listings[0].Feed = "quiet" }), // silenced, allowed by people
		offender("62.7.0.1", func(x *incident.Incident) { x.State = incident.FalseAlarm }),
		offender("62.5.0.2", func(x *incident.Incident) { x.Listings[0].TLP = "red" }),
		offender("62.5.0.3", func(x *incident.Incident) { x.Worst = event.Low }),
		offender("62.5.0.4", func(x *incident.Incident) { x.Last = time.Now().Add(-8 * 24 * time.Hour) }),
		offender("62.5.0.5", func(x *incident.Incident) { x.Listings = nil }),
	}}
	barred := barredBy([]silence.Silence{
		{Conditions: silence.Conditions{Offender: netip.MustParsePrefix("62.6.0.9/32"), Site: "oslo"}}, {Conditions: silence.Conditions{Feed: "quiet"}},
		{Conditions: silence.Conditions{Offender: netip.MustParsePrefix("62.5.0.0/16"), Rule: "swarm"}}, {Conditions: silence.Conditions{Feed: "f", Site: "oslo"}},
	}, []netip.Prefix{netip.MustParsePrefix("62.6.1.0/24")})
	d := &feedService{store: lookup.NewStore(), now: time.Now, exports: newExportDesk(), offenders: func() (OffenderBase, error) { return base, nil }, quiet: func() (Barred, error) { return barred, nil }}
	d.store.Swap(table)
	ask := func(query string) (code int, e Exported, list string) {
		t.Helper()
		w := httptest.NewRecorder()
		d.export(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ExportPath+"?"+query, nil))
		head, rest, _ := bytes.Cut(w.Body.Bytes(), []byte("\n"))
		_ = json.Unmarshal(head, &e)
		if w.Code != 200 {
			return w.Code, e, string(head)
		}
		var lines []string
		for line := range strings.Lines(string(rest)) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return w.Code, e, strings.Join(lines, " ")
	}
	for query, want := range map[string]string{
		"target=text":                           "62.5.0.1 2a00:5::1",
		"target=text&family=6":                  "2a00:5::1",
		"target=text&severity=low":              "62.5.0.1 62.5.0.3 2a00:5::1",
		"target=text&last-after=30d":            "62.5.0.1 62.5.0.4 2a00:5::1",
		"target=text&max-tlp=red":               "62.5.0.1 62.5.0.2 2a00:5::1",
		"target=text&min-score=81":              "",
		"target=text&max=1":                     "62.5.0.1",
		"target=text&set=1":                     "62.7.0.0 62.7.0.2/31", // without the false alarm
		"target=text&first-after=2h&feed=other": "",
	} {
		if code, e, got := ask(query); code != 200 || got != want || e.Seen == strings.Contains(query, "set=1") {
			t.Errorf("%s: %d %+v %q, want %q", query, code, e, got, want)
		}
	}
	if _, _, got := ask("target=stix"); !strings.Contains(got, `"type":"sighting"`) || !strings.Contains(got, `"count":3`) {
		t.Errorf("%s", got)
	}
	// What is not seen again leaves a firewall after the days that the list is of, also where nobody loads a new one.
	if _, _, got := ask("target=nftables&last-after=48h"); strings.Count(got, " timeout 1") != 2 || !strings.Contains(got, "62.5.0.1 timeout 17") {
		t.Errorf("%s", got)
	}
	if _, _, got := ask("target=nftables&first-after=2h"); strings.Contains(got, " timeout 1") {
		t.Errorf("%s", got)
	}
	for query, want := range map[string]string{
		"target=text&colour=red": "colour: is no filter", "target=rpz": "rpz has names", "target=text&set=1&severity=low": "severity: is no parameter of the set",
	} {
		if code, _, got := ask(query); code != 400 || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s", query, code, got)
		}
	}
	d.offenders = nil
	if code, _, got := ask("target=text"); code != 503 || !strings.Contains(got, "incidents are off") {
		t.Errorf("%d %s", code, got)
	}
	if f, err := seenFilter(url.Values{}, &choice.Options{Feeds: []string{"f"}}, time.Now()); err != nil || f.MinSeverity != event.Medium || time.Since(f.LastAfter) < seenFor || !slices.Equal(f.Feeds, []string{"f"}) {
		t.Errorf("%+v, %v", f, err)
	}
	l, err := ExportSeen(t.Context(), table, base, barred, url.Values{"country": {"NL,DE"}}, target.Find("text"), choice.Default(), time.Now())
	if err != nil || !strings.Contains(strings.Join(l.list.Header("text"), "\n"), "filter: seen here, severity medium, country NL+DE, max-tlp green") {
		t.Errorf("%v %v", l, err)
	}
}

// TestExportOfIncidents: a running instance exports the offender of a hit, with what its feed
// has of it, until somebody judges it a false alarm; then it is not in the list of the set either.
func TestExportOfIncidents(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1", "62.0.0.9")+", category: c2, score: 95}]}", Options{})
	w.contact(t, "62.0.0.1")
	incidentOf(t, dir, "62.0.0.1")
	export := func(query string) string {
		t.Helper()
		answer, err := web.Stream(t.Context(), dir, http.MethodGet, ExportPath+"?no-time=1&"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Close()
		b, err := io.ReadAll(answer)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(b), "\n")
		return text
	}
	if got, want := export("target=text"), "# flowsnitch export text: 1 prefix, 1 of IPv4 and 0 of IPv6\n# filter: seen here, severity medium, max-tlp green, max 65536\n"+
		"# load: by the firewall, alias or program that reads the address or file of this list\n# undo: remove the list there\n62.0.0.1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := export("target=stix"); !strings.Contains(got, `"type":"sighting"`) || !strings.Contains(got, `"labels":["c2"]`) {
		t.Error(got)
	}
	if got := export("target=text&set=1"); !strings.HasSuffix(got, "\n62.0.0.1\n62.0.0.9\n") {
		t.Error(got)
	}
	if _, err := act(dir, "62.0.0.1", "false_alarm", nil); err != nil {
		t.Fatal(err)
	}
	if got := export("target=text"); strings.Contains(got, "62.0.0.1") {
		t.Error(got)
	}
	if got := export("target=text&set=1"); strings.Contains(got, "62.0.0.1") || !strings.HasSuffix(got, "\n62.0.0.9\n") {
		t.Error(got)
	}
}

// TestExportSilenced: what a silence is in force for is in no list, of a running instance or of
// its state directory.
func TestExportSilenced(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1", "62.0.0.9")+", category: c2, score: 95}]}", Options{})
	book := silence.New(silence.Config{Path: filepath.Join(dir, silence.FileName)})
	if err := book.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := book.Add(t.Context(), silence.Silence{Conditions: silence.Conditions{Offender: netip.MustParsePrefix("62.0.0.9/32")}, Reason: "r", Author: "a", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	l, err := w.feeds.listing(t.Context(), target.Find("text"), choice.Default())
	if err != nil || l.Report.Rows != 1 || l.Report.Guarded != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	cfg := w.cfg
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	l, _, err = ExportOffline(t.Context(), &cfg, nil, target.Find("text"), choice.Default(), time.Now())
	if err != nil || l.Report.Rows != 1 || l.Report.Guarded != 1 {
		t.Errorf("offline: %+v, %v", l, err)
	}
}
