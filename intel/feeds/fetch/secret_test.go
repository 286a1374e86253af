package fetch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/goccy/go-yaml"
)

// The secrets of TestSecrets. None of them may be seen anywhere but by the feed's own
// host.
const (
	aKey      = "k3y-0f-mine/+="
	aPassword = "pa55 w0rd&more"
	aHeader   = "h34der-value"
)

// everything gives all texts that people or files may get.
func (w *world) everything() string {
	var b strings.Builder
	for _, e := range w.logs.All() {
		fmt.Fprintf(&b, "%s %v\n", e.Message, e.ContextMap())
	}
	status, _ := json.Marshal(w.m.Status())
	b.Write(status)
	answers, err := w.m.Update(context.Background())
	fmt.Fprintf(&b, "%+v %v\n%v\n", answers, err, w.alerts)
	text, _ := yaml.Marshal(w.cfg)
	b.Write(text)
	fmt.Fprintf(&b, "%v %+v %#v\n", w.cfg, w.cfg, w.cfg)
	files, _ := filepath.Glob(filepath.Join(w.dir, "*"))
	for _, f := range files {
		content, _ := os.ReadFile(f)
		b.Write(content)
	}
	return b.String()
}

// TestSecrets: whatever the provider does, its key is in no log, error, status, file
// or configuration that is printed, and goes to no other host.
func TestSecrets(t *testing.T) {
	feed := spec.Feed{Name: "f", URL: "http://127.0.0.1/list.txt?token=" + "t0ken-in-the-url", Interval: time.Hour,
		APIKey: aKey, User: "me", Password: aPassword, Headers: []spec.Header{{Name: "X-Extra", Value: aHeader}}}
	plain := feed
	plain.User, plain.Password = "", ""
	echo := func(rw http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			_, _ = fmt.Fprintf(rw, "%s %s\n", name, values)
		}
		_, password, _ := r.BasicAuth()
		_, _ = fmt.Fprintln(rw, r.RequestURI, password)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"good": serves(list(100)), "echo": echo, "401": fails(401), "HTML": serves("<html>" + aKey),
		"echo in a redirect": func(rw http.ResponseWriter, r *http.Request) {
			fails(302, "Location", "gopher://evil.example.org/"+r.Header.Get("X-Extra"))(rw, r)
		},
		"echo in a status": fails(500, "Retry-After", aKey),
		"redirect": func(rw http.ResponseWriter, r *http.Request) {
			if r.Host != "127.0.0.1" {
				serves(list(100))(rw, r)
				return
			}
			fails(302, "Location", "http://evil.example.org/list.txt")(rw, r)
		},
		"redirect to a subdomain": func(rw http.ResponseWriter, r *http.Request) {
			if r.Host != "127.0.0.1" {
				serves(list(100))(rw, r)
				return
			}
			fails(307, "Location", "http://sub.127.0.0.1/list.txt")(rw, r)
		},
		"redirect to another port": func(rw http.ResponseWriter, r *http.Request) {
			if r.Host != "127.0.0.1" {
				serves(list(100))(rw, r)
				return
			}
			fails(308, "Location", "http://127.0.0.1:8080/list.txt")(rw, r)
		},
		"cut": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "999999")
			_, _ = rw.Write([]byte(list(5) + aKey))
		},
	} {
		for _, f := range []spec.Feed{feed, plain} {
			t.Run(name+" "+f.User, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testSecrets(t, handler, f, strings.HasPrefix(name, "redirect")) })
			})
		}
	}
}

func testSecrets(t *testing.T, handler http.HandlerFunc, f spec.Feed, elsewhere bool) {
	w := newWorld(t, handler, f)
	w.start()
	w.pass(3 * time.Hour)
	secrets := []string{aKey, aPassword, aHeader, "t0ken-in-the-url", "azN5LTBmLW1pbmU", "pa55", "h34der"}
	text := w.everything()
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("%q is seen: ...%q...", s, text[max(0, i-100):min(len(text), i+100)])
		}
	}
	home, other := 0, 0
	for _, r := range w.requests {
		seen := fmt.Sprint(r.header)
		leak := strings.Contains(seen, aHeader) || strings.Contains(seen, aKey) || r.header.Get("Authorization") != ""
		if r.host == "127.0.0.1" {
			home++
			if !leak {
				t.Error("the provider was asked without key")
			}
			continue
		}
		other++
		if leak || strings.Contains(r.uri, "token") {
			t.Errorf("%s got %v", r.host, seen)
		}
	}
	if home == 0 || elsewhere != (other > 0) {
		t.Errorf("%d requests to the provider, %d elsewhere", home, other)
	}
}

// TestKeyFile: a key that was renewed is used for the next request, and a file that is
// not there is told without asking anybody.
func TestKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "key")
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: "http://127.0.0.1/", Interval: time.Hour, APIKeyFile: file})
		w.start()
		w.pass(time.Second)
		if s := w.status(); !strings.Contains(s.Error, "api_key_file: ") || w.asked() != 0 {
			t.Errorf("%+v", s)
		}
		for _, key := range []string{"one", "two"} {
			if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.pass(2 * time.Hour)
			if got := w.last().header.Get("Authorization"); got != "Bearer "+key {
				t.Errorf("Authorization %q", got)
			}
		}
	})
}

// TestCertificates: by TLS, on a real connection. A certificate that has expired or
// that nobody vouches for gives nothing, and ca_file vouches.
func TestCertificates(t *testing.T) {
	ca := authority.New(t)
	good, expired := ca.Pair(t, "localhost", time.Now().Add(time.Hour)), ca.Pair(t, "localhost", time.Now().Add(-time.Hour))
	for _, tt := range []struct {
		name  string
		cert  tls.Certificate
		trust bool
		want  string
	}{
		{"good", good, true, ""},
		{"unknown", good, false, "certificate signed by unknown authority"},
		{"expired", expired, true, "the clock of this machine is at " + time.Now().UTC().Format(time.DateOnly)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(serves(list(100)))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			cfg := spec.DefaultConfig()
			f := spec.Feed{Name: "f", URL: spec.URL(strings.Replace(server.URL, "127.0.0.1", "localhost", 1))}
			if tt.trust {
				f.CAFile = ca.File
			}
			cfg.Feeds = []spec.Feed{f}
			m := New(cfg, Options{Dir: t.TempDir()})
			defer m.Stop()
			a, err := m.Update(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && a[0].Outcome != source.Updated || !strings.Contains(a[0].Detail, tt.want) {
				t.Errorf("%+v, want %q", a, tt.want)
			}
		})
	}
}
