package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

const otxKey = "0123456789abcdef-key"

// An otxServer is an account with pulses.
type otxServer struct {
	pulses []otxPulse
	events []otxChange
	// sick makes the subscribed pulses fail from a page on, with a status.
	sick, status int
	public       []otxPulse
}

type otxPulse struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Modified   string         `json:"modified"`
	TLP        string         `json:"tlp"`
	More       bool           `json:"more_indicators"`
	Indicators []otxIndicator `json:"indicators"`
	all        []otxIndicator
}

type otxIndicator struct {
	Indicator string `json:"indicator"`
	Type      string `json:"type"`
	Role      string `json:"role"`
	PulseKey  string `json:"pulse_key,omitempty"`
}

func newPulse(n int, modified time.Time, addrs ...string) otxPulse {
	p := otxPulse{ID: fmt.Sprintf("%024x", n), Name: fmt.Sprint("pulse ", n), TLP: "green",
		Modified: modified.UTC().Format("2006-01-02T15:04:05.000000")}
	for _, a := range addrs {
		p.Indicators = append(p.Indicators, otxIndicator{Indicator: a, Type: "IPv4", Role: "command_and_control"})
	}
	return p
}

func (o *otxServer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-OTX-API-KEY") != otxKey {
		fails(403)(rw, r)
		return
	}
	q := r.URL.Query()
	switch {
	case r.URL.Path == otxEventsPath:
		_ = json.NewEncoder(rw).Encode(map[string]any{"results": o.events})
	case r.URL.Path == otxActivityPath:
		o.page(rw, r, o.public, nil)
	case strings.HasSuffix(r.URL.Path, "/indicators"):
		id := strings.Split(r.URL.Path, "/")[4]
		for _, p := range o.pulses {
			if p.ID == id {
				_ = json.NewEncoder(rw).Encode(map[string]any{"results": p.all})
			}
		}
	case r.URL.Path == otxSubscribedPath:
		if o.sick > 0 && number(q.Get("page")) >= o.sick {
			fails(o.status)(rw, r)
			return
		}
		var since *time.Time
		if s := q.Get("modified_since"); s != "" {
			t, err := time.Parse("2006-01-02T15:04:05.000000", s)
			if err != nil {
				fails(400)(rw, r)
				return
			}
			since = &t
		}
		o.page(rw, r, o.pulses, since)
	default:
		fails(404)(rw, r)
	}
}

func number(s string) int {
	n := 0
	_, _ = fmt.Sscan(s, &n)
	return n
}

func (o *otxServer) page(rw http.ResponseWriter, r *http.Request, pulses []otxPulse, since *time.Time) {
	q := r.URL.Query()
	limit, page := number(q.Get("limit")), number(q.Get("page"))
	out := []otxPulse{}
	for _, p := range pulses {
		if t, _ := time.Parse("2006-01-02T15:04:05.000000", p.Modified); since == nil || !t.Before(*since) {
			out = append(out, p)
		}
	}
	var next any
	if len(out) > limit*page {
		q.Set("page", fmt.Sprint(page+1))
		next = "http://" + r.Host + r.URL.Path + "?" + q.Encode()
	}
	out = out[min(len(out), limit*(page-1)):min(len(out), limit*page)]
	_ = json.NewEncoder(rw).Encode(map[string]any{"results": out, "next": next, "count": 12345})
}

func otxFeed() spec.Feed {
	return spec.Feed{Preset: "otx", URL: "http://127.0.0.1", APIKey: otxKey, OTX: &spec.OTX{Limit: 2}}
}

// indicators gives what the table in force says of an address.
func (w *world) indicators(addr string) []intel.Indicator {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tables[len(w.tables)-1].Find(netip.MustParseAddr(addr), 0).Indicators()
}

