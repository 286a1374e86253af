package fetch

import (
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
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestCoalesce: feeds that change within a second make one table.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var feeds []spec.Feed
		for i := range 10 {
			feeds = append(feeds, spec.Feed{Name: fmt.Sprint("f", i), URL: spec.URL(fmt.Sprintf("http://h%d.example.org/", i)), Interval: time.Hour})
		}
		w := newWorld(t, serves(list(100)), feeds...)
		w.start()
		w.pass(10 * time.Second)
		if len(w.tables) != 2 || w.live() != 1000 {
			t.Errorf("%d tables, %d entries; want 2 (the first, empty) and 1000", len(w.tables), w.live())
		}
		if a, b := w.tables[0].Version(), w.tables[1].Version(); a >= b {
			t.Errorf("versions %s, %s", a, b)
		}
		for _, s := range w.m.Status() {
			if s.Unique != 0 || s.Accepted != 100 || s.Parsed != 100 || s.Next.IsZero() {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestUniqueShare: what a feed has that no other has.
func TestUniqueShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			n := 100
			if r.Host == "large.example.org" {
				n = 130
			}
			serves(list(n)+"62.0.0.1\n10.1.1.1\nnonsense\n")(rw, r)
		}, spec.Feed{Name: "small", URL: "http://small.example.org/"}, spec.Feed{Name: "large", URL: "http://large.example.org/"})
		w.start()
		w.pass(10 * time.Second)
		s := w.m.Status()
		if s[0].Unique != 0 || s[1].Unique != 30 {
			t.Errorf("unique %d and %d, want 0 and 30", s[0].Unique, s[1].Unique)
		}
		if s[0].Accepted != 100 || s[0].Duplicate != 1 || s[0].Refused[lookup.ReasonHome] != 1 || s[0].Rejected != 1 {
			t.Errorf("%+v", s[0])
		}
	})
}

// TestAges: entries leave when they are too old, without any fetch.
func TestAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UTC()
		seen := func(hours int) string {
			return start.Add(-time.Duration(hours) * time.Hour).Format("2006-01-02 15:04:05")
		}
		body := fmt.Sprintf(`[{"ip_address":"62.0.0.1","status":"online","first_seen":"%s","last_online":"%s"},`+
			`{"ip_address":"62.0.0.2","status":"online","first_seen":"%s"},{"ip_address":"62.0.0.3","status":"offline"},`+
			`{"ip_address":"62.0.0.4","status":"online"}]`, seen(9), seen(1), seen(9))
		w := newWorld(t, serves(body), spec.Feed{Name: "f", URL: plainURL, Format: "feodo-json", Interval: 24 * time.Hour, MaxAge: 6 * time.Hour})
		w.start()
		w.pass(time.Minute)
		for addr, want := range map[string]bool{"62.0.0.1": true, "62.0.0.2": false, "62.0.0.3": false, "62.0.0.4": true} {
			if w.lists(addr) != want {
				t.Errorf("%s listed: %t, want %t", addr, !want, want)
			}
		}
		w.answer(fails(503))
		w.pass(5*time.Hour + 10*time.Minute)
		if w.lists("62.0.0.1") || !w.lists("62.0.0.4") {
			t.Error("last seen 6 hours ago, and still there; or gone that was confirmed since")
		}
		w.pass(time.Hour)
		if w.lists("62.0.0.4") {
			t.Error("confirmed 6 hours ago, and still there")
		}
	})
}

// TestWarninglists: each class does what it says, and counts.
func TestWarninglists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, ".json") {
				serves(list(100)+"8.8.8.8\n198.41.0.4\n")(rw, r)
				return
			}
			serves(`{"name":"x","type":"cidr","list":["62.0.0.16/28"]}`)(rw, r)
		}, spec.Feed{Name: "f", URL: plainURL, Score: 80, Category: "scan"})
		w.cfg.Warninglists = []spec.Feed{
			{Name: "infra", URL: "http://lists.example.org/infra.json", Class: "infrastructure"},
			{Name: "cloud", File: filepath.Join(t.TempDir(), "cloud.txt"), Class: "shared"},
			{Preset: "warn-censys-scanning", File: filepath.Join(t.TempDir(), "scan.txt")},
		}
		for i, text := range []string{"62.0.0.32/28\n", `{"list":["62.0.0.48/28"]}`} {
			if err := os.WriteFile(w.cfg.Warninglists[i+1].File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Minute)
		for addr, want := range map[string]int{"62.0.0.1": 80, "62.0.0.17": 0, "62.0.0.33": 40, "62.0.0.49": 80, "8.8.8.8": 0, "198.41.0.4": 0} {
			score := 0
			if ind := w.indicators(addr); len(ind) > 0 {
				score = int(ind[0].Score)
			}
			if score != want {
				t.Errorf("%s: score %d, want %d", addr, score, want)
			}
		}
		if c := w.indicators("62.0.0.49")[0].Category; c != "scanner" {
			t.Errorf("category %q", c)
		}
		status := w.m.Status()
		i := slices.IndexFunc(status, func(s Status) bool { return s.Name == "infra" })
		if s := status[i]; s.Stopped != 1 || s.Touched != 16 || s.Class != "infrastructure" || s.Entries != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLostCopy: a copy that breaks while the program runs is fetched anew; the other
// feeds go on.
func TestLostCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "a", URL: "http://a.example.org/", Interval: time.Hour},
			spec.Feed{Name: "b", URL: "http://b.example.org/", Interval: 2 * time.Hour})
		w.start()
		w.pass(time.Minute)
		if err := os.Truncate(fileOf(w.m, 0, store.ExtGood), 100); err != nil {
			t.Fatal(err)
		}
		w.m.rebuild()
		if w.live() != 200 {
			t.Errorf("%d entries, want those in force", w.live())
		}
		if _, err := os.Stat(fileOf(w.m, 0, store.ExtBroken)); err != nil {
			t.Errorf("the damaged copy is not kept aside: %v", err)
		}
		w.pass(2 * time.Minute)
		if w.live() != 200 {
			t.Errorf("%d entries, want all again: %+v", w.live(), w.status())
		}
		w.start()
		if err := os.WriteFile(fileOf(w.m, 0, store.ExtGood), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fileOf(w.m, 1, store.ExtState), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(2 * time.Minute)
		if w.live() != 200 {
			t.Errorf("%d entries after a start with rubbish", w.live())
		}
	})
}

// TestLife: Stop may come first and twice, a second Start is refused.
func TestLife(t *testing.T) {
	m := New(spec.DefaultConfig(), Options{})
	m.Stop()
	if err := m.Start(); err == nil {
		t.Error("starts after Stop")
	}
	m = New(spec.DefaultConfig(), Options{})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err == nil {
		t.Error("starts twice")
	}
	dir := m.shared.Dir
	m.Stop()
	m.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is left: %v", err)
	}
}
