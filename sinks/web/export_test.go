package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// exporter makes a server with a route for exports, which answers with what is granted.
func exporter(cfg Config) *Server {
	s := NewServer(cfg)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := GrantOf(r.Context())
		fmt.Fprintf(w, "%s %v %s", r.PathValue("target"), g.Targets, g.MaxTLP)
	})
	s.Serve([]observe.Route{{Method: "GET", Path: "/api/v1/export/{target}", Role: observe.Exporter, Handler: h}, {Method: "GET", Path: "/api/v1/export/{target}/{token}", Role: observe.Exporter, Handler: h}})
	return s
}

const (
	tokenA = "a-token-of-enough-length"
	tokenB = "another_token_of_enough_length"
)

// TestExportTokens: each of the ways that firewalls have to send a token, and no other.
func TestExportTokens(t *testing.T) {
	file := tokenFile(t, tokenB)
	s := exporter(Config{Listen: "127.0.0.1:0", ExportTokens: []ExportToken{{Token: tokenA}, {TokenFile: file, Targets: []string{"text"}, MaxTLP: "red"}}})
	ask := func(path string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", len(path)) // each its own count of failures
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		s.serve(w, r)
		return w
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	for name, tt := range map[string]struct {
		w    *httptest.ResponseRecorder
		code int
		body string
	}{
		"bearer":          {ask("/api/v1/export/text", bearer(tokenA)), 200, "text [] "},
		"of a file":       {ask("/api/v1/export/text", bearer(tokenB)), 200, "text [text] red"},
		"basic":           {ask("/api/v1/export/stix", basic("fw", tokenA)), 200, "stix [] "},
		"basic, no user":  {ask("/api/v1/export/stix", basic("", tokenA)), 200, "stix [] "},
		"path":            {ask("/api/v1/export/text/"+tokenA, nil), 200, "text [] "},
		"none":            {ask("/api/v1/export/text", nil), 401, errNoToken},
		"wrong":           {ask("/api/v1/export/text", bearer(tokenA+"x")), 401, errNoToken},
		"as user":         {ask("/api/v1/export/text", basic(tokenA, "x")), 401, errNoToken},
		"wrong in path":   {ask("/api/v1/export/text/x", nil), 401, errNoToken},
		"empty bearer":    {ask("/api/v1/export/text", bearer("")), 401, errNoToken},
		"as a parameter":  {ask("/api/v1/export/text?token="+tokenA, nil), 401, errNoToken},
		"more of a path":  {ask("/api/v1/export/text/"+tokenA+"/x", nil), 404, "404"},
		"foreign name":    {ask("/api/v1/export/text", func(r *http.Request) { r.Host = "lists.example.net"; bearer(tokenA)(r) }), 200, "text [] "},
		"foreign, no key": {ask("/api/v1/export/text", func(r *http.Request) { r.Host = "lists.example.net" }), 401, errNoToken},
	} {
		if got := strings.TrimSpace(tt.w.Body.String()); tt.w.Code != tt.code || !strings.HasPrefix(got+" ", tt.body) {
			t.Errorf("%s: %d %q", name, tt.w.Code, got)
		}
		if strings.Contains(tt.w.Body.String(), tokenA) || tt.code == 401 && len(tt.w.Header().Values("WWW-Authenticate")) != 2 {
			t.Errorf("%s: %q %v", name, tt.w.Body, tt.w.Header())
		}
	}
	if err := os.WriteFile(file, []byte("renewed-token-of-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := ask("/api/v1/export/text", bearer("renewed-token-of-length")); w.Code != 200 {
		t.Errorf("renewed: %d", w.Code)
	}
}

// TestExportWithoutTokens: where no token is configured, exports are as open as all other pages.
func TestExportWithoutTokens(t *testing.T) {
	for token, want := range map[string]int{"": 200, "right-token-of-a-page": 401} {
		cfg := Config{Listen: "127.0.0.1:0"}
		if token != "" {
			cfg.TokenFile = tokenFile(t, token)
		}
		w := httptest.NewRecorder()
		if exporter(cfg).serve(w, httptest.NewRequest("GET", "http://127.0.0.1/api/v1/export/text", nil)); w.Code != want {
			t.Errorf("token %q: %d", token, w.Code)
		}
	}
}

// TestExportFailures: a source that sends wrong tokens is not listened to for a minute, and
// others are; the count is bounded.
func TestExportFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exporter(Config{Listen: "127.0.0.1:0", ExportTokens: []ExportToken{{Token: tokenA}}})
		ask := func(from, token string) int {
			r := httptest.NewRequest("GET", "http://127.0.0.1/api/v1/export/text", nil)
			r.RemoteAddr = from
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.serve(w, r)
			if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return w.Code
		}
		for i := range maxFailures {
			if code := ask(fmt.Sprintf("[2001:db8::%d]:1", i), "x"); code != 401 {
				t.Fatalf("%d: %d", i, code)
			}
		}
		if code := ask("[2001:db8::99]:1", tokenA); code != 429 {
			t.Errorf("the right token of a source that guesses: %d", code)
		}
		if code := ask("[2001:db8:1::1]:1", tokenA); code != 200 {
			t.Errorf("another source: %d", code)
		}
		time.Sleep(failureTime)
		if code := ask("[2001:db8::99]:1", tokenA); code != 200 {
			t.Errorf("a minute later: %d", code)
		}
		for i := range 5 * maxSources {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			ask(a.String()+":1", "x")
		}
		if n := len(s.failures.from); n > maxSources+1 {
			t.Errorf("%d sources", n)
		}
		if code := ask("10.99.99.99:1", "x"); code != 429 {
			t.Errorf("one of too many sources: %d", code)
		}
		if code := ask("10.99.99.98:1", tokenA); code != 200 {
			t.Errorf("the right token while many others guess: %d", code)
		}
	})
}