// TestOTX follows an account: all pages, then changes only; a changed pulse replaces
// all its indicators, a deleted one goes.
func TestOTX(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := &otxServer{}
		for i := range 7 {
			o.pulses = append(o.pulses, newPulse(i, start.Add(-time.Duration(i)*time.Hour), fmt.Sprintf("62.0.%d.1", i), fmt.Sprintf("62.0.%d.2", i)))
		}
		o.pulses[3].More = true
		o.pulses[3].all = []otxIndicator{{Indicator: "62.0.3.1", Type: "IPv4"}, {Indicator: "62.0.3.9", Type: "IPv4"}}
		w := newWorld(t, o.ServeHTTP, otxFeed())
		w.start()
		w.pass(time.Minute)
		if w.live() != 15 {
			t.Fatalf("%d entries, want 15: %+v", w.live(), w.status())
		}
		ind := w.indicators("62.0.3.9")
		if len(ind) != 1 || ind[0].Ref != "https://otx.alienvault.com/pulse/"+o.pulses[3].ID || ind[0].TLP != "green" || ind[0].Category != "c2" {
			t.Errorf("a cut pulse: %+v", ind)
		}

		before := w.asked()
		w.pass(35 * time.Minute)
		if n := w.asked() - before; n != 2 || w.live() != 15 {
			t.Errorf("%d requests for nothing new, want 2: events and one page", n)
		}
		if n := len(w.tables); n != 2 {
			t.Errorf("%d tables published, want 2: at the start and after the first reading", n)
		}

		o.pulses[5] = newPulse(5, time.Now(), "62.0.5.2", "62.0.5.3")
		o.events = []otxChange{{Action: "delete", Type: "pulse", ObjectID: o.pulses[6].ID}, {Action: "delete", Type: "pulse", ObjectID: "unknown"}}
		o.pulses = o.pulses[:6]
		w.pass(35 * time.Minute)
		for addr, want := range map[string]bool{
			"62.0.5.1": false, "62.0.5.2": true, "62.0.5.3": true, "62.0.6.1": false, "62.0.4.1": true, "62.0.3.9": true,
		} {
			if w.lists(addr) != want {
				t.Errorf("%s listed: %t, want %t", addr, !want, want)
			}
		}

		// What no event tells, the weekly full reading does.
		o.pulses = o.pulses[1:]
		o.events = nil
		w.pass(2 * time.Hour)
		if !w.lists("62.0.0.1") {
			t.Error("gone without a word and without a full reading")
		}
		w.pass(8 * 24 * time.Hour)
		if w.lists("62.0.0.1") || w.live() != 11 {
			t.Errorf("a pulse is there a week after it has gone: %d entries", w.live())
		}
	})
}

// TestOTXUnfollow: which pulses a user takes along, only a full reading tells.
func TestOTXUnfollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &otxServer{pulses: []otxPulse{newPulse(1, time.Now(), "62.0.1.1"), newPulse(2, time.Now(), "62.0.2.1")}}
		w := newWorld(t, o.ServeHTTP, otxFeed())
		w.start()
		w.pass(time.Minute)
		o.pulses = o.pulses[:1]
		o.events = []otxChange{{Action: "unsubscribe", Type: "user", ObjectID: "somebody"}}
		w.pass(35 * time.Minute)
		if w.lists("62.0.2.1") || !w.lists("62.0.1.1") {
			t.Errorf("%d entries: %+v", w.live(), w.status())
		}
	})
}

// TestOTXResume: a reading that breaks off goes on at the failed page, in smaller
// pages, also in the next process; nothing is asked for twice.
func TestOTXResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &otxServer{sick: 3, status: 504}
		for i := range 60 {
			o.pulses = append(o.pulses, newPulse(i, time.Now().Add(-time.Hour), fmt.Sprintf("62.0.%d.1", i)))
		}
		f := otxFeed()
		f.OTX.Limit = 20
		w := newWorld(t, o.ServeHTTP, f)
		w.start()
		w.pass(time.Minute)
		if s := w.status(); w.live() != 40 || !strings.Contains(s.Error, "HTTP 504") {
			t.Errorf("%d entries of the first two pages: %+v", w.live(), s)
		}
		o.sick = 0
		w.start()
		before := w.asked()
		w.pass(10 * time.Minute)
		if w.live() != 60 {
			t.Errorf("%d entries: %+v", w.live(), w.status())
		}
		again := w.requests[before:]
		if len(again) == 0 || !strings.Contains(again[0].uri, "limit=10&page=5") {
			t.Errorf("goes on with %v, want limit=10&page=5", again)
		}
		if s := w.status(); s.Error != "" || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOTXActivity: when the account's own pulses time out for good, the public stream
