package fetch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// TestUnreached: without a network all feeds fail, and one line of the log says so; a single
// one is named with the reason, and so is one that answers with an error.
func TestUnreached(t *testing.T) {
	for _, tt := range []struct {
		feeds, lines int
		message      string
	}{
		{6, 1, "6 feeds could not be fetched (no network?); they are tried again, see 'flowsnitch intel status'"},
		{1, 1, "feed is not up to date; there is no copy of it yet"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var list []spec.Feed
			for i := range tt.feeds {
				list = append(list, spec.Feed{Name: fmt.Sprint("list", i), URL: spec.URL(fmt.Sprintf("http://192.0.2.%d/list.txt", i))})
			}
			w := newWorld(t, nil, list...)
			w.setDown(true)
			w.start()
			w.pass(time.Hour)
			warned := w.logs.FilterLevelExact(zap.WarnLevel).All()
			if len(warned) != tt.lines || warned[0].Message != tt.message || warned[0].ContextMap()["why"] == "" {
				t.Errorf("%d feeds: %d lines %+v, want %q", tt.feeds, len(warned), warned, tt.message)
			}
			for _, s := range w.m.Status() {
				if s.Error == "" || s.Failures < 2 {
					t.Errorf("status %+v", s)
				}
			}
			w.setDown(false)
			w.answer(fails(500))
			w.pass(24 * time.Hour)
			if n := w.logs.FilterMessage("feed is not up to date; there is no copy of it yet").Len(); n < tt.feeds {
				t.Errorf("%d lines about %d feeds that answer with an error", n, tt.feeds)
			}
		})
	}
}

// TestUnreachedAtStop: what has been gathered is logged when the end comes first.
func TestUnreachedAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, spec.Feed{Name: "a", URL: "http://192.0.2.1/"}, spec.Feed{Name: "b", URL: "http://192.0.2.2/"})
		w.setDown(true)
		w.start()
		w.pass(time.Second)
		w.stop()
		if n := w.logs.FilterMessageSnippet("2 feeds could not be fetched").Len(); n != 1 {
			t.Errorf("%d lines, want 1: %+v", n, w.logs.All())
		}
	})
}
