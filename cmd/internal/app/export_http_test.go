package app

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

const exportToken = "token-of-a-firewall"

// exportServer serves lists of a table as the instance does over TCP.
func exportServer(t *testing.T, d *feedService, tokens ...web.ExportToken) (url string) {
	t.Helper()
	s := web.NewServer(web.Config{Listen: "127.0.0.1:0", ExportTokens: tokens})
	s.Serve(d.exportRoutes())
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return "http://" + s.Addr().String()
}

func exportTable(t *testing.T, more ...intel.Indicator) *lookup.Table {
	t.Helper()
	b := lookup.NewBuilder(lookup.Policy{})
	for _, ind := range append(more,
		intel.Indicator{Prefix: netip.MustParsePrefix("62.0.0.9/32"), Feed: "f", Score: 50, Expires: time.Now().Add(time.Hour)},
		intel.Indicator{Prefix: netip.MustParsePrefix("62.0.0.77/32"), Feed: "f", Score: 50, TLP: "amber"},
	) {
		b.Add(ind, lookup.OriginFeed)
	}
	table, _ := b.Build("v1")
	return table
}

// TestExportOverHTTP: a list comes as it is, with an ETag that does not depend on the time, in
// all ways that firewalls have; what a token is not for does not.
func TestExportOverHTTP(t *testing.T) {
	now := time.Now()
	d := &feedService{store: lookup.NewStore(), now: func() time.Time { return now }, exports: newExportDesk()}
	url := exportServer(t, d, web.ExportToken{Token: exportToken}, web.ExportToken{Token: "token-for-amber-text", Targets: []string{"text"}, MaxTLP: "amber"},
		web.ExportToken{Token: "token-of-one-list", Targets: []string{"text"}, Query: "set=1&min-score=40"})
	ask := func(path, token string, header ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("firewall", token)
		if token == "" {
			r.Header.Del("Authorization")
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	if resp, body := ask("/api/v1/export/text?set=1", exportToken); resp.StatusCode != 503 || !strings.Contains(body, "nothing is listed") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("of an empty set: %d %s", resp.StatusCode, body)
	}
	d.store.Swap(exportTable(t))
	tags := make(map[string]string)
	for _, to := range target.All {
		if to.TakesNames() {
			continue
		}
		resp, body := ask("/api/v1/export/"+to.Name+"?set=1", exportToken)
		tags[to.Name] = resp.Header.Get("ETag")
		if resp.StatusCode != 200 || !strings.Contains(body, "62.0.0.9") && !strings.Contains(body, "9.0.0.62") || strings.Contains(body, "62.0.0.77") || len(tags[to.Name]) != 34 {
			t.Errorf("%s: %d %v %s", to.Name, resp.StatusCode, resp.Header, body)
		}
	}
	now = now.Add(time.Minute)
	d.exports.forget(time.Now().Add(sharedFor))
	for name, tag := range tags {
		if resp, body := ask("/api/v1/export/"+name+"?set=1", exportToken, "If-None-Match", `"x", W/`+tag); resp.StatusCode != 304 || body != "" || resp.Header.Get("ETag") != tag {
			t.Errorf("%s a minute later: %d %s, was %s", name, resp.StatusCode, resp.Header.Get("ETag"), tag)
		}
	}
	d.store.Swap(exportTable(t, intel.Indicator{Prefix: netip.MustParsePrefix("62.0.0.10/32"), Feed: "f", Score: 50}))
	for name, tag := range tags {
		if resp, _ := ask("/api/v1/export/"+name+"?set=1", exportToken, "If-None-Match", tag); resp.StatusCode != 200 || resp.Header.Get("ETag") == tag {
			t.Errorf("%s after a change: %d", name, resp.StatusCode)
		}
	}
	for _, tt := range []struct {
		path, token string
		code        int
		body        string
	}{
		{"/api/v1/export/text/" + exportToken + "?set=1", "", 200, "62.0.0.9"},
		{"/api/v1/export/text?set=1", "token-for-amber-text", 200, "62.0.0.77"},
		{"/api/v1/export/text?set=1&max-tlp=green", "token-for-amber-text", 200, "62.0.0.9"},
		{"/api/v1/export/text?set=1&max-tlp=red", "token-for-amber-text", 403, "this token is for TLP amber at most"},
		{"/api/v1/export/text?set=1&max-tlp=amber", exportToken, 403, "this token is for TLP green at most"},
		{"/api/v1/export/stix?set=1", "token-for-amber-text", 403, "this token is not for stix"},
		{"/api/v1/export/text", "token-of-one-list", 200, "62.0.0.9"},
		{"/api/v1/export/text?set=1&min-score=40", "token-of-one-list", 200, "62.0.0.9"},
		{"/api/v1/export/text?set=1&min-score=0", "token-of-one-list", 403, "this token is for one list"},
		{"/api/v1/export/text?family=4", "token-of-one-list", 403, "this token is for one list"},
		{"/api/v1/export/nftables", "token-of-one-list", 403, "this token is not for nftables"},
		{"/api/v1/export/text?set=1&min-score=90;family=4", exportToken, 400, "the parameters are not valid"},
		{"/api/v1/export/text?set=1&min-score=0&min-score=90", exportToken, 400, "min-score: is there twice"},
		{"/api/v1/export/text?set=0&set=1", exportToken, 400, "set: is there twice"},
		{"/api/v1/export/nope?set=1", exportToken, 404, "there is no such target"},
		{"/api/v1/export/text?set=1&max=x", exportToken, 400, "max: "},
		{"/api/v1/export/text?set=1&scores=1", exportToken, 400, "scores: is no parameter"},
		{"/api/v1/export/text?set=1", "wrong", 401, "missing or wrong token"},
		{"/api/v1/export/rpz?set=1", exportToken, 503, "not loaded"},
	} {
		if resp, body := ask(tt.path, tt.token); resp.StatusCode != tt.code || !strings.Contains(body, tt.body) || strings.Contains(body, exportToken) {
			t.Errorf("%s: %d %s", tt.path, resp.StatusCode, body)
		}
	}
	for range maxExports {
		d.exports.places <- struct{}{}
	}
	if resp, body := ask("/api/v1/export/text?set=1", exportToken); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "too many lists are being exported") {
		t.Errorf("too many: %d %s", resp.StatusCode, body)
	}
	if s := d.exports.status(); s.Sent < 12 || s.Unchanged != uint64(len(tags)) || s.Busy != 3 || s.Refused < 8 || s.Aborted != 0 || s.Last.IsZero() {
		t.Errorf("%+v", s)
	}
}