// TestSetExportTokens: a token that is taken out of the configuration is good for nothing from
// the next request on, a new one is good; an unreadable file leaves all as they were; without
// any the rules of other pages hold.
func TestSetExportTokens(t *testing.T) {
	s := exporter(Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, "token-of-the-pages"), ExportTokens: []ExportToken{{Token: tokenA}}})
	from := 0
	ask := func(token string) int {
		r := httptest.NewRequest("GET", "http://lists.example.net/api/v1/export/text", nil)
		from++
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", from)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.serve(w, r)
		return w.Code
	}
	want := func(step string, a, b, page int) {
		t.Helper()
		if x, y, z := ask(tokenA), ask(tokenB), ask("token-of-the-pages"); x != a || y != b || z != page {
			t.Errorf("%s: %d %d %d, want %d %d %d", step, x, y, z, a, b, page)
		}
	}
	want("at first", 200, 401, 401)
	if err := s.SetExportTokens([]ExportToken{{Token: tokenB, Query: "set=1"}}); err != nil {
		t.Fatal(err)
	}
	want("another", 401, 200, 401)
	if err := s.SetExportTokens([]ExportToken{{Token: tokenA}, {TokenFile: "/nowhere/token"}}); err == nil {
		t.Error("a file that is not there")
	}
	want("after the error", 401, 200, 401)
	if err := s.SetExportTokens(nil); err != nil {
		t.Fatal(err)
	}
	want("none", 401, 401, 200)
}

func TestExportConfig(t *testing.T) {
	for _, tt := range []struct {
		token ExportToken
		want  string
	}{
		{ExportToken{Token: tokenA}, ""},
		{ExportToken{TokenFile: "f", MaxTLP: "amber"}, ""},
		{ExportToken{}, "export_tokens[0].token_file: either token or token_file is required"},
		{ExportToken{Token: tokenA, TokenFile: "f"}, "export_tokens[0].token_file: either token or token_file is required"},
		{ExportToken{Token: "short"}, "export_tokens[0].token: must have at least 16 letters, digits, - and _"},
		{ExportToken{Token: tokenA + "/"}, "export_tokens[0].token: must have at least 16 letters, digits, - and _"},
		{ExportToken{Token: tokenA, Query: "set=1&min-score=80"}, ""},
		{ExportToken{Token: tokenA, Query: "set=1;min-score=80"}, "export_tokens[0].query: is not valid; use parameters as in a URL, such as set=1&min-score=80"},
		{ExportToken{Token: tokenA, MaxTLP: "pink"}, `export_tokens[0].max_tlp: "pink" is not valid; use clear, green, amber, amber+strict, red`},
	} {
		err := Config{Listen: "127.0.0.1:0", ExportTokens: []ExportToken{tt.token}}.Validate()
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%+v: %v", tt.token, err)
		}
	}
	if err := (Config{Listen: "127.0.0.1:0", ExportTokens: []ExportToken{{Token: tokenA}, {Token: tokenA}}}).Validate(); err == nil || err.Error() != "export_tokens[1]: the token is there twice" {
		t.Errorf("%v", err)
	}
	for name, want := range map[string]string{"/nowhere/token": "web.export_tokens[0].token_file: open /nowhere/token", tokenFile(t, "short"): "must have at least 16 characters"} {
		s := NewServer(Config{Listen: "127.0.0.1:0", ExportTokens: []ExportToken{{TokenFile: name}}})
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
			s.Stop(t.Context())
		}
	}
}