// stands in, and the status says so.
func TestOTXActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &otxServer{sick: 1, status: 504, public: []otxPulse{newPulse(7, time.Now(), "62.0.7.1")}}
		o.pulses = []otxPulse{newPulse(1, time.Now(), "62.0.1.1")}
		w := newWorld(t, o.ServeHTTP, otxFeed())
		w.start()
		w.pass(2 * time.Hour)
		s := w.status()
		if !w.lists("62.0.7.1") || s.Error != "" || !strings.Contains(s.Note, "the public activity stands in") {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
		o.sick = 0
		w.pass(2 * time.Hour)
		if s := w.status(); !w.lists("62.0.1.1") || s.Note != "" {
			t.Errorf("%d entries, %+v", w.live(), s)
		}
	})
}

// TestOTXForeignLink: a link to another host is not followed, the key stays.
func TestOTXForeignLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(`{"results":[],"next":"http://evil.example.org/api/v1/pulses/subscribed?page=2"}`), otxFeed())
		w.start()
		w.pass(time.Hour)
		if s := w.status(); !strings.Contains(s.Error, "links to another host") {
			t.Errorf("%+v", s)
		}
		for _, r := range w.requests {
			if r.host != "127.0.0.1" {
				t.Errorf("a request to %s", r.host)
			}
		}
	})
}

// TestOTXCorpus holds the recorded conversation: two pages, a cut pulse.
func TestOTXCorpus(t *testing.T) {
	page1, page2 := corpus(t, "otx-pages/subscribed-p1.json"), corpus(t, "otx-pages/subscribed-p2.json")
	rest := corpus(t, "otx-pages/pulse-indicators-p1.json")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/912c575f8a832a2471bf00c1/indicators"):
				_, _ = rw.Write(rest)
			case r.URL.Query().Get("page") == "2":
				_, _ = rw.Write(page2)
			default:
				link := strings.ReplaceAll(string(page1), "https://otx.alienvault.com", "http://127.0.0.1")
				_, _ = rw.Write([]byte(link))
			}
		}, otxFeed())
		w.pass(time.Until(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)))
		w.start()
		w.pass(time.Minute)
		if s := w.status(); s.Entries != 9+5+6 || s.Error != "" {
			t.Errorf("%d entries, want those of both pages and the rest of the cut pulse: %+v", s.Entries, s)
		}
		if ind := w.indicators("22.143.222.158"); len(ind) != 1 || ind[0].NativeID != "912c575f8a832a2471bf00c1" || ind[0].TLP != "amber" {
			t.Errorf("%+v", ind)
		}
	})
}

// TestUpdateByHand gives the reasons of every outcome.
func TestUpdateByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, serves(list(100)), spec.Feed{Name: "f", URL: plainURL, Interval: time.Hour})
		m := w.manager() // not started, as a command without a running instance
		t.Cleanup(m.Stop)
		step := func(h http.HandlerFunc, outcome source.Outcome, detail string) {
			t.Helper()
			w.answer(h)
			a, err := m.Update(context.Background(), "f")
			if err != nil || a[0].Outcome != outcome || !strings.Contains(a[0].Detail, detail) {
				t.Errorf("%+v, %v; want %s, %s", a, err, outcome, detail)
			}
		}
		step(serves(list(100)), source.Updated, "")
		step(serves(list(100)), source.NotYet, "not before 2000-01-01T00:01:00Z: last request at 2000-01-01T00:00:00Z")
		w.pass(time.Minute)
		step(fails(304), source.Unchanged, "")
		w.pass(time.Minute)
		step(serves(list(1)), source.HeldBack, "shrunk from 100 to 1 entries")
		w.pass(time.Minute)
		step(fails(500), source.Failed, "HTTP 500")
		if w.live() != 100 {
			t.Errorf("%d entries", w.live())
		}
	})
}

// Paths of the API.
const (
	otxSubscribedPath = "/api/v1/pulses/subscribed"
	otxActivityPath   = "/api/v1/pulses/activity"
	otxEventsPath     = "/api/v1/pulses/events"
)

// An otxChange is an event of an account as the service sends it.
type otxChange struct {
	Action   string `json:"action"`
	Type     string `json:"object_type"`
	ObjectID string `json:"object_id"`
}
