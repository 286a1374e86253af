package fetch

import (
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// TestSameAgain: a source that knows no 304 and sends the same again makes no work for the
// disk and for the table, before a restart and after; a change does, a held-back copy too.
func TestSameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		modified := 0
		again := func(body string) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				modified++
				rw.Header().Set("Last-Modified", time.Unix(int64(modified), 0).UTC().Format(http.TimeFormat))
				serves(body)(rw, r)
			}
		}
		w := newWorld(t, again(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		w.start()
		w.pass(time.Minute)
		good := fileOf(w.m, 0, store.ExtGood)
		first, err := os.Stat(good)
		if err != nil {
			t.Fatal(err)
		}
		tables := len(w.tables)
		for range 3 {
			w.pass(2 * time.Hour)
		}
		now, err := os.Stat(good)
		if err != nil || !os.SameFile(first, now) || len(w.tables) != tables || w.asked() < 3 {
			t.Errorf("%v, another file %t, %d more tables, %d requests", err, !os.SameFile(first, now), len(w.tables)-tables, w.asked())
		}
		if s := w.status(); s.Age(time.Now()) > 2*time.Hour || s.Checked.Equal(s.Taken) || s.Failures != 0 || s.Error != "" {
			t.Errorf("%+v", s)
		}
		if got := w.last().header.Get("If-Modified-Since"); got != time.Unix(int64(modified-1), 0).UTC().Format(http.TimeFormat) {
			t.Errorf("asked for what is newer than %s", got)
		}
		w.start()
		tables = len(w.tables)
		asked := w.asked()
		w.pass(2 * time.Hour)
		if now, err = os.Stat(good); err != nil || !os.SameFile(first, now) || len(w.tables) != tables || w.asked() == asked {
			t.Errorf("after a restart: %v, another file %t, %d more tables, %d requests", err, !os.SameFile(first, now), len(w.tables)-tables, w.asked())
		}
		w.answer(again(list(99) + "62.77.0.1\n"))
		w.pass(2 * time.Hour)
		if !w.lists("62.77.0.1") || w.live() != 100 {
			t.Error("a change of one entry is not there")
		}
		w.answer(again(""))
		w.pass(2 * time.Hour)
		if s := w.status(); s.Held == "" {
			t.Errorf("%+v", s)
		}
		w.answer(again(list(99) + "62.77.0.1\n"))
		w.pass(2 * time.Hour)
		if s := w.status(); s.Held != "" || w.live() != 100 {
			t.Errorf("the provider is OK again, and still %+v", s)
		}
	})
}
