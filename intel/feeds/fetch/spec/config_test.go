package spec_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// TestPresets: each can be used as it is, and none is worse than its provider allows.
func TestPresets(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range spec.Presets() {
		f := spec.Feed{Preset: p.Name}
		if p.URL == "" {
			f.URL = "https://example.org/mine"
		}
		c := spec.DefaultConfig()
		c.Feeds = []spec.Feed{f}
		if p.Class != "" {
			c.Feeds, c.Warninglists = nil, c.Feeds
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if seen[p.Name] || p.About == "" || p.Licence == "" || p.Interval < p.Floor || p.Floor < spec.MinFloor {
			t.Errorf("%s: twice, or not complete: %+v", p.Name, p)
		}
		seen[p.Name] = true
		if p.BuiltIn && p.Key != spec.NoKey {
			t.Errorf("%s: built in, but wants a key", p.Name)
		}
		if p.Score < 1 || p.Score > 100 || p.URL != "" && !strings.HasPrefix(p.URL, "https://") {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
	for _, name := range []string{"dshield", "spamhaus-drop", "otx", "feodo", "warn-cloudflare"} {
		if !seen[name] {
			t.Errorf("no preset %s", name)
		}
	}
	c := spec.DefaultConfig()
	if c.Feeds = spec.BuiltIn(); len(c.Feeds) < 4 {
		t.Errorf("built in: %v", c.Feeds)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// TestResolve: what the config says wins over the preset, the provider's floor over
// both.
func TestResolve(t *testing.T) {
	s := spec.Feed{Preset: "spamhaus-drop", Name: "drop", Score: 33, Interval: 48 * time.Hour}.Resolve()
	if s.Name != "drop" || s.Score != 33 || s.Interval != 48*time.Hour || s.Floor != time.Hour || s.Format != "drop-json" {
		t.Errorf("%+v", s)
	}
	s = spec.Feed{Name: "own", URL: "https://www.spamhaus.org/drop/drop_v4.json"}.Resolve()
	if s.Floor != time.Hour || s.Score != spec.DefaultScore || s.Format != "" {
		t.Errorf("the URL of a preset without its name: %+v", s)
	}
	s = spec.Feed{Name: "own", URL: "https://example.org/x", Interval: 20 * time.Second}.Resolve()
	if s.Floor != 20*time.Second || s.Kind != spec.KindHTTP {
		t.Errorf("%+v", s)
	}
	s = spec.Feed{Preset: "threatfox", APIKey: "x"}.Resolve()
	if s.KeyHeader != "Auth-Key" || s.Body == "" || s.MinScore != 75 {
		t.Errorf("%+v", s)
	}
}

func TestValidate(t *testing.T) {
	url := spec.Feed{Name: "x", URL: "https://example.org/x"}
	with := func(change func(*spec.Feed)) spec.Config {
		f := url
		change(&f)
		c := spec.DefaultConfig()
		c.Feeds = []spec.Feed{f}
		return c
	}
	warn := with(func(f *spec.Feed) { f.Class = "shady" })
	warn.Feeds, warn.Warninglists = nil, warn.Feeds
	pagedWarn := with(func(f *spec.Feed) { f.Class, f.TAXII = "shared", &spec.TAXII{} })
	pagedWarn.Feeds, pagedWarn.Warninglists = nil, pagedWarn.Feeds
	twice := spec.DefaultConfig()
	twice.Feeds = []spec.Feed{url, url}
	deny := spec.DefaultConfig()
	deny.Deny = []netip.Prefix{netip.MustParsePrefix("::/0")}
	contact := spec.DefaultConfig()
	contact.Contact = "a\nb"
	for _, tt := range []struct {
		c    spec.Config
		want string
	}{
		{with(func(f *spec.Feed) {}), ""},
		{with(func(f *spec.Feed) { f.URL = "" }), "feeds[0].url: missing; one of preset, url, file, dir is required"},
		{with(func(f *spec.Feed) { f.File = "x" }), "feeds[0].url: url, file and dir are three sources; make them three feeds"},
		{with(func(f *spec.Feed) { f.Preset = "none" }), `feeds[0].preset: "none" is unknown; 'flowsnitch intel presets' lists all`},
		{with(func(f *spec.Feed) { f.Preset, f.URL = "crowdsec", "" }), "feeds[0].url: required; the preset crowdsec has none, it is specific to you"},
		{with(func(f *spec.Feed) { f.Name = "" }), "feeds[0].name: required; it is the name of the feed in hits"},
		{with(func(f *spec.Feed) { f.Name = "a\nb" }), "feeds[0].name: \"a\\nb\"; must be at most 64 characters"},
		{with(func(f *spec.Feed) { f.Name = "deny" }), `feeds[0].name: "deny" is the operator's own list`},
		{with(func(f *spec.Feed) { f.Score = 101 }), "feeds[0].score: 101 is outside 1 to 100"},
		{with(func(f *spec.Feed) { f.MinScore = -1 }), "feeds[0].min_score: -1 is outside 0 to 100"},
		{with(func(f *spec.Feed) { f.TLP = "purple" }), `feeds[0].tlp: "purple"; allowed are white, green, amber, red`},
		{with(func(f *spec.Feed) { f.Format = "word" }), `feeds[0].format: unknown feed format "word"`},
		{with(func(f *spec.Feed) { f.Interval = time.Second }), "feeds[0].interval: 1s is outside 10s to 720h0m0s"},
		{with(func(f *spec.Feed) { f.Preset, f.URL, f.Interval = "dshield", "", time.Minute }),
			"feeds[0].interval: 1m0s is below the provider's minimum of 1h0m0s"},
		{with(func(f *spec.Feed) { f.MaxAge = -1 }), "feeds[0].max_age: -1ns is negative"},
		{with(func(f *spec.Feed) { f.MaxBytes = -1 }), "feeds[0].max_bytes: -1 is outside"},
		{with(func(f *spec.Feed) { f.Class = "shared" }), "feeds[0].class: belongs under warninglists"},
		{warn, `warninglists[0].class: "shady"; allowed are infrastructure, shared, scanner, sinkhole`},
		{pagedWarn, "warninglists[0].url: a warninglist is a document or a file"},
		{with(func(f *spec.Feed) { f.APIKey, f.APIKeyFile = "a", "b" }), "feeds[0].api_key_file: is not allowed beside api_key"},
		{with(func(f *spec.Feed) { f.Password = "a" }), "feeds[0].user: required with a password"},
		{with(func(f *spec.Feed) { f.User, f.Password, f.PasswordFile = "u", "a", "b" }), "feeds[0].password_file: is not allowed beside password"},
		{with(func(f *spec.Feed) { f.CertFile = "a" }), "feeds[0].cert_file: cert_file and key_file belong together"},
		{with(func(f *spec.Feed) { f.Headers = []spec.Header{{Name: "X Y", Value: "z"}} }), "feeds[0].headers[0]: must be a name and a value of one line"},
		{with(func(f *spec.Feed) { f.Headers = []spec.Header{{Name: "X", Value: "z\r\nEvil: 1"}} }), "feeds[0].headers[0]: must be a name and a value of one line"},
		{with(func(f *spec.Feed) { f.URL = "gopher://example.org/" }), `feeds[0].url: "gopher://example.org/"; must begin with https:// or http://`},
		{with(func(f *spec.Feed) { f.URL = "https://me:secret@example.org/" }), "feeds[0].url: a password in a URL gets into logs"},
		{with(func(f *spec.Feed) { f.URL, f.APIKey = "http://example.org/", "k" }), "feeds[0].url: a key would travel in clear text; use https"},
		{with(func(f *spec.Feed) { f.URL, f.APIKey = "http://[::1]:80/", "k" }), ""},
		{with(func(f *spec.Feed) { f.OTX, f.TAXII = &spec.OTX{}, &spec.TAXII{} }), "feeds[0].otx: otx, taxii and misp are three services"},
		{with(func(f *spec.Feed) { f.URL, f.File, f.MISP = "", "x", &spec.MISP{} }), "feeds[0].file: the blocks otx, taxii and misp require a url"},
		{with(func(f *spec.Feed) { f.MISP = &spec.MISP{Source: "guess"} }), `feeds[0].misp.source: "guess"; allowed are feed, search`},
		{with(func(f *spec.Feed) { f.OTX = &spec.OTX{Limit: 101} }), "feeds[0].otx.limit: 101 is outside 1 to 100"},
		{twice, `feeds[1].name: "x" is that of feeds[0] too`},
		{deny, "deny[0]: ::/0 is everything; allowed are /1 and longer"},
		{contact, "contact: must be a mail address or URL in ASCII"},
		{spec.Config{}, "max_indicators: 0 is outside 1 to 50000000"},
	} {
		err := tt.c.Validate()
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.HasPrefix(got, tt.want) && tt.want != "" {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestClasses: all classes of package intel can be configured.
func TestClasses(t *testing.T) {
	for _, class := range intel.Classes() {
		c := spec.DefaultConfig()
		c.Warninglists = []spec.Feed{{Name: "x", File: "x", Class: string(class)}}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestYAML reads the outline of the configuration.
func TestYAML(t *testing.T) {
	text := `
contact: noc@example.net
feeds:
- {preset: dshield}
- {preset: otx, api_key_file: /etc/flowsnitch/otx.key}
- {name: ours, file: /etc/flowsnitch/bad.txt, score: 80, operator: true}
- {name: t, url: "https://example.org/taxii2/", taxii: {collections: [one]}, user: me, password: secret-word, interval: 20m}
- {name: m, url: "https://example.org/?api_key=secret-word&list=x", misp: {source: search}, headers: [{name: X-A, value: secret-word}], max_age: 2160h}
warninglists:
- {preset: warn-cloudflare}
deny: [203.0.113.7/32]
allow: [198.51.100.0/24]
`
	c := spec.DefaultConfig()
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if f := c.Feeds[3]; f.Interval != 20*time.Minute || f.TAXII.Collections[0] != "one" || c.Feeds[4].MaxAge != 90*24*time.Hour {
		t.Errorf("%+v", c.Feeds)
	}
	out, err := yaml.Marshal(c)
	if err != nil || strings.Contains(string(out), "secret-word") || !strings.Contains(string(out), "list=x") {
		t.Errorf("printed with a secret, or without the rest: %v\n%s", err, out)
	}
}
