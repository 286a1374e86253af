package fetch

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// A date is one that can be trusted, beside a wall clock that cannot.
type date struct{ ahead atomic.Int64 }

func (d *date) now() time.Time       { return time.Now().Round(0).Add(time.Duration(d.ahead.Load())) }
func (d *date) set(by time.Duration) { d.ahead.Store(int64(by)) }

const years = 26 * 365 * 24 * time.Hour

// TestDate: entries expire by the date that can be trusted. When it turns out to be
// another one they go, or come back.
func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d date
		d.set(years)
		seen := d.now().Add(-time.Hour).UTC().Format("2006-01-02 15:04:05")
		body := fmt.Sprintf(`[{"ip_address":"62.0.0.1","status":"online","first_seen":"%s","last_online":"%s"}]`, seen, seen)
		w := newWorld(t, serves(body), spec.Feed{Name: "f", URL: plainURL, Format: "feodo-json", Interval: 24 * time.Hour, MaxAge: 6 * time.Hour})
		w.date = d.now
		w.start()
		w.pass(time.Minute)
		if !w.lists("62.0.0.1") {
			t.Error("the wall clock is years behind, and it has expired")
		}
		for _, step := range []struct {
			by   time.Duration
			want bool
		}{{years + 7*time.Hour, false}, {years, true}, {2 * years, false}, {years - 365*24*time.Hour, true}} {
			d.set(step.by)
			w.m.DateChanged()
			w.pass(2 * time.Minute)
			if got := w.lists("62.0.0.1"); got != step.want {
				t.Errorf("the date is %s, listed: %t", d.now(), got)
			}
		}
	})
}

// TestScheduleByDate: providers are asked neither sooner nor later because the wall
// clock of a new process is years from the date that can be trusted.
func TestScheduleByDate(t *testing.T) {
	for _, ahead := range []time.Duration{years, -years} {
		synctest.Test(t, func(t *testing.T) {
			var d date
			d.set(ahead)
			w := newWorld(t, serves(list(10)), spec.Feed{Name: "f", URL: plainURL, Interval: 4 * time.Hour})
			w.date = d.now
			w.start()
			w.pass(time.Minute)
			w.start()
			w.pass(3 * time.Hour)
			if n := w.asked(); n != 1 {
				t.Errorf("asked %d times within three hours, want 1", n)
			}
			w.pass(2 * time.Hour)
			if n := w.asked(); n != 2 {
				t.Errorf("asked %d times within five hours, want 2", n)
			}
		})
	}
}

// TestDateChanged: a fetch that has failed is made again when another date is right,
// not after the usual pause.
func TestDateChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(10)), spec.Feed{Name: "f", URL: plainURL, Interval: 24 * time.Hour})
		w.setDown(true)
		w.start()
		w.pass(6 * time.Hour) // tried in vain, with growing pauses
		w.setDown(false)
		w.m.DateChanged()
		w.pass(2 * time.Minute)
		if w.live() != 10 {
			t.Errorf("%d entries, want 10", w.live())
		}
	})
}
