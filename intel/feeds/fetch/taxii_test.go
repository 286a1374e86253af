package fetch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// A taxiiServer has one collection of versions of indicators in the order in which
// they were added.
type taxiiServer struct {
	objects []stixObject
	silent  bool // sends neither header, more nor next
	pages   int  // answers after which it fails; 0 = never
	forget  bool // the tokens it gave
}

type stixObject struct {
	Type      string    `json:"type"`
	ID        string    `json:"id"`
	Spec      string    `json:"spec_version"`
	Modified  time.Time `json:"modified"`
	Pattern   string    `json:"pattern"`
	ValidFrom time.Time `json:"valid_from"`
	Until     time.Time `json:"valid_until,omitzero"`
	Revoked   bool      `json:"revoked,omitempty"`
	added     time.Time
}

func (s *taxiiServer) add(n int, version time.Time, addr string) *stixObject {
	s.objects = append(s.objects, stixObject{
		Type: "indicator", ID: fmt.Sprintf("indicator--%08d-0000-4000-8000-000000000000", n), Spec: "2.1",
		Modified: version, Pattern: "[ipv4-addr:value = '" + addr + "']", ValidFrom: version.Add(-time.Hour), added: time.Now(),
	})
	time.Sleep(time.Microsecond)
	return &s.objects[len(s.objects)-1]
}

const taxiiTime = "2006-01-02T15:04:05.000000Z"

func (s *taxiiServer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "application/taxii+json;version=2.1") {
		fails(406)(rw, r)
		return
	}
	if user, password, _ := r.BasicAuth(); user != "me" || password != "secret-word" {
		fails(401)(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "application/taxii+json;version=2.1")
	switch r.URL.Path {
	case "/taxii2/":
		serves(`{"title":"t","api_roots":["/api1/","http://evil.example.org/api/"]}`)(rw, r)
	case "/api1/collections/":
		serves(`{"collections":[{"id":"c1","title":"one","can_read":true,"can_write":false},{"id":"c2","title":"two","can_read":false}]}`)(rw, r)
	case "/api1/collections/c1/objects/":
		s.serveObjects(rw, r)
	default:
		fails(404)(rw, r)
	}
}

func (s *taxiiServer) serveObjects(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, _ := time.Parse(taxiiTime, q.Get("added_after"))
	var out []stixObject
	for _, o := range s.objects {
		if o.added.After(after) {
			out = append(out, o)
		}
	}
	if s.silent {
		_ = json.NewEncoder(rw).Encode(map[string]any{"objects": out})
		return
	}
	skip := number(q.Get("next"))
	if s.forget && skip > 0 {
		fails(404)(rw, r)
		return
	}
	if s.pages--; s.pages == 0 {
		fails(502)(rw, r)
		return
	}
	if len(out) == 0 {
		_, _ = rw.Write([]byte("{}"))
		return
	}
	page := out[min(skip, len(out)):min(skip+2, len(out))]
	e := map[string]any{"objects": page}
	if skip+2 < len(out) {
		e["more"], e["next"] = true, fmt.Sprint(skip+2)
	}
	rw.Header().Set("X-TAXII-Date-Added-Last", page[len(page)-1].added.UTC().Format(taxiiTime))
	_ = json.NewEncoder(rw).Encode(e)
}

func taxiiFeed() spec.Feed {
	return spec.Feed{Name: "t", URL: "http://127.0.0.1/taxii2/", User: "me", Password: "secret-word", TAXII: &spec.TAXII{}, MayBeEmpty: true}
}

