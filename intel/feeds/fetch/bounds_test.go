package fetch

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// TestSlowSources: sources that drip do not keep another one waiting.
func TestSlowSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var feeds []spec.Feed
		for i := range 12 {
			feeds = append(feeds, spec.Feed{Name: fmt.Sprint("slow", i), URL: spec.URL(fmt.Sprintf("http://slow%d.example.org/", i)), Interval: time.Hour})
		}
		feeds = append(feeds, spec.Feed{Name: "good", URL: "http://good.example.org/", Interval: time.Hour})
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
		}, spec.Feed{Name: "f", URL: "http://taxii.example.org/c/", TAXII: &spec.TAXII{}, Interval: time.Hour})
		w.cfg.Fetch.MaxObjects = 1000
		m := w.manager()
		w.m = m
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s := w.status(); !strings.Contains(s.Error, "too many entries: more than the 1000 of fetch.max_objects") || page != 11 {
			t.Errorf("%d pages, %q", page, s.Error)
		}
	})
}

// slowOrGood drips from hosts that begin with slow, just fast enough, and serves a list
// from others.
func slowOrGood(rw http.ResponseWriter, r *http.Request) {
	for strings.HasPrefix(r.Host, "slow") && r.Context().Err() == nil {
		_, _ = rw.Write([]byte(list(60)))
		rw.(http.Flusher).Flush()
		time.Sleep(time.Second)
	}
	serves("62.0.0.1\n")(rw, r)
}

// TestSlowProvider: however many slow lists one provider has, those of others are fetched
// at once, by schedule and by hand, and one host is asked for one list at a time.
func TestSlowProvider(t *testing.T) {
	for _, hand := range []bool{false, true} {
		t.Run(fmt.Sprintf("by hand %t", hand), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var feeds []spec.Feed
				for i := range 8 {
					feeds = append(feeds, spec.Feed{Name: fmt.Sprint("slow", i), URL: spec.URL(fmt.Sprintf("http://slow.example.org/%d", i)), Interval: time.Hour})
				}
				feeds = append(feeds, spec.Feed{Name: "good", URL: "http://good.example.org/", Interval: time.Hour})
				w := newWorld(t, slowOrGood, feeds...)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				var wait sync.WaitGroup
				if hand {
					m := w.manager()
					w.m = m
					wait.Go(func() { _, _ = m.Update(ctx) })
				} else {
					w.start()
				}
				w.pass(3 * time.Second)
				if s := w.m.Status()[8]; s.Entries != 1 {
					t.Errorf("the good feed waits: %+v", s)
				}
				if n := w.asked(); n != 2 {
					t.Errorf("%d requests, want one of each host", n)
				}
				w.pass(2 * time.Minute)
				if n := w.asked(); n < 9 {
					t.Errorf("%d requests after two minutes, want one of each list", n)
				}
				cancel()
				wait.Wait()
				w.stop()
				w.pass(10 * time.Second)
			})
		})
	}
}

// endlessPages answers with ever more pages of a collection, one address each, which take
// half a minute.
func endlessPages(rw http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/objects/") {
		serves(`{"id":"c","title":"t","can_read":true}`)(rw, r)
		return
	}
	time.Sleep(30 * time.Second)
	page := number(r.URL.Query().Get("next"))
	fmt.Fprintf(rw, `{"more":true,"next":"%d","objects":[{"type":"indicator","spec_version":"2.1","id":"indicator--%08d-0000-4000-8000-000000000000",`+
		`"modified":"2000-01-01T00:00:00Z","valid_from":"2000-01-01T00:00:00Z","pattern_type":"stix","pattern":"[ipv4-addr:value = '62.0.%d.%d']"}]}`,
		page+1, page, page>>8, page&255)
}

// TestLongFetch: a fetch ends after its bound, what it has read is in force, and the next
// one goes on there.
func TestLongFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, endlessPages, spec.Feed{Name: "f", URL: "http://taxii.example.org/c/", TAXII: &spec.TAXII{}, Interval: 2 * time.Hour})
		w.start()
		w.pass(29 * time.Minute)
		if s := w.status(); s.Error != "" || s.SlowRequests != 0 {
			t.Errorf("before the bound: %+v", s)
		}
		w.pass(90 * time.Second)
		s := w.status()
		if !strings.Contains(s.Error, "the fetch took longer than 30m0s; the next one goes on") || s.SlowRequests != 1 {
			t.Errorf("%+v", s)
		}
		n := w.live()
		if n < 55 || n > 60 {
			t.Errorf("%d entries, want those of half an hour", n)
		}
		before := w.asked()
		w.pass(10 * time.Minute)
		if next := w.requests[before].uri; !strings.Contains(next, fmt.Sprintf("next=%d", n)) {
			t.Errorf("goes on with %s, want page %d", next, n)
		}
		w.stop()
		w.pass(time.Minute)
	})
}

// TestBounds: the bounds are those of the configuration, and what they end is counted.
func TestBounds(t *testing.T) {
	t.Run("fetch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, endlessPages, spec.Feed{Name: "f", URL: "http://taxii.example.org/c/", TAXII: &spec.TAXII{}, Interval: 2 * time.Hour})
			w.cfg.Fetch.MaxTime = 5 * time.Minute
			w.start()
			w.pass(5*time.Minute + time.Second)
			if s := w.status(); !strings.Contains(s.Error, "longer than 5m0s") || s.Objects < 8 {
				t.Errorf("%+v", s)
			}
			w.stop()
			w.pass(time.Minute)
		})
	})
	t.Run("speed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, slowOrGood, spec.Feed{Name: "f", URL: "http://slow.example.org/", Interval: 2 * time.Hour})
			w.cfg.Fetch.LeastBytes, w.cfg.Fetch.LeastTime = 20_000, 10*time.Second
			w.start()
			w.pass(time.Minute)
			if s := w.status(); !strings.Contains(s.Error, "slower than 20000 bytes in 10s") || s.SlowRequests != 1 {
				t.Errorf("%+v", s)
			}
			w.stop()
			w.pass(time.Minute)
		})
	})
	t.Run("headers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
				spec.Feed{Name: "f", URL: plainURL, Interval: 2 * time.Hour})
			w.start()
			w.pass(90 * time.Second)
			if s := w.status(); s.SlowRequests != 1 {
				t.Errorf("%+v", s)
			}
		})
	})
	for name, to := range map[string]string{"nowhere": "", "circle": "/list.txt", "protocol": "ftp://feeds.example.org/"} {
		t.Run("redirect "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, fails(302, "Location", to), spec.Feed{Name: "f", URL: plainURL, Interval: 2 * time.Hour})
				w.start()
				w.pass(30 * time.Second)
				if s := w.status(); s.RefusedRedirects != 1 || s.Requests == 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
	for name, b := range map[string]spec.Bounds{
		"least_bytes": {LeastBytes: -1}, "least_time": {LeastTime: time.Millisecond}, "max_time": {MaxTime: time.Second}, "max_objects": {MaxObjects: -1},
	} {
		cfg := spec.DefaultConfig()
		cfg.Fetch = b
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "fetch."+name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
