package fetch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/misp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// mispEvent makes an event with addresses.
func mispEvent(uuid string, stamp time.Time, addrs ...string) string {
	var attributes []string
	for _, a := range addrs {
		attributes = append(attributes, fmt.Sprintf(`{"type":"ip-dst","value":%q,"to_ids":true}`, a))
	}
	return fmt.Sprintf(`{"Event":{"uuid":%q,"info":"an event","timestamp":"%d","Attribute":[%s]}}`,
		uuid, stamp.Unix(), strings.Join(attributes, ","))
}

func uuidOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// A mispDir is a feed directory.
type mispDir struct {
	stamps map[string]time.Time
	events map[string]string
	broken string // an event that cannot be had
}

func (d *mispDir) put(n int, stamp time.Time, addrs ...string) {
	d.stamps[uuidOf(n)] = stamp
	d.events[uuidOf(n)] = mispEvent(uuidOf(n), stamp, addrs...)
}

func (d *mispDir) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/feed/")
	if name == misp.ManifestName {
		m := map[string]any{"../../etc/passwd": map[string]string{"timestamp": "1"}}
		sum := int64(0)
		for id, at := range d.stamps {
			m[id] = map[string]string{"timestamp": fmt.Sprint(at.Unix()), "info": "x"}
			sum += at.Unix()
		}
		etag := fmt.Sprintf(`"%d-%d"`, len(m), sum)
		rw.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(304)
			return
		}
		_ = json.NewEncoder(rw).Encode(m)
		return
	}
	event, ok := d.events[strings.TrimSuffix(name, ".json")]
	if !ok || name == d.broken+".json" {
		fails(404)(rw, r)
		return
	}
	_, _ = rw.Write([]byte(event))
}

// TestMISPFeed follows a feed directory: only events that have changed are read, and
// those gone from the manifest go.
func TestMISPFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &mispDir{stamps: map[string]time.Time{}, events: map[string]string{}, broken: uuidOf(3)}
		start := time.Now()
		for i := range 5 {
			d.put(i, start.Add(time.Duration(i)*time.Second), fmt.Sprintf("62.0.%d.1", i))
		}
		w := newWorld(t, d.ServeHTTP, spec.Feed{Name: "m", URL: "http://127.0.0.1/feed", MISP: &spec.MISP{}})
		w.start()
		w.pass(30 * time.Second)
		if s := w.status(); w.live() != 4 || s.BadPieces != 1 || s.Bad[0].Name != "event "+uuidOf(3) || !strings.Contains(s.Bad[0].Why, "HTTP 404") || s.Error != "" {
			t.Errorf("%d entries beside the event that cannot be had: %+v", w.live(), s)
		}
		d.broken = ""
		before := w.asked()
		w.pass(5 * time.Minute)
		if n := w.asked() - before; w.live() != 5 || n != 2 {
			t.Errorf("%d entries after %d requests, want 5 after 2", w.live(), n)
		}
		if ind := w.indicators("62.0.4.1"); ind[0].Ref != "http://127.0.0.1/feed/"+uuidOf(4)+".json" || ind[0].NativeID != uuidOf(4) {
			t.Errorf("%+v", ind)
		}

		before = w.asked()
		w.pass(35 * time.Minute)
		if n := w.asked() - before; n != 1 || w.status().Code != 304 {
			t.Errorf("%d requests for nothing new", n)
		}

		d.put(1, start.Add(time.Hour), "62.9.9.9")
		delete(d.stamps, uuidOf(0))
		before = w.asked()
		w.pass(35 * time.Minute)
		if n := w.asked() - before; n != 2 {
			t.Errorf("%d requests for one changed event, want 2", n)
		}
		for addr, want := range map[string]bool{"62.0.0.1": false, "62.0.1.1": false, "62.9.9.9": true, "62.0.2.1": true} {
			if w.lists(addr) != want {
				t.Errorf("%s listed: %t, want %t", addr, !want, want)
			}
		}
		for _, r := range w.requests {
			if strings.Contains(r.uri, "passwd") {
				t.Errorf("a request for %s", r.uri)
			}
		}
	})
}

// TestMISPFeedCorpus serves the feed directory of the corpus.
func TestMISPFeedCorpus(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{misp.ManifestName, "0f1b99ac-ceae-44ff-8073-1eafc8b8121a.json", "4fbed53c-195e-462b-8bbe-6a65b1ca28e3.json"} {
		files["/"+name] = corpus(t, "misp-feed/"+name)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(files[r.URL.Path]) },
			spec.Feed{Name: "m", URL: "http://127.0.0.1/" + misp.ManifestName, MISP: &spec.MISP{Source: "feed"}})
		w.start()
		w.pass(time.Minute)
		if s := w.status(); s.Entries != 18 || s.Error != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestMISPSearch pages through an instance, then asks for changes only; what has been
// deleted there goes with the weekly full reading.
func TestMISPSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type event struct {
			stamp time.Time
			text  string
		}
		var events []event
		put := func(n int, addrs ...string) {
			events = append(events, event{time.Now(), mispEvent(uuidOf(n), time.Now(), addrs...)})
		}
		for i := range 5 {
			put(i, fmt.Sprintf("62.0.%d.1", i))
		}
		var bodies []mispQuestion
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "misp-key-1234" || r.Method != http.MethodPost || r.URL.Path != "/events/restSearch" {
				fails(403)(rw, r)
				return
			}
			var q mispQuestion
			b, _ := io.ReadAll(r.Body)
			if err := json.Unmarshal(b, &q); err != nil {
				t.Error(err)
			}
			bodies = append(bodies, q)
			var out []string
			for _, e := range events {
				if e.stamp.Unix() >= q.Timestamp {
					out = append(out, e.text)
				}
			}
			out = out[min(len(out), q.Limit*(q.Page-1)):min(len(out), q.Limit*q.Page)]
			_, _ = fmt.Fprintf(rw, `{"response":[%s]}`, strings.Join(out, ","))
		}, spec.Feed{Name: "m", URL: "http://127.0.0.1/", APIKey: "misp-key-1234", MISP: &spec.MISP{Source: "search", Limit: 2}})
		w.start()
		w.pass(time.Minute)
		if w.live() != 5 || len(bodies) != 4 {
			t.Fatalf("%d entries after %d pages: %+v", w.live(), len(bodies), w.status())
		}
		if ind := w.indicators("62.0.4.1"); ind[0].Ref != "http://127.0.0.1/events/view/"+uuidOf(4) {
			t.Errorf("%+v", ind)
		}
		w.pass(time.Hour)
		put(1, "62.9.9.9")
		events = events[1:]
		w.pass(35 * time.Minute)
		if last := bodies[len(bodies)-1]; last.Timestamp == 0 || !w.lists("62.9.9.9") || w.lists("62.0.1.1") {
			t.Errorf("%+v, %d entries", last, w.live())
		}
		w.pass(8 * 24 * time.Hour)
		if w.lists("62.0.0.1") || w.live() != 4 {
			t.Errorf("%d entries a week later", w.live())
		}
	})
}

// A mispQuestion is a search as an instance gets it.
type mispQuestion struct {
	ReturnFormat string              `json:"returnFormat"`
	Type         map[string][]string `json:"type"`
	ToIDs        int                 `json:"to_ids"`
	Published    int                 `json:"published"`
	Timestamp    int64               `json:"timestamp,omitempty"`
	Limit        int                 `json:"limit"`
	Page         int                 `json:"page"`
}
