package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
)

// TestExportRoute: more clients than there is room for are put off for a moment; a wrong
// request, a target that is not there and an empty set are errors and no lists.
func TestExportRoute(t *testing.T) {
	d := &feedService{store: lookup.NewStore(), now: time.Now, exports: newExportDesk()}
	ask := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.export(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ExportPath+"?"+query, nil))
		return w
	}
	for range maxExports {
		d.exports.places <- struct{}{}
	}
	if w := ask("target=text&set=1"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "too many lists are being exported") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for range maxExports {
		<-d.exports.places
	}
	for query, want := range map[string]string{
		"target=text&set=1&max=0": "max: 0 is not valid",
		"target=x":                `target: \"x\" is not valid; use text, nftables`,
		"target=text&set=1":       "nothing is listed",
	} {
		if w := ask(query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// TestExportLacksFeed: a list of nothing but feeds that have no copy yet is an error; beside
// one that has a copy they are reported.
func TestExportLacksFeed(t *testing.T) {
	b := lookup.NewBuilder(lookup.Policy{})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("62.0.0.9/32"), Feed: "here", Score: 50}, lookup.OriginFeed)
	table, _ := b.Build("v1")
	o := choice.Default()
	o.Feeds = []string{"late"}
	feeds := []fetch.Status{{Name: "late"}}
	if _, err := ExportSet(table, feeds, Barred{}, target.Find("text"), o, time.Now()); err == nil || err.Error() != "feed: there is no complete copy yet of late" {
		t.Errorf("%v", err)
	}
	o.Feeds = append(o.Feeds, "here")
	if l, err := ExportSet(table, feeds, Barred{}, target.Find("text"), o, time.Now()); err != nil || l.Report.Rows != 1 || len(l.Missing) != 1 || !strings.Contains(strings.Join(l.list.Header("text"), "\n"), "\nincomplete: there is no complete copy yet of late\n") {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestAllowedNames: whoever lists them, names that the instance itself needs are in no list.
func TestAllowedNames(t *testing.T) {
	cfg := configs.Default()
	cfg.Intel.AllowNames = []string{"ours.example"}
	cfg.Intel.Contact, cfg.Web.Address, cfg.Report.To = "noc@contact.example.net", "https://snitch.example.net:8055", []string{"Boss <boss@mail.example.net>", "x@co.uk"}
	got := allowedNames(&cfg, []fetch.Status{{Source: "https://lists.example.com/bad.txt"}, {Source: "/etc/bad.txt"}, {Source: "https://192.0.2.1/x"}})
	if want := []string{"ours.example", "lists.example.com", "snitch.example.net", "mail.example.net", "contact.example.net"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
