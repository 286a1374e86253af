//go:build integration

package intel

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The keys of the test, each in one place of the configuration.
var keys = map[string]string{
	"api_key":      "k1-Zq7/w+Xv=YtR",
	"api_key_file": "k2-Mn3/p+Ls=QwE",
	"header":       "k3-Hy5/d+Gf=AsD",
	"password":     "k4-Vb9/r+Tc=UiO",
	"url":          "k5JkL8mNbVcXz1",
	"kafka":        "k6-Re2/k+Po=LkJ",
	"webhook":      "k7WsXeDcRfVtGb",
}

const secretConfig = `
intel:
  feeds:
    - {name: a, url: "%[1]s/a", interval: 10s, api_key: "%[2]s"}
    - {name: b, url: "%[1]s/b", interval: 10s, api_key_file: %[3]s}
    - {name: c, url: "%[1]s/c", interval: 10s, headers: [{name: X-Key, value: "${HEADER_KEY}"}]}
    - {name: d, url: "%[1]s/d", interval: 10s, user: me, password: "%[4]s"}
    - {name: e, url: "%[1]s/e?apikey=%[5]s", interval: 10s}
    - {name: otx, url: "%[1]s/otx", otx: {}, api_key: "%[2]s", interval: 10s}
    - {name: far, url: "%[1]s/away", interval: 10s, api_key: "%[2]s"}
sinks:
  - jsonlog: {}
  - kafka: {brokers: ["127.0.0.1:9"], sasl: {mechanism: plain, user: me, password: "%[6]s"}}
  - webhook: {kind: json, url: "http://127.0.0.1:9/%[7]s"}
`

// TestSecrets: no key shows in a log, an answer, the state directory, a crash dump, or a
// request to another host than its own.
func TestSecrets(t *testing.T) {
	other := provide(t, serves(0, 10))
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	p := provide(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere+"/", http.StatusFound)
		case "/a", "/c":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "no such key: %s%s", r.Header.Get("Authorization"), r.Header.Get("X-Key"))
		case "/e":
			fmt.Fprintf(w, "not a list for %s\n", r.URL.RawQuery)
		case "/b", "/d":
			serves(0, 100)(w, r)
		default:
			fmt.Fprintf(w, "%s is not JSON", r.Header.Get("X-OTX-API-KEY"))
		}
	})
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(keys["api_key_file"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := instance.New(t, fmt.Sprintf(secretConfig, p.URL, keys["api_key"], keyFile, keys["password"], keys["url"], keys["kafka"], keys["webhook"]))
	i.Env = []string{"HEADER_KEY=" + keys["header"], "GOTRACEBACK=all"}
	i.Start(t)
	i.Contact(t, "62.0.0.1")
	i.Until(t, "every feed was asked", func() bool { return p.asked() >= 7 && other.asked() > 0 })
	said := map[string]string{}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"intel", "status"}, {"intel", "status", "--json"}, {"intel", "update"},
		{"config", "print"}, {"config", "check"}, {"lookup", "62.0.0.1"}} {
		out, _ := i.Try(t, args...)
		said[strings.Join(args, " ")] = out
	}
	i.Signal(syscall.SIGQUIT) // the runtime prints all stacks
	i.Wait()
	said["log and crash dump"] = i.Log()
	if !strings.Contains(i.Log(), "goroutine ") {
		t.Error("there is no crash dump")
	}
	for path, content := range files(t, i.Dir) {
		if path != i.Config {
			said[path] = content
		}
	}
	for where, text := range said {
		leaks(t, where, text)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	for _, r := range other.requests {
		leaks(t, "a request to another host", fmt.Sprint(r.URL, r.Header))
	}
}

// leaks looks for every key in every spelling.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	for name, key := range keys {
		for _, spelling := range []string{key, url.QueryEscape(key), url.PathEscape(key), hex.EncodeToString([]byte(key)),
			base64.StdEncoding.EncodeToString([]byte(key)), base64.StdEncoding.EncodeToString([]byte("me:" + key)),
			strings.ReplaceAll(key, "/", `\/`)} {
			if strings.Contains(text, spelling) {
				t.Errorf("%s shows the key of %s as %q", where, name, spelling)
			}
		}
	}
}

// files reads all files below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
