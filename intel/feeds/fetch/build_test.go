package fetch

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// TestRebuild: whatever has changed or expired meanwhile, the table made from the last one
// is that of a manager that reads all copies.
func TestRebuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hour, start := 0, time.Now().UTC()
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			switch r.Host {
			case "same.example.org": // confirmed each time, but for two hours
				if hour == 5 || hour == 6 {
					fails(503)(rw, r)
					return
				}
				serves("62.0.0.1\n62.0.0.2\n192.168.1.1\n10.0.0.1\n")(rw, r)
			case "moving.example.org":
				for i := range 100 {
					fmt.Fprintf(rw, "62.0.%d.1\n", i+3*hour)
				}
			case "dated.example.org":
				serves(fmt.Sprintf(`[{"ip_address":"62.0.0.1","status":"online","last_online":"%s"},{"ip_address":"62.0.9.1","status":"offline"}]`,
					start.Format("2006-01-02 15:04:05")))(rw, r)
			case "warn.example.org":
				serves(fmt.Sprintf(`{"name":"x","type":"cidr","list":["62.0.%d.0/24"]}`, hour/3))(rw, r)
			}
		},
			spec.Feed{Name: "same", URL: "http://same.example.org/", Interval: time.Hour, MaxAge: 90 * time.Minute},
			spec.Feed{Name: "moving", URL: "http://moving.example.org/", Interval: time.Hour},
			spec.Feed{Name: "dated", URL: "http://dated.example.org/", Format: "feodo-json", Interval: time.Hour, MaxAge: 4 * time.Hour})
		w.cfg.Warninglists = []spec.Feed{{Name: "warn", URL: "http://warn.example.org/", Class: "shared", Interval: time.Hour}}
		if err := w.cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Minute)
		for ; hour < 9; hour++ {
			if hour == 3 {
				if added, err := w.m.Quarantine(netip.MustParsePrefix("62.0.20.1/32"), "too much"); err != nil || !added {
					t.Fatal(added, err)
				}
			}
			w.pass(time.Hour)
			checkRebuild(t, w, hour)
		}
	})
}

func checkRebuild(t *testing.T, w *world, hour int) {
	t.Helper()
	w.m.rebuild()
	got, report := w.m.built.table, w.m.built.report
	fresh := New(w.cfg, Options{Dir: w.dir, ReadOnly: true, Home: intel.DefaultHome(), Now: w.date})
	defer fresh.Stop()
	want, wantReport, err := fresh.Build()
	if err != nil {
		t.Fatal(err)
	}
	all := netip.MustParsePrefix("0.0.0.0/1")
	if !reflect.DeepEqual(got.Feeds(), want.Feeds()) || !reflect.DeepEqual(got.Listings(all), want.Listings(all)) || got.Len() < 50 {
		t.Errorf("hour %d: %v, want %v", hour, got.Feeds(), want.Feeds())
	}
	if !reflect.DeepEqual(report, wantReport) {
		t.Errorf("hour %d: report %+v, want %+v", hour, report, wantReport)
	}
}
