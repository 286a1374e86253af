package fetch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// other makes a list of n addresses that list does not have.
func other(n int) string { return strings.ReplaceAll(list(n), "62.", "64.") }

// eights makes a list of n networks of /8.
func eights(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d.0.0.0/8\n", 40+i)
	}
	return b.String()
}

// TestWholeGuards: what covers too much or has nothing of what was there is held back, is
// used once accepted, and then is no news any more, also after a restart.
func TestWholeGuards(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, next string
		feed        spec.Feed
		held        string
		then        string // a copy of the same kind, used after accept
	}{
		{name: "two /8", first: list(100), next: list(100) + eights(2), held: "covers 33554532 IPv4 addresses, more than the 16777216 of a /8", then: list(100) + eights(3)},
		{name: "one /8 and what is in it", first: list(100), next: "62.0.0.0/8\n" + list(100)},
		{name: "v6", first: list(100), next: list(100) + "2a00::/20\n2a01::/32\n", held: "covers 17596481011712 IPv6 networks of /64, more than the 17592186044416 of a /20", then: list(99) + "2a00::/20\n2a01::/31\n"},
		{name: "bogons", first: list(100), next: list(100) + "0.0.0.0/8\n10.0.0.0/8\n127.0.0.0/8\n240.0.0.0/8\n241.0.0.0/8\n"},
		{name: "larger limit", feed: spec.Feed{MaxSpace: 6}, first: list(100), next: list(100) + eights(3)},
		{name: "operator", feed: spec.Feed{Operator: true}, first: list(100), next: other(50) + eights(20)},
		{name: "first copy", first: eights(2), held: "covers", then: eights(3)},
		{name: "turnover", first: list(200), next: other(200), held: "nearly all is new: 200 of the 200 prefixes in use are not in it", then: list(210)},
		{name: "ninety percent", first: list(100), next: list(10) + other(200)[len(other(10)):], held: "nearly all is new: 90 of the 100", then: other(150)},
		{name: "less", first: list(100), next: list(11) + other(100)},
		{name: "few", first: list(99), next: other(99)},
		{name: "may turn over", feed: spec.Feed{MayTurnOver: true}, first: list(200), next: other(200)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tt.feed
				f.Name, f.URL, f.Interval = "f", plainURL, time.Hour
				w := newWorld(t, serves(tt.first), f)
				w.start()
				w.pass(time.Minute)
				live := w.live()
				if tt.next != "" {
					w.answer(serves(tt.next))
				}
				w.pass(2 * time.Hour)
				s := w.status()
				if tt.held == "" {
					if s.Held != "" || s.Entries != strings.Count(tt.next, "\n") {
						t.Fatalf("held back: %q, %d entries", s.Held, w.live())
					}
					return
				}
				if !strings.Contains(s.Held, tt.held) || w.live() != live || len(w.alerts) != 1 {
					t.Fatalf("held back: %q, want %q; %d entries, alerts %q", s.Held, tt.held, w.live(), w.alerts)
				}
				if err := w.m.Accept("f"); err != nil {
					t.Fatal(err)
				}
				w.start()
				w.answer(serves(tt.then))
				w.pass(2 * time.Hour)
				if s := w.status(); s.Held != "" || w.live() != strings.Count(tt.then, "\n") {
					t.Errorf("after accept: %q, %d entries, %+v", s.Held, w.live(), s)
				}
			})
		})
	}
}

// TestWarninglistOfEverything: a warninglist cannot end detection.
func TestWarninglistOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves("61.1.1.0/24\n"))
		w.cfg.Warninglists = []spec.Feed{{Name: "infra", URL: plainURL, Class: "infrastructure", Interval: time.Hour}}
		w.start()
		w.pass(time.Minute)
		w.answer(serves("61.1.1.0/24\n0.0.0.0/1\n128.0.0.0/1\n"))
		w.pass(2 * time.Hour)
		if s := w.status(); !strings.Contains(s.Held, "IPv4 addresses") || s.Entries != 1 || len(w.alerts) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestDecline: halving again and again is shrinking.
func TestDecline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(400)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		for _, n := range []int{200, 100, 50} {
			w.answer(serves(list(n)))
			w.pass(2 * time.Hour)
		}
		if s := w.status(); s.Held != "shrunk from 400 to 50 entries within days, more than 75 %" || w.live() != 100 {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
		if err := w.m.Accept("f"); err != nil {
			t.Fatal(err)
		}
		w.answer(serves(list(26)))
		w.pass(2 * time.Hour)
		if s := w.status(); s.Held != "" || w.live() != 26 {
			t.Errorf("%d entries after accept, %+v", w.live(), s)
		}
	})
}
