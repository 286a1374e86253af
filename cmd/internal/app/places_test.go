package app

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// writePlaces writes a database of countries and AS for one network.
func writePlaces(t *testing.T, path, prefix, country string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "ipinfo lite"})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Insert(network, mmdbtype.Map{"country_code": mmdbtype.String(country), "asn": mmdbtype.String("AS64496"), "as_name": mmdbtype.String("Example Net")}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPlaces: events have country and AS of their offender in the hit log and in what people
// get, without a link to a page that does not exist; other databases come with a reload.
func TestPlaces(t *testing.T) {
	var told atomic.Pointer[string]
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		text := string(b)
		told.Store(&text)
	}))
	defer hook.Close()
	mmdb := t.TempDir()
	writePlaces(t, filepath.Join(mmdb, "1.mmdb"), "62.0.0.0/24", "AU")
	writePlaces(t, filepath.Join(mmdb, "2.mmdb"), "62.0.1.0/24", "NO")
	text := func(n int) string {
		return fmt.Sprintf(`
name: test
home: [10.0.0.0/8]
intel: {feeds: [], deny: [62.0.0.1, 62.0.1.1]}
web: {listen: "", address: "https://flowsnitch.example/"}
enrich: {mmdb: [%s]}
sinks:
  - jsonlog: {}
  - webhook: {kind: template, template: teams, url: %q, min_severity: low, interval: 1s}
`, filepath.Join(mmdb, fmt.Sprintf("%d.mmdb", n)), hook.URL)
	}
	f := startFiled(t, text(1))
	w := watched{f.App, f.cfg.StateDir}
	logged := func() string {
		b, _ := os.ReadFile(f.cfg.Sinks[0].JSONLog.Path)
		return string(b)
	}
	w.contact(t, "62.0.0.1")
	until(t, "the hit with its country", func() bool {
		return strings.Contains(logged(), `"geo":{"country":"AU"},"as":{"number":64496,"organization":"Example Net"}`)
	})
	until(t, "the message", func() bool {
		m := told.Load()
		return m != nil && strings.Contains(*m, "Belongs to: AU, AS64496 Example Net") && !strings.Contains(*m, "flowsnitch.example") &&
			strings.Contains(*m, "Take it: flowsnitch incidents take 62.0.0.1")
	})
	f.write(t, text(2))
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := f.logs.FilterMessageSnippet("restart").Len(); n != 0 {
		t.Errorf("log %v", f.logs.All())
	}
	until(t, "the other database", func() bool {
		s := f.places.P.Stats()
		return s != nil && len(s.Files) == 1 && s.Files[0].Loaded && strings.HasSuffix(s.Files[0].Path, "2.mmdb")
	})
	w.contact(t, "62.0.1.1")
	until(t, "the hit with the other country", func() bool { return strings.Contains(logged(), `"country":"NO"`) })
}