// TestTAXII follows a collection: pages, additions, a newer version, revocation, an
// older version that comes late, expiry.
func TestTAXII(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taxiiServer{}
		v1 := time.Now().Add(-24 * time.Hour)
		for i := range 5 {
			s.add(i, v1, fmt.Sprintf("62.0.%d.1", i))
		}
		w := newWorld(t, s.ServeHTTP, taxiiFeed())
		w.start()
		w.pass(time.Minute)
		if w.live() != 5 {
			t.Fatalf("%d entries: %+v", w.live(), w.status())
		}
		if s := w.status(); !strings.Contains(s.Note, "API root left out: the service links to another host") {
			t.Errorf("note %q", s.Note)
		}
		for _, r := range w.requests {
			if r.host != "127.0.0.1" {
				t.Errorf("a request to %s", r.host)
			}
		}

		before := w.asked()
		w.pass(35 * time.Minute)
		if n := w.asked() - before; n != 1 || !strings.Contains(w.last().uri, "added_after=") {
			t.Errorf("%d requests for nothing new, want 1 with added_after: %s", n, w.last().uri)
		}

		s.add(1, v1.Add(time.Hour), "62.9.1.1")
		s.add(2, v1.Add(time.Hour), "62.0.2.1").Revoked = true
		s.add(7, v1, "62.0.7.1").Until = time.Now().Add(2 * time.Hour)
		w.pass(35 * time.Minute)
		s.add(2, v1, "62.0.2.1") // late
		w.pass(35 * time.Minute)
		for addr, want := range map[string]bool{
			"62.0.0.1": true, "62.0.1.1": false, "62.9.1.1": true, "62.0.2.1": false, "62.0.7.1": true,
		} {
			if w.lists(addr) != want {
				t.Errorf("%s listed: %t, want %t", addr, !want, want)
			}
		}
		w.pass(2 * time.Hour)
		if w.lists("62.0.7.1") {
			t.Error("an indicator is listed after its end")
		}
		if n := w.status().Expired; n != 1 {
			t.Errorf("%d expired entries, want 1", n)
		}
	})
}

// TestTAXIIResume: a reading that breaks off goes on with the token of the page, and
// from the last known place when the server has forgotten it.
func TestTAXIIResume(t *testing.T) {
	for name, forget := range map[string]bool{"kept": false, "forgotten": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &taxiiServer{pages: 3}
				for i := range 7 {
					s.add(i, time.Now(), fmt.Sprintf("62.0.%d.1", i))
				}
				w := newWorld(t, s.ServeHTTP, taxiiFeed())
				w.start()
				w.pass(30 * time.Second)
				if w.live() != 4 {
					t.Errorf("%d entries of the first two pages: %+v", w.live(), w.status())
				}
				s.forget = forget
				w.start()
				before := w.asked()
				w.pass(90 * time.Second)
				if !strings.Contains(w.requests[before].uri, "next=4") {
					t.Errorf("goes on with %s", w.requests[before].uri)
				}
				s.forget = false
				w.pass(10 * time.Minute)
				if w.live() != 7 {
					t.Errorf("%d entries: %+v", w.live(), w.status())
				}
			})
		})
	}
}

// TestTAXIISilent: a server that gives nothing to go on from is read fully each time,
// and what has gone from it goes.
func TestTAXIISilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taxiiServer{silent: true}
		for i := range 5 {
			s.add(i, time.Now(), fmt.Sprintf("62.0.%d.1", i))
		}
		w := newWorld(t, s.ServeHTTP, taxiiFeed())
		w.start()
		w.pass(time.Minute)
		s.objects = slices.Delete(s.objects, 0, 1)
		w.pass(35 * time.Minute)
		if w.live() != 4 || w.lists("62.0.0.1") || strings.Contains(w.last().uri, "added_after") {
			t.Errorf("%d entries, last request %s", w.live(), w.last().uri)
		}
	})
}

// TestTAXIICorpus serves the envelopes of the corpus.
func TestTAXIICorpus(t *testing.T) {
	p1, p2 := corpus(t, "stix-taxii/envelope-p1.json"), corpus(t, "stix-taxii/envelope-p2.json")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			switch {
			case strings.HasSuffix(r.URL.Path, "/c/"):
				serves(`{"id":"c","title":"c","can_read":true,"can_write":false}`)(rw, r)
			case q.Get("added_after") != "":
				serves("{}")(rw, r)
			case q.Get("next") == "7b96abc0-d85f-476b-80c9-de3e28bd958a":
				rw.Header().Set("X-TAXII-Date-Added-Last", "2026-11-19T00:00:00.000000Z")
				_, _ = rw.Write(p2)
			default:
				_, _ = rw.Write(p1)
			}
		}, spec.Feed{Name: "c", URL: "http://127.0.0.1/api/collections/c/", TAXII: &spec.TAXII{}})
		w.pass(time.Until(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)))
		w.start()
		w.pass(time.Hour)
		if s := w.status(); s.Entries != 8 || s.Error != "" || !w.lists("30.45.68.46") {
			t.Errorf("%+v", s)
		}
	})
}
