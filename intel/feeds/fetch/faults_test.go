package fetch

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

const plainURL = "http://feeds.example.org/list.txt"

// TestFaults: after each fault the set in force is the last good one, and the status
// names the fault.
func TestFaults(t *testing.T) {
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(strings.Repeat("62.0.0.1\n", 1<<18)))
		_ = z.Close()
		return b.Bytes()
	}()
	tests := []struct {
		name string
		feed spec.Feed
		do   http.HandlerFunc
		want string // in the error
		held string // in the reason for holding back
		code int
	}{
		{name: "429", do: fails(429, "Retry-After", "7200"), code: 429,
			want: "HTTP 429 Too Many Requests: rate limit of the provider exceeded, next request in 2h0m0s at the earliest"},
		{name: "503", do: fails(503), code: 503, want: "HTTP 503 Service Unavailable"},
		{name: "504 in HTML", do: fails(504, "Content-Type", "text/html"), code: 504, want: "HTTP 504 Gateway Timeout"},
		{name: "404", do: fails(404), code: 404, want: "HTTP 404 Not Found: the feed is not there any more"},
		{name: "403", do: fails(403), code: 403, want: "the API key is missing, wrong or lacks permission"},
		{name: "HTML with 200", do: serves("\n <!DOCTYPE html><p>maintenance"), code: 200, want: "HTML or XML, not a list"},
		{name: "slow drip", code: 200, want: "slower than 10000 bytes in 20s", do: func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = rw.Write([]byte("62.0.0.1\n"))
				rw.(http.Flusher).Flush()
				time.Sleep(5 * time.Second)
			}
		}},
		{name: "silence", want: "timeout awaiting response headers", do: func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}},
		{name: "endless body", feed: spec.Feed{MaxBytes: 1 << 20}, code: 200, want: "longer than the 1048576 bytes allowed",
			do: func(rw http.ResponseWriter, r *http.Request) {
				lines := []byte(strings.Repeat("62.0.0.1\n", 1000))
				for r.Context().Err() == nil {
					if _, err := rw.Write(lines); err != nil {
						return
					}
				}
			}},
		{name: "wrong length", code: 200, want: "unexpected EOF", do: func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100000")
			_, _ = rw.Write([]byte(list(100)))
		}},
		{name: "gzip bomb", feed: spec.Feed{MaxBytes: 1 << 20}, code: 200, want: "longer than the 1048576 bytes allowed",
			do: func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				_, _ = rw.Write(bomb)
			}},
		{name: "broken gzip", code: 200, want: "unexpected EOF", do: func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			_, _ = rw.Write(bomb[:len(bomb)/2])
		}},
		{name: "redirects in a circle", code: 302, want: "more than 5 redirects", do: fails(302, "Location", "/list.txt")},
		{name: "redirect to nowhere", code: 301, want: "a redirect without a target", do: fails(301)},
		{name: "redirect to another protocol", code: 302, want: "a redirect from http to ftp is not followed", do: fails(302, "Location", "ftp://feeds.example.org/list.txt")},
		{name: "too many entries", feed: spec.Feed{Category: "few"}, code: 200, want: "too many entries: more than the 5000 of max_indicators", do: serves(list(5001))},

		{name: "empty 200", do: serves(""), code: 200, held: "empty"},
		{name: "204", do: fails(204), code: 204, held: "empty"},
		{name: "only comments", do: serves("# nothing today\n"), code: 200, held: "empty"},
		{name: "an error in words", do: serves("rate limit exceeded\n"), code: 200, held: `no prefix in it; line 1 is "rate limit exceeded": not an address or prefix`},
		{name: "shrink", do: serves(list(40)), code: 200, held: "shrunk from 100 to 40 entries, more than 50 %"},
		{name: "growth", do: serves(list(500)), code: 200, held: "grown from 100 to 500 entries, more than 300 %"},
		{name: "end is missing", feed: spec.Feed{Format: "drop-json"}, do: serves(`{"cidr":"62.1.0.0/16"}` + "\n"), code: 200,
			held: "truncated: its end is missing after 1 entries"},
		{name: "incomplete", do: serves("# Entries : 200 ips\n" + list(90)), code: 200,
			held: "incomplete: it announces 200 entries and holds 90"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tt.feed
				f.Name, f.URL, f.Interval = "f", plainURL, time.Hour
				w := newWorld(t, serves(goodOf(f)), f)
				if f.Category == "few" {
					w.cfg.MaxIndicators = 5000
				}
				w.start()
				w.pass(time.Minute)
				good := w.live()
				if good < 100 {
					t.Fatalf("%d entries in force before the fault: %+v", good, w.status())
				}
				taken := w.status().Taken
				w.answer(tt.do)
				w.pass(90 * time.Minute)
				s := w.status()
				if w.live() != good || s.Taken != taken || !w.lists("62.0.0.1") {
					t.Errorf("%d entries in force, want the %d of before", w.live(), good)
				}
				if !strings.Contains(s.Error, tt.want) || tt.want == "" && s.Error != "" {
					t.Errorf("error %q, want %q", s.Error, tt.want)
				}
				if s.Held != tt.held {
					t.Errorf("held back: %q, want %q", s.Held, tt.held)
				}
				if tt.code != 0 && s.Code != tt.code {
					t.Errorf("code %d, want %d", s.Code, tt.code)
				}
				if (tt.held != "") != (len(w.alerts) == 1) {
					t.Errorf("alerts %q", w.alerts)
				}
				w.start() // and the next process uses the last good one, too
				if w.live() != good {
					t.Errorf("%d entries after a restart, want %d", w.live(), good)
				}
				if got := w.status().Held; got != tt.held {
					t.Errorf("held back after a restart: %q", got)
				}
				w.answer(serves(goodOf(f)))
				w.pass(3 * time.Hour)
				if s := w.status(); s.Error != "" || s.Held != "" || s.Failures != 0 {
					t.Errorf("does not recover: %+v", s)
				}
			})
		})
	}
}

// goodOf is a good document of 100 entries.
func goodOf(f spec.Feed) string {
	if f.Format != "drop-json" {
		return list(100)
	}
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "{\"cidr\":\"62.0.%d.0/24\"}\n", i)
	}
	return b.String() + `{"type":"metadata","records":100}` + "\n"
}

// TestAccept: what is held back comes into use by hand, and stays after a restart.
func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		w.answer(serves(list(20)))
		w.pass(2 * time.Hour)
		if s := w.status(); w.live() != 100 || s.HeldEntries != 20 || s.Entries != 100 {
			t.Fatalf("%d entries, %+v", w.live(), s)
		}
		if err := w.m.Accept("g"); err == nil || !strings.Contains(err.Error(), `no feed "g"; there are f`) {
			t.Errorf("accept of an unknown feed: %v", err)
		}
		if err := w.m.Accept("f"); err != nil {
			t.Fatal(err)
		}
		s := w.status()
		if w.live() != 20 || s.Held != "" || s.Entries != 20 || s.Delta != -80 {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
		if err := w.m.Accept("f"); err == nil || !strings.Contains(err.Error(), "nothing is held back") {
			t.Errorf("accept without anything: %v", err)
		}
		w.start()
		if w.live() != 20 {
			t.Errorf("%d entries after a restart", w.live())
		}
	})
}

// TestMayBeEmpty: an empty list of a feed that may be is believed.
func TestMayBeEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour, MayBeEmpty: true})
		w.start()
		w.pass(time.Minute)
		w.answer(serves("# none\n"))
		w.pass(2 * time.Hour)
		if s := w.status(); w.live() != 0 || s.Held != "" || s.Error != "" {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
	})
}
