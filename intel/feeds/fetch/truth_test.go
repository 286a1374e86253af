package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// dated makes a list with the date of its data in its header.
func dated(t time.Time, n int) string {
	return "# Source File Date: " + t.UTC().Format(time.UnixDate) + "\n" + list(n)
}

// A mirror that stands still goes on answering, also with 304: the date inside decides.
func TestStaleMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := dated(time.Now().Add(-240*24*time.Hour), 10)
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", `"x"`)
			if r.Header.Get("If-None-Match") == `"x"` {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(rw, body)
		}, spec.Feed{Name: "aged", URL: plainURL, Interval: time.Hour, MaxAge: 720 * time.Hour},
			spec.Feed{Name: "any", URL: plainURL + "?2", Interval: time.Hour})
		w.start()
		w.pass(5 * time.Hour)
		for _, s := range w.m.Status() {
			age, ok := s.DataAge(time.Now())
			if !ok || age < 239*24*time.Hour || !s.DataOld(time.Now()) {
				t.Errorf("%s: data of %v, age %v", s.Name, s.Updated, age)
			}
			if want := map[string]int{"aged": 0, "any": 10}[s.Name]; s.Accepted != want {
				t.Errorf("%s: %d entries in force, want %d", s.Name, s.Accepted, want)
			}
		}
	})
}

// New words about the same entries bring them back into force.
func TestDataRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := dated(time.Now().Add(-29*24*time.Hour), 10)
		w := newWorld(t, serves(old), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour, MaxAge: 720 * time.Hour})
		w.start()
		w.pass(2 * time.Hour)
		if w.live() != 10 {
			t.Fatalf("%d entries of 29 days, want 10", w.live())
		}
		w.pass(48 * time.Hour)
		if w.live() != 0 {
			t.Fatalf("%d entries of 31 days, want 0", w.live())
		}
		w.answer(serves(dated(time.Now(), 10)))
		w.pass(2 * time.Hour)
		if w.live() != 10 {
			t.Errorf("%d entries of today, want 10", w.live())
		}
	})
}

func TestPathOfAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(`{"n":2,"data":{"ip":["45.33.33.1","45.33.33.2"]}}`), spec.Feed{Name: "f", URL: plainURL, Path: "data.ip", Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		if w.live() != 2 {
			t.Errorf("%d entries: %+v", w.live(), w.m.Status())
		}
	})
	for feed, want := range map[*spec.Feed]string{
		{Name: "f", URL: plainURL, Path: "a[0]"}:                    "path",
		{Name: "f", URL: plainURL, Path: "a", Format: "plain"}:      "path",
		{Name: "f", URL: plainURL, Path: "a", TAXII: &spec.TAXII{}}: "path",
		{Name: "f", URL: plainURL, Path: "a.b, c", Format: "json"}:  "",
	} {
		cfg := spec.DefaultConfig()
		cfg.Feeds = []spec.Feed{*feed}
		err := cfg.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", feed, err)
		}
	}
}

// A list that became JSON of another shape is held back, even if it may be empty.
func TestJSONInPlaceOfAList(t *testing.T) {
	for _, body := range []string{`{"data":{"ip":["45.33.33.1"]}}`, `{"data":null}`, `{"results":{"a":1}}`, `[{"x":1}]`, `{"objects":["x"]}`} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, serves(list(30)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour, MayBeEmpty: true})
			w.start()
			w.pass(time.Minute)
			w.answer(serves(body))
			w.pass(3 * time.Hour)
			if w.live() != 30 {
				t.Errorf("%s: %d entries, want 30", body, w.live())
			}
		})
	}
}

// A cookie that the feed's host sets goes back to it, to no other host, and not into the
// next fetch.
func TestCookieOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Cookie"), "ok=1") {
				rw.Header().Set("Set-Cookie", "ok=1; path=/")
				http.Redirect(rw, r, r.URL.Path, http.StatusFound)
				return
			}
			serves(list(19))(rw, r)
		}, spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(90 * time.Minute)
		if w.live() != 19 {
			t.Errorf("%d entries, want 19: %+v", w.live(), w.m.Status())
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, r := range w.requests {
			if got := r.header.Get("Cookie"); (got != "") != (i%2 == 1) {
				t.Errorf("request %d: cookie %q", i, got)
			}
		}
	})
}

// Whoever has no key gets a list of command and control servers; every preset has the
// date of its address, and every warninglist one of addresses.
func TestPresetsAreOfUse(t *testing.T) {
	c2 := false
	for _, p := range spec.Presets() {
		c2 = c2 || p.BuiltIn && p.Category == "c2" && p.Key == spec.NoKey
		if !strings.HasPrefix(p.Checked, "2026-") {
			t.Errorf("%s: checked %q", p.Name, p.Checked)
		}
		if p.Class != "" && strings.HasSuffix(p.URL, "-ns/list.json") {
			t.Errorf("%s is a list of names", p.Name)
		}
	}
	if !c2 {
		t.Error("no list of command and control servers among the default")
	}
}
