package fetch

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/schedule"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// TestConditional: what has not changed is not sent again, across restarts, and its
// age is that of the last confirmation.
func TestConditional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const etag, modified = `"abc"`, "Fri, 20 Nov 2026 00:00:00 GMT"
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", etag)
			rw.Header().Set("Last-Modified", modified)
			if r.Header.Get("If-None-Match") == etag && r.Header.Get("If-Modified-Since") == modified {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			serves(list(100))(rw, r)
		}, spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(90 * time.Minute)
		w.start()
		w.pass(time.Hour)
		s := w.status()
		if w.asked() < 3 || s.Code != 304 || s.Error != "" || w.live() != 100 {
			t.Errorf("%d requests, %d entries, %+v", w.asked(), w.live(), s)
		}
		if age := s.Age(time.Now()); age > 66*time.Minute {
			t.Errorf("age %v, want less than an interval", age)
		}
		if got := w.last().header.Get("User-Agent"); got != "flowsnitch/1.2.3 (+noc@example.net)" {
			t.Errorf("User-Agent %q", got)
		}
		if got := w.last().header.Get("Accept-Encoding"); got != "gzip" {
			t.Errorf("Accept-Encoding %q", got)
		}
	})
}

// TestInterval: one fetch per interval, give or take a tenth, and not in lockstep.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(100 * time.Hour)
		synctest.Wait()
		distinct := make(map[time.Duration]bool)
		for i := 1; i < len(w.requests); i++ {
			gap := w.requests[i].at.Sub(w.requests[i-1].at)
			distinct[gap] = true
			if gap < 54*time.Minute || gap > 66*time.Minute {
				t.Errorf("%v between two requests", gap)
			}
		}
		if n := w.asked(); n < 91 || n > 112 || len(distinct) < n/2 {
			t.Errorf("%d requests in 100 hours, %d different gaps", n, len(distinct))
		}
	})
}

// TestRestarts: ten restarts in a minute are one request, whatever becomes of it.
func TestRestarts(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"good": serves(list(100)), "503": fails(503), "HTML": serves("<html>"), "empty": serves(""),
		"429": fails(429, "Retry-After", "600"), "silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, handler, spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
				for range 10 {
					w.start()
					w.pass(3 * time.Second)
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					if _, err := w.m.Update(ctx); err != nil {
						t.Error(err)
					}
					cancel()
					w.pass(2 * time.Second)
				}
				if n := w.asked(); n != 1 {
					t.Errorf("%d requests in ten restarts, want 1", n)
				}
			})
		})
	}
}

// TestBackOff: the pauses double up to the interval.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, fails(503), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(10 * time.Hour)
		w.stop()
		want := time.Minute
		for i := 1; i < len(w.requests); i++ {
			gap := w.requests[i].at.Sub(w.requests[i-1].at)
			if gap < want*9/10 || gap > want*11/10 {
				t.Errorf("pause %d: %v, want %v", i, gap, want)
			}
			want = min(2*want, time.Hour)
		}
		if n := w.asked(); n > 17 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestRetryAfter: the provider's word, in seconds or as a date, counts across
// restarts, but no longer than a day.
func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"10000": 10000 * time.Second, "1": time.Minute, "99999999": 24 * time.Hour, "date": 3 * time.Hour, "soon": time.Minute,
	} {
		t.Run(value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
					v := value
					if v == "date" {
						v = time.Now().UTC().Add(3 * time.Hour).Format(http.TimeFormat)
					}
					fails(429, "Retry-After", v)(rw, r)
				}, spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
				w.start()
				w.pass(time.Second)
				w.start()
				for w.asked() < 2 {
					w.pass(time.Second)
				}
				gap := w.requests[1].at.Sub(w.requests[0].at)
				if gap < want-want/10 || gap > want+want/5+time.Second {
					t.Errorf("asked again after %v, want %v", gap, want)
				}
			})
		})
	}
}

// TestFloor: nobody gets under what a provider has asked for, by hand neither, and the
// answer says why.
func TestFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, fails(503), spec.Feed{Preset: "spamhaus-drop", URL: "http://feeds.example.org/drop.json"})
		w.start()
		w.pass(time.Second)
		for range 20 {
			w.pass(3 * time.Minute)
			a, err := w.m.Update(context.Background(), "spamhaus-drop")
			if err != nil {
				t.Fatal(err)
			}
			if w.asked() == 1 && (a[0].Outcome != source.NotYet || !strings.Contains(a[0].Detail, "requires 1h0m0s or more between two requests")) {
				t.Errorf("answer %+v", a[0])
			}
		}
		if n := w.asked(); n != 2 {
			t.Errorf("%d requests within an hour, want 2: at its start and at its end", n)
		}
		if _, err := w.m.Update(context.Background(), "other"); err == nil {
			t.Error("an unknown feed is updated")
		}
	})
}

// TestOfflineAtBoot: a provider that was never reached may be asked soon again, floor
// or not.
func TestOfflineAtBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(goodOf(spec.Feed{Format: "drop-json"})), spec.Feed{Preset: "spamhaus-drop", URL: "http://feeds.example.org/drop.json"})
		w.setDown(true)
		w.start()
		w.pass(30 * time.Second)
		w.setDown(false)
		w.pass(2 * time.Minute)
		if w.live() != 100 {
			t.Errorf("%d entries two minutes after the network came up: %+v", w.live(), w.status())
		}
	})
}

// TestFullDisk: no request leaves that cannot be noted.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		m := w.manager()
		if err := m.Load(); err != nil {
			t.Fatal(err)
		}
		m.shared.Dir += "/gone"
		a, err := m.Update(context.Background())
		if err != nil || a[0].Outcome != source.Failed || !strings.Contains(a[0].Detail, "no request was sent") || w.asked() != 0 {
			t.Errorf("%+v, %v, %d requests", a, err, w.asked())
		}
		m.Stop()
	})
}

// TestWrongClock: a state from the future does not silence a feed for years.
func TestWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		future := time.Now().Add(10000 * time.Hour)
		m := w.manager()
		s := schedule.State{Origin: m.feeds[0].Spec.Origin(), LastAttempt: future, NotBefore: future, Due: future}
		if err := s.Save(nil, fileOf(m, 0, store.ExtState)); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(25 * time.Hour)
		if w.live() != 100 {
			t.Errorf("%d entries after a day", w.live())
		}
	})
}

// TestOtherSource: a feed that is pointed elsewhere begins anew.
func TestOtherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		w.answer(serves(list(20)))
		w.cfg.Feeds[0].URL = "http://other.example.org/list.txt"
		w.start()
		if w.live() != 0 {
			t.Errorf("%d entries of another source are in force", w.live())
		}
		w.pass(time.Minute)
		if s := w.status(); w.live() != 20 || s.Held != "" {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
	})
}
