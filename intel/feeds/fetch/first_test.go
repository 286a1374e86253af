package fetch

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/misp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// firstFeeds has a feed of every kind that is fetched.
func firstFeeds() map[string]spec.Feed {
	return map[string]spec.Feed{
		"http":        {Name: "list", URL: "http://127.0.0.1/list.txt"},
		"otx":         otxFeed(),
		"taxii":       {Name: "cti", URL: "http://127.0.0.1/taxii2/", TAXII: &spec.TAXII{}},
		"misp-feed":   {Name: "circl", URL: "http://127.0.0.1/feed", MISP: &spec.MISP{}},
		"misp-search": {Name: "misp", URL: "http://127.0.0.1", APIKey: otxKey, MISP: &spec.MISP{Source: "search"}},
	}
}

// TestFirstReadingFails: of a source of which nothing has ever come there is no copy, on no
// disk, in no status and in no message, whatever it answers and however often it is asked.
func TestFirstReadingFails(t *testing.T) {
	for kind, feed := range firstFeeds() {
		for what, answer := range map[string]http.HandlerFunc{
			"no network": nil, "500": fails(500), "403": fails(403), "503": fails(503, "Retry-After", "120"),
			"html": serves("<html><body>please wait</body></html>"), "nothing": serves(""), "an object": serves("{}"),
			"a collection that fails": func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/taxii2/":
					serves(`{"id":"91a7b528-80eb-42ed-a74d-c6fbd5a26116","title":"c","can_read":true}`)(rw, r)
				case strings.HasSuffix(r.URL.Path, misp.ManifestName):
					serves(`{"5a1e7c2e-0000-4000-8000-000000000001":{"timestamp":"1700000000"}}`)(rw, r)
				default:
					fails(500)(rw, r)
				}
			},
		} {
			t.Run(kind+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, answer, feed)
					w.setDown(answer == nil)
					w.start()
					for range 3 {
						w.pass(2 * time.Hour)
						s := w.status()
						if s.Error == "" && (s.Held != "" || !s.Checked.IsZero()) { // this is an answer
							return
						}
						if s.Error == "" || !s.Taken.IsZero() || s.Incomplete || s.Entries != 0 || s.Age(time.Now()) != 0 {
							t.Errorf("status %+v", s)
						}
						w.start() // what is on the disk is no copy either
					}
					for _, e := range w.logs.All() {
						if strings.Contains(e.Message, "last good copy") || strings.Contains(e.Message, "not complete") {
							t.Errorf("the log says %q", e.Message)
						}
					}
					if found, _ := filepath.Glob(filepath.Join(w.dir, "*"+store.ExtGood)); len(found) > 0 {
						t.Errorf("on the disk: %v", found)
					}
				})
			})
		}
	}
}

// TestFirstReadingBreaksOff: what has come of a first reading is used, and is not taken for
// a copy until the end is there.
func TestFirstReadingBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &otxServer{sick: 2, status: 500}
		for i := range 6 {
			o.pulses = append(o.pulses, newPulse(i, time.Now(), "62.0.0."+string(rune('1'+i))))
		}
		w := newWorld(t, o.ServeHTTP, otxFeed())
		w.start()
		for range 2 {
			w.pass(time.Minute)
			if s := w.status(); !s.Incomplete || !s.Taken.IsZero() || s.Entries != 2 || s.Error == "" || !w.lists("62.0.0.1") {
				t.Errorf("status %+v, want 2 entries of an incomplete reading", s)
			}
			w.start()
		}
		if n := w.logs.FilterMessageSnippet("its first reading is not complete").Len(); n == 0 {
			t.Error("the log does not say so")
		}
		if n := w.logs.FilterMessageSnippet("last good copy").Len(); n != 0 {
			t.Error("the log names a last good copy")
		}
		o.sick = 0
		w.pass(24 * time.Hour)
		if s := w.status(); s.Incomplete || s.Taken.IsZero() || s.Entries != 6 || s.Error != "" {
			t.Errorf("status at the end %+v", s)
		}
	})
}

// TestFailsAfterCopy: after a good copy, failures leave it in use.
func TestFailsAfterCopy(t *testing.T) {
	for kind, feed := range map[string]spec.Feed{"http": firstFeeds()["http"], "otx": otxFeed()} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &otxServer{pulses: []otxPulse{newPulse(1, time.Now(), "62.0.0.1")}}
				w := newWorld(t, o.ServeHTTP, feed)
				if kind == "http" {
					w.answer(serves("62.0.0.1\n"))
				}
				w.start()
				w.pass(time.Minute)
				w.answer(fails(500))
				w.pass(24 * time.Hour)
				if s := w.status(); s.Incomplete || s.Taken.IsZero() || s.Entries != 1 || s.Error == "" || s.Age(time.Now()) < time.Hour {
					t.Errorf("status %+v", s)
				}
				if w.logs.FilterMessageSnippet("last good copy").Len() == 0 {
					t.Error("the log does not name the last good copy")
				}
			})
		})
	}
}
