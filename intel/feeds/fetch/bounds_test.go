package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowSources: sources that drip do not keep another one waiting.
func TestSlowSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var feeds []Feed
		for i := range 12 {
			feeds = append(feeds, Feed{Name: fmt.Sprint("slow", i), URL: URL(fmt.Sprintf("http://slow%d.example.org/", i)), Interval: time.Hour})
		}
		feeds = append(feeds, Feed{Name: "good", URL: "http://good.example.org/", Interval: time.Hour})
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			for strings.HasPrefix(r.Host, "slow") && r.Context().Err() == nil {
				_, _ = rw.Write([]byte(list(60))) // just fast enough
				rw.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			serves("62.0.0.1\n")(rw, r)
		}, feeds...)
		w.start()
		w.pass(time.Minute)
		if !w.lists("62.0.0.1") {
			t.Errorf("the good feed waits: %+v", w.m.Status()[12])
		}
		w.stop()
		w.pass(10 * time.Second)
	})
}

// TestManyObjects: objects without an address count.
func TestManyObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := 0
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/objects/") {
				serves(`{"id":"c","title":"t","can_read":true}`)(rw, r)
				return
			}
			page++
			var b strings.Builder
			for i := range 100 {
				fmt.Fprintf(&b, `,{"type":"indicator","spec_version":"2.1","id":"indicator--%08d-0000-4000-8000-%012d","modified":"2000-01-01T00:00:00Z",`+
					`"valid_from":"2000-01-01T00:00:00Z","pattern_type":"stix","pattern":"[domain-name:value='a']"}`, page, i)
			}
			fmt.Fprintf(rw, `{"more":true,"next":"%d","objects":[%s]}`, page, b.String()[1:])
		}, Feed{Name: "f", URL: "http://taxii.example.org/c/", TAXII: &TAXII{}, Interval: time.Hour})
		m := w.manager()
		m.objects, w.m = 1000, m
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s := w.status(); !strings.Contains(s.Error, "more than 1000 objects") || page != 11 {
			t.Errorf("%d pages, %q", page, s.Error)
		}
	})
}
