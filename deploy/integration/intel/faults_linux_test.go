//go:build integration

package intel

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// A feedStatus is what 'intel status --json' says of a feed.
type feedStatus struct {
	Entries  int    `json:"entries"`
	Code     int    `json:"code"`
	Error    string `json:"error"`
	Failures int    `json:"failures"`
	Held     string `json:"held"`
}

type status struct {
	Intel struct {
		Indicators int          `json:"indicators"`
		Feeds      []feedStatus `json:"feeds"`
	} `json:"intel"`
}

// feed gives what the status says of the only feed.
func feed(t *testing.T, i *instance.Instance) feedStatus {
	t.Helper()
	var s status
	if !i.Status(t, &s) || len(s.Intel.Feeds) != 1 {
		return feedStatus{}
	}
	return s.Intel.Feeds[0]
}

// forget lets a provider be asked at once, as if its time had come.
func forget(t *testing.T, i *instance.Instance) {
	t.Helper()
	if err := os.Remove(filepath.Join(i.Dir, "feeds", "feed-far.state")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// TestFaults: whatever a provider answers, what is listed stays listed, and the status
// says what is wrong.
func TestFaults(t *testing.T) {
	p := provide(t, serves(0, 1000))
	i := instance.New(t, fmt.Sprintf("intel: {feeds: [{name: far, url: %q, interval: 10s}]}\n", p.URL))
	i.Start(t)
	i.Until(t, "the feed is there", func() bool { return feed(t, i).Entries == 1000 })
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		says   string
	}{
		{"an error of the server", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503"},
		{"too many requests", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, "429"},
		{"a page of HTML", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html><html>maintenance</html>") }, "HTML"},
		{"a compressed list without its end", cut, ""},
		{"a body that ends early", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(listed(0, 500))
		}, ""},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "empty"},
		{"a tenth", serves(1, 100), "shrunk"},
		{"ten times as much", serves(1, 10_000), "grown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i.Stop()
			forget(t, i)
			p.set(tt.answer)
			i.Start(t)
			var f feedStatus
			i.Until(t, "the fault is named", func() bool {
				f = feed(t, i)
				return f.Held+f.Error != "" && strings.Contains(f.Held+f.Error, tt.says)
			})
			if f.Entries != 1000 {
				t.Errorf("%d entries in use: %+v", f.Entries, f)
			}
			if out := i.Command(t, "lookup", "62.0.0.1"); !strings.Contains(out, "62.0.0.1 is listed by far") {
				t.Errorf("lookup says %s", out)
			}
			if out := i.Command(t, "intel", "status"); !strings.Contains(out, tt.says) {
				t.Errorf("intel status says %s", out)
			}
		})
	}
}

// TestRestarts: ten starts in a row ask a provider once, whether it answers well or not.
func TestRestarts(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"well": serves(0, 100), "badly": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
	} {
		t.Run(name, func(t *testing.T) {
			p := provide(t, answer)
			i := instance.New(t, fmt.Sprintf("intel: {feeds: [{name: far, url: %q, interval: 1h}]}\n", p.URL))
			for n := range 10 {
				i.Start(t)
				i.Until(t, "it has asked", func() bool { return p.asked() > 0 })
				if out := i.Command(t, "intel", "update"); n > 0 && !strings.Contains(out, "not yet") {
					t.Errorf("update by hand: %s", out)
				}
				i.Kill()
			}
			if n := p.asked(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestWithoutInstance: the commands work on the state directory when nothing runs.
func TestWithoutInstance(t *testing.T) {
	p := provide(t, serves(0, 100))
	i := instance.New(t, fmt.Sprintf("intel: {feeds: [{name: far, url: %q, interval: 1h}]}\n", p.URL))
	if out := i.Command(t, "intel", "update"); !strings.Contains(out, "no running instance") || !strings.Contains(out, "far: updated, 100 entries") {
		t.Errorf("update says %s", out)
	}
	if out := i.Command(t, "lookup", "62.0.0.1"); !strings.Contains(out, "no running instance") || !strings.Contains(out, "is listed by far") {
		t.Errorf("lookup says %s", out)
	}
	if out := i.Command(t, "intel", "status"); !strings.Contains(out, "no running instance") || !strings.Contains(out, "100") {
		t.Errorf("status says %s", out)
	}
	p.Close() // the network is gone
	i.Start(t)
	i.Until(t, "the last good copy is in use", func() bool { return feed(t, i).Entries == 100 })
}
