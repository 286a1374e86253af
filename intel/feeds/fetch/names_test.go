package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// names gives the names of a world as name, feed, score, category, TLP.
func (w *world) names() (list []string, un Unlisted) {
	w.t.Helper()
	un, err := w.m.EachName(func(n *Name) error {
		list = append(list, fmt.Sprint(n.Name, " ", n.Feed, " ", n.Score, " ", n.Category, " ", n.TLP))
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return list, un
}

// TestNamesOfList: a list of nothing but names is a good one; a change of names alone makes no
// table; what is too old does not count; a restart keeps them.
func TestNamesOfList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves("0.0.0.0 evil.example.org\n0.0.0.0 worse.example.org\nbad_.-.example.org\n"), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour, Score: 70, Category: "malware", TLP: "green", MaxAge: 24 * time.Hour})
		w.start()
		w.pass(time.Minute)
		want := []string{"evil.example.org f 70 malware green", "worse.example.org f 70 malware green"}
		if got, un := w.names(); !slices.Equal(got, want) || len(un.Unread) != 0 {
			t.Errorf("%v, %+v", got, un)
		}
		if s := w.status(); s.Entries != 0 || s.Names != 2 || s.BadNames != 0 || s.Held != "" || s.Error != "" {
			t.Errorf("%+v", s)
		}
		tables := len(w.tables)
		w.answer(serves("0.0.0.0 new.example.org\n"))
		w.pass(2 * time.Hour)
		if got, _ := w.names(); len(got) != 1 || !strings.HasPrefix(got[0], "new.example.org ") || len(w.tables) != tables {
			t.Errorf("%v, %d tables more", got, len(w.tables)-tables)
		}
		w.start()
		if got, _ := w.names(); len(got) != 1 {
			t.Errorf("after a restart %v", got)
		}
		w.down = true
		w.pass(48 * time.Hour)
		if got, un := w.names(); len(got) != 0 || un.Expired != 1 {
			t.Errorf("two days later %v, %+v", got, un)
		}
		stop := errors.New("enough")
		if _, err := w.m.EachName(func(*Name) error { return stop }); err != nil {
			t.Errorf("nothing is given, %v", err)
		}
	})
}

// TestNamesOfMissingCopy: a copy that is not on the disk any more could not be read; a list
// without its names would open what should stay blocked.
func TestNamesOfMissingCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves("0.0.0.0 evil.example.org\n"), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		copies, err := filepath.Glob(filepath.Join(w.dir, "*"+store.ExtGood))
		if err != nil || len(copies) != 1 {
			t.Fatal(copies, err)
		}
		if err := os.Remove(copies[0]); err != nil {
			t.Fatal(err)
		}
		if got, un := w.names(); len(got) != 0 || !slices.Equal(un.Unread, []string{"f"}) {
			t.Errorf("%v, %+v", got, un)
		}
	})
}

// TestNamesBesidePrefixes: names cost the table nothing, and a copy with both has both.
func TestNamesBesidePrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := list(20) + "evil.example.org\nhttp://u.example.org/x\n"
		w := newWorld(t, serves(body), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		if got, _ := w.names(); len(got) != 2 || w.live() != 20 {
			t.Errorf("%v, %d prefixes", got, w.live())
		}
		tables := len(w.tables)
		w.answer(serves(body + "more.example.org\n"))
		w.pass(2 * time.Hour)
		if got, _ := w.names(); len(got) != 3 || len(w.tables) != tables {
			t.Errorf("%v, %d tables more", got, len(w.tables)-tables)
		}
		w.answer(serves(body + "62.99.0.1\n"))
		w.pass(2 * time.Hour)
		if got, _ := w.names(); len(got) != 2 || len(w.tables) == tables || !w.lists("62.99.0.1") {
			t.Errorf("%v, %d tables more", got, len(w.tables)-tables)
		}
		stop := errors.New("enough")
		if _, err := w.m.EachName(func(*Name) error { return stop }); err != stop {
			t.Errorf("%v", err)
		}
	})
}

// TestNamesOfPieces: a source that is read piece by piece keeps the names of pieces that have
// not changed, replaces those of others, and drops those of removed ones.
func TestNamesOfPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
		manifest := `{"` + one + `":{"timestamp":"1700000000"},"` + two + `":{"timestamp":"1700000000"}}`
		attribute := func(value string) string {
			return `{"type":"domain","to_ids":true,"value":"` + value + `"},{"type":"ip-dst","to_ids":true,"value":"62.0.0.9"}`
		}
		events := map[string]string{one: attribute("a.example.org") + "," + attribute("b.example.org"), two: attribute("c.example.org")}
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "manifest.json") {
				_, _ = rw.Write([]byte(manifest))
				return
			}
			for id, text := range events {
				if strings.Contains(r.URL.Path, id) {
					_, _ = rw.Write([]byte(`{"Event":{"uuid":"` + id + `","info":"i","timestamp":"1700000000","Attribute":[` + text + `]}}`))
				}
			}
		}, spec.Feed{Name: "m", URL: "http://feed.example/misp", Interval: time.Hour, MISP: &spec.MISP{Source: "feed"}})
		want := func(step string, names ...string) {
			t.Helper()
			got, _ := w.names()
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], " ")
			}
			if slices.Sort(got); !slices.Equal(got, names) {
				t.Errorf("%s: %v, want %v", step, got, names)
			}
		}
		w.start()
		w.pass(time.Minute)
		want("at first", "a.example.org", "b.example.org", "c.example.org")
		events[one] = attribute("a.example.org") + "," + attribute("d.example.org")
		manifest = strings.Replace(manifest, "1700000000", "1700000001", 1)
		w.pass(2 * time.Hour)
		want("one has changed", "a.example.org", "c.example.org", "d.example.org")
		manifest = `{"` + one + `":{"timestamp":"1700000001"}}`
		w.pass(2 * time.Hour)
		want("the other is gone", "a.example.org", "d.example.org")
		w.start()
		want("after a restart", "a.example.org", "d.example.org")
	})
}
