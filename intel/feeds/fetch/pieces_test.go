package fetch

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// spoilers are the kinds of badness of a piece.
var spoilers = map[string]http.HandlerFunc{
	"400": fails(400), "401": fails(401), "403": fails(403), "404": fails(404), "410": fails(410),
	"429": fails(429), "429 with a pause": fails(429, "Retry-After", "60"),
	"500": fails(500), "502": fails(502), "503": fails(503), "503 with a pause": fails(503, "Retry-After", "60"), "504": fails(504),
	"HTML": serves("<!DOCTYPE html><p>maintenance"), "no JSON": serves("rate limit exceeded\n"), "nothing": serves(""), "204": fails(204),
	"other JSON": serves(`{"detail":"error"}`), "empty object": serves("{}"), "null": serves("null"), "a number": serves("42"),
	"binary":    serves("\x00\xff\xfe\x00\x80"),
	"elsewhere": fails(302, "Location", "http://other.example.org/"), "nowhere": fails(301),
	"cut": func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"results":[{"id":"`)) },
	"cut on the way": func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "100000")
		_, _ = rw.Write([]byte(`{"objects":[`))
	},
	"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"drips": func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = rw.Write([]byte(" "))
			rw.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
	},
	"broken off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

// A source1 is a server of pieces for these tests.
type source1 struct {
	feed  spec.Feed
	serve http.HandlerFunc
	// places are the pieces, by name, with the test for an answer that is of it.
	places map[string]func(r *http.Request, body string) bool
	// of are the addresses that hang on a place; all others must be in force beside it.
	of  func(place string) []string
	all []string
	// add makes an address more, in a place of its own.
	add func() string
}

// spoil wraps a handler: answers that are of the place are of the kind.
func (s *source1) spoil(place, kind string) http.HandlerFunc {
	is := s.places[place]
	return func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(strings.NewReader(string(body)))
		rec := httptest.NewRecorder()
		s.serve(rec, again)
		if is(r, rec.Body.String()) {
			spoilers[kind](rw, r)
			return
		}
		for name, values := range rec.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(rec.Body.Bytes())
	}
}

// taxiiPieces is a server with two API roots of three collections of two to six indicators,
// two to a page.
func taxiiPieces() *source1 {
	s := &source1{places: map[string]func(*http.Request, string) bool{}, feed: spec.Feed{Name: "f", URL: "http://127.0.0.1/taxii2/", TAXII: &spec.TAXII{Limit: 2}}}
	start := time.Now().Add(-24 * time.Hour)
	objects := make(map[string][]stixObject)
	put := func(c string, added time.Time) string {
		n := len(s.all)
		addr := fmt.Sprintf("62.0.%d.1", n)
		objects[c] = append(objects[c], stixObject{Type: "indicator", ID: fmt.Sprintf("indicator--%08d-0000-4000-8000-000000000000", n), Spec: "2.1",
			Modified: added, Pattern: "[ipv4-addr:value = '" + addr + "']", ValidFrom: added, added: added})
		s.all = append(s.all, addr)
		return addr
	}
	addrs := make(map[string][]string)
	for _, root := range []string{"r1", "r2"} {
		at := "/" + root + "/collections/"
		s.places[root] = func(r *http.Request, _ string) bool { return r.URL.Path == at }
		for _, c := range []string{"r1a", "r1b", "r2a"} {
			n := map[string]int{"r1a": 6, "r1b": 2, "r2a": 4}[c]
			if !strings.HasPrefix(c, root) {
				continue
			}
			name := c
			for i := range n {
				addr := put(name, start.Add(time.Duration(i)*time.Second))
				id := fmt.Sprintf(`indicator--%08d-`, len(s.all)-1)
				place := name + " " + addr
				s.places[place] = func(_ *http.Request, body string) bool { return strings.Contains(body, id) }
				addrs[place] = []string{addr}
				addrs[root], addrs[name] = append(addrs[root], addr), append(addrs[name], addr)
			}
			objectsAt := at + name + "/objects/"
			s.places[name] = func(r *http.Request, _ string) bool { return r.URL.Path == objectsAt }
		}
	}
	s.of = func(place string) []string { return addrs[place] }
	s.add = func() string { return put("r2a", time.Now()) }
	s.serve = func(rw http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case r.URL.Path == "/taxii2/":
			serves(`{"title":"t","api_roots":["/r1/","/r2/"]}`)(rw, r)
		case len(parts) < 2:
			fails(404)(rw, r)
		case len(parts) == 2:
			serves(map[string]string{
				"r1": `{"collections":[{"id":"r1a","can_read":true},{"id":"r1b","can_read":true}]}`,
				"r2": `{"collections":[{"id":"r2a","can_read":true}]}`,
			}[parts[0]])(rw, r)
		default:
			serveObjects1(rw, r, objects[parts[2]])
		}
	}
	return s
}

func serveObjects1(rw http.ResponseWriter, r *http.Request, objects []stixObject) {
	q := r.URL.Query()
	if q.Get("next") != "" {
		q, _ = url.ParseQuery(q.Get("next"))
	}
	after, limit := time.Time{}, number(r.URL.Query().Get("limit"))
	if a := q.Get("added_after"); a != "" {
		var err error
		if after, err = time.Parse(time.RFC3339Nano, a); err != nil {
			fails(400)(rw, r)
			return
		}
	}
	var out []stixObject
	for _, o := range objects {
		if o.added.After(after) {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		serves("{}")(rw, r)
		return
	}
	skip := number(q.Get("skip"))
	page := out[min(skip, len(out)):min(skip+limit, len(out))]
	e := map[string]any{"objects": page}
	if skip+limit < len(out) {
		e["more"], e["next"] = true, url.Values{"added_after": {q.Get("added_after")}, "skip": {fmt.Sprint(skip + limit)}}.Encode()
	}
	rw.Header().Set("X-TAXII-Date-Added-Last", page[len(page)-1].added.UTC().Format(taxiiTime))
	_ = json.NewEncoder(rw).Encode(e)
}

// mispFeedPieces is a feed directory of seven events.
func mispFeedPieces() *source1 {
	d := &mispDir{stamps: map[string]time.Time{}, events: map[string]string{}}
	s := &source1{places: map[string]func(*http.Request, string) bool{}, serve: d.ServeHTTP, feed: spec.Feed{Name: "f", URL: "http://127.0.0.1/feed", MISP: &spec.MISP{}}}
	start := time.Now()
	s.add = func() string {
		n := len(s.all)
		s.all = append(s.all, fmt.Sprintf("62.0.%d.1", n))
		d.put(n, start.Add(time.Duration(n)*time.Second), s.all[n])
		s.places[s.all[n]] = func(r *http.Request, _ string) bool { return strings.Contains(r.URL.Path, uuidOf(n)) }
		return s.all[n]
	}
	for range 7 {
		s.add()
	}
	s.of = func(place string) []string { return []string{place} }
	return s
}

// mispSearchPieces is an instance with eleven events, four to a page; a page is bad that
// has a bad event.
func mispSearchPieces() *source1 {
	s := &source1{places: map[string]func(*http.Request, string) bool{}, feed: spec.Feed{Name: "f", URL: "http://127.0.0.1/", MISP: &spec.MISP{Source: "search", Limit: 4}}}
	type event struct {
		stamp time.Time
		text  string
	}
	var events []event
	s.add = func() string {
		n := len(s.all)
		s.all = append(s.all, fmt.Sprintf("62.0.%d.1", n))
		events = append(events, event{time.Now(), mispEvent(uuidOf(n), time.Now(), s.all[n])})
		s.places[s.all[n]] = func(_ *http.Request, body string) bool { return strings.Contains(body, uuidOf(n)) }
		return s.all[n]
	}
	for range 11 {
		s.add()
	}
	s.of = func(place string) []string { return []string{place} }
	s.serve = func(rw http.ResponseWriter, r *http.Request) {
		var q mispQuestion
		_ = json.NewDecoder(r.Body).Decode(&q)
		var out []string
		for _, e := range events {
			if e.stamp.Unix() >= q.Timestamp {
				out = append(out, e.text)
			}
		}
		out = out[min(len(out), q.Limit*(q.Page-1)):min(len(out), q.Limit*q.Page)]
		_, _ = fmt.Fprintf(rw, `{"response":[%s]}`, strings.Join(out, ","))
	}
	return s
}

// otxPieces is an account with eleven pulses, four to a page, every other one cut. A page
// is bad that has a bad pulse; the rest of a cut one is a place of its own.
func otxPieces() *source1 {
	o := &otxServer{}
	s := &source1{places: map[string]func(*http.Request, string) bool{}, serve: o.ServeHTTP, feed: otxFeed()}
	s.feed.OTX.Limit = 4
	start := time.Now().Add(-time.Hour)
	addrs := make(map[string][]string)
	put := func(at time.Time) string {
		n := len(o.pulses)
		addr, rest := fmt.Sprintf("62.0.%d.1", n), fmt.Sprintf("62.0.%d.9", n)
		p := newPulse(n, at, addr)
		s.all = append(s.all, addr)
		s.places["pulse "+addr] = func(r *http.Request, body string) bool {
			return r.URL.Path == otxSubscribedPath && strings.Contains(body, p.ID)
		}
		addrs["pulse "+addr] = []string{addr}
		if n%2 == 0 {
			p.More, p.all = true, []otxIndicator{{Indicator: addr, Type: "IPv4"}, {Indicator: rest, Type: "IPv4"}}
			s.all = append(s.all, rest)
			s.places["rest of "+addr] = func(r *http.Request, _ string) bool { return strings.Contains(r.URL.Path, p.ID) }
			addrs["pulse "+addr], addrs["rest of "+addr] = []string{addr, rest}, []string{rest}
		}
		o.pulses = append(o.pulses, p)
		return addr
	}
	for i := range 11 {
		put(start.Add(-time.Duration(i) * time.Minute))
	}
	s.places["events"] = func(r *http.Request, _ string) bool { return r.URL.Path == otxEventsPath }
	s.of = func(place string) []string { return addrs[place] }
	s.add = func() string { return put(time.Now()) }
	return s
}

var pieceSources = map[string]func() *source1{
	"taxii": taxiiPieces, "misp feed": mispFeedPieces, "misp search": mispSearchPieces, "otx": otxPieces,
}

// lost gives the addresses that may be missing while a place is bad. An empty object is the
// sign of the end of a TAXII collection: then the rest of it may be missing, too.
func (s *source1) lost(place, kind string) []string {
	c, _, page := strings.Cut(place, " ")
	if s.feed.TAXII != nil && page && kind == "empty object" {
		place = c
	}
	return s.of(place)
}

// unreached gives the new address while the place that it would come by is bad.
func (s *source1) unreached(place string) []string {
	if s.feed.TAXII != nil && (place == "r2" || strings.HasPrefix(place, "r2a")) {
		return s.all[len(s.all)-1:]
	}
	return nil
}

// missing gives the addresses that are not in force, but for some.
func (w *world) missing(all, but []string) (out []string) {
	w.mu.Lock()
	none := len(w.tables) == 0
	w.mu.Unlock()
	skip := strings.Join(but, " ") + " "
	for _, a := range all {
		if !strings.Contains(skip, a+" ") && (none || !w.lists(a)) {
			out = append(out, a)
		}
	}
	return out
}

// everyPiece makes the two tests below try all kinds of badness at all places, which takes
// minutes; else each place gets a few, and each kind some places.
var everyPiece = os.Getenv("FLOWSNITCH_EVERY_PIECE") != ""

// tries reports whether a kind is tried at a place.
func tries(place, kind string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(place + "/" + kind))
	return everyPiece || h.Sum32()%24 == 0
}

// TestOneBadPiece: whatever piece of a source is bad, and in whatever way, the others come
// into force, the bad one is named, and it comes when it can be had again.
func TestOneBadPiece(t *testing.T) {
	for name, make1 := range pieceSources {
		for kind := range spoilers {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				for place := range make1().places {
					if !tries(place, kind) {
						continue
					}
					t.Run(place, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) { firstReading(t, make1(), place, kind) })
					})
				}
			})
		}
	}
}

func firstReading(t *testing.T, s *source1, place, kind string) {
	w := newWorld(t, s.spoil(place, kind), s.feed)
	w.disk = &store.Disk{Before: func(_, _ string) error { return nil }} // no waiting for the platter
	defer func() { w.stop(); w.pass(2 * time.Minute) }()
	w.start()
	w.pass(3 * time.Hour)
	if m := w.missing(s.all, s.lost(place, kind)); len(m) > 0 {
		t.Errorf("not in force beside it: %v; %+v", m, w.status())
	}
	unknowable := s.feed.TAXII != nil && kind == "empty object"
	if st := w.status(); place != "events" && !unknowable && (st.BadPieces == 0 && st.Error == "" || len(st.Bad) != st.BadPieces) {
		t.Errorf("not named: %+v", st)
	}
	addr := s.add()
	w.pass(2 * time.Hour)
	part := place == "r2" || place == "r2a" || strings.HasPrefix(place, "r2a ") && len(s.lost(place, kind)) > 1 // where it has come
	if !part && !w.lists(addr) {
		t.Errorf("what is new is not in force: %+v", w.status())
	}
	if n := w.asked(); n > 600 {
		t.Errorf("%d requests in five hours", n)
	}
	w.answer(s.serve)
	w.pass(3 * time.Hour)
	if m := w.missing(s.all, nil); len(m) > 0 {
		t.Errorf("not in force when it is well: %v; %+v", m, w.status())
	}
	if st := w.status(); st.BadPieces != 0 || st.Error != "" {
		t.Errorf("still named: %+v", st)
	}
}

// TestKnownPieceTurnsBad: what is known of a piece stays in force for as long as it is bad,
// over restarts and full readings; the others are followed.
func TestKnownPieceTurnsBad(t *testing.T) {
	for name, make1 := range pieceSources {
		for _, kind := range []string{"404", "429 with a pause", "500", "empty object", "HTML", "hangs", "cut on the way"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				for place := range make1().places {
					if !tries(place, kind) {
						continue
					}
					t.Run(place, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) { knownTurnsBad(t, make1(), place, kind) })
					})
				}
			})
		}
	}
}

func knownTurnsBad(t *testing.T, s *source1, place, kind string) {
	if s.feed.TAXII != nil && kind == "empty object" && len(place) > 2 {
		return // the answer of a TAXII server for a collection that has been emptied
	}
	w := newWorld(t, s.serve, s.feed)
	w.disk = &store.Disk{Before: func(_, _ string) error { return nil }}
	defer func() { w.stop(); w.pass(2 * time.Minute) }()
	w.start()
	w.pass(time.Hour)
	if m := w.missing(s.all, nil); len(m) > 0 {
		t.Fatalf("not in force at first: %v; %+v", m, w.status())
	}
	w.answer(s.spoil(place, kind))
	w.pass(8 * 24 * time.Hour)
	w.start()
	w.pass(time.Hour)
	s.add()
	w.pass(6 * time.Hour)
	if m := w.missing(s.all, s.unreached(place)); len(m) > 0 {
		t.Errorf("not in force: %v; %+v", m, w.status())
	}
	w.answer(s.serve)
	w.pass(24 * time.Hour)
	if st := w.status(); st.BadPieces != 0 || st.Error != "" || len(w.missing(s.all, nil)) > 0 {
		t.Errorf("not well: %+v", st)
	}
}

// TestOTXOneBadPulse: a pulse of which the rest cannot be had keeps what is on its page, the other pulses are
// in force, and the rest is asked for again.
func TestOTXOneBadPulse(t *testing.T) {
	for _, bad := range []http.HandlerFunc{fails(404), fails(502), serves("<html>rubbish"), serves(`{"results":[`), serves(`{"x":1}`)} {
		synctest.Test(t, func(t *testing.T) {
			mended := false
			pulse := func(n int, more bool) map[string]any {
				return map[string]any{"id": fmt.Sprintf("%024x", n), "name": fmt.Sprint("pulse ", n), "modified": fmt.Sprintf("1999-12-20T00:00:0%d", n),
					"tlp": "green", "tags": []string{"c2"}, "more_indicators": more,
					"indicators": []any{map[string]any{"indicator": fmt.Sprintf("45.33.32.%d", n), "type": "IPv4", "is_active": 1}}}
			}
			w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == otxSubscribedPath && r.URL.Query().Get("modified_since") != "":
					serves(`{"results":[],"next":null}`)(rw, r)
				case r.URL.Path == otxSubscribedPath && r.URL.Query().Get("page") == "1":
					_ = json.NewEncoder(rw).Encode(map[string]any{"results": []any{pulse(1, true)}, "next": "http://127.0.0.1" + otxSubscribedPath + "?limit=2&page=2"})
				case r.URL.Path == otxSubscribedPath:
					_ = json.NewEncoder(rw).Encode(map[string]any{"results": []any{pulse(2, false)}, "next": nil})
				case strings.HasSuffix(r.URL.Path, "/indicators") && mended:
					serves(`{"results":[{"indicator":"45.33.32.1","type":"IPv4"},{"indicator":"45.33.32.9","type":"IPv4"}],"next":null}`)(rw, r)
				case strings.HasSuffix(r.URL.Path, "/indicators"):
					bad(rw, r)
				default:
					serves(`{"results":[]}`)(rw, r)
				}
			}, otxFeed())
			w.start()
			w.pass(2 * time.Minute)
			if s := w.status(); !w.lists("45.33.32.1") || !w.lists("45.33.32.2") || s.BadPieces != 1 || s.Bad[0].Name != "pulse 000000000000000000000001" {
				t.Fatalf("%d entries: %+v", w.live(), s)
			}
			w.pass(40 * time.Minute)
			if s := w.status(); w.live() != 2 || s.BadPieces != 1 {
				t.Errorf("%d entries: %+v", w.live(), s)
			}
			mended = true
			w.pass(40 * time.Minute)
			if s := w.status(); w.live() != 3 || s.BadPieces != 0 {
				t.Fatalf("%d entries: %+v", w.live(), s)
			}
			if ind := w.indicators("45.33.32.9"); ind[0].TLP != "green" || ind[0].Category != "c2" || ind[0].NativeID != "000000000000000000000001" {
				t.Errorf("%+v", ind)
			}
		})
	}
}

// TestTAXIIOneBadPiece: one API root or collection of a TAXII server that fails costs only itself.
func TestTAXIIOneBadPiece(t *testing.T) {
	for _, broken := range []string{"/r1/collections/", "/r2/collections/", "/r1/collections/c/objects/", "/r2/collections/c/objects/"} {
		for _, bad := range []http.HandlerFunc{fails(404), fails(502), serves("rubbish"), serves(`{"objects":{}}`)} {
			synctest.Test(t, func(t *testing.T) {
				mended := false
				w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
					at := r.URL.Path
					root, _, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
					switch {
					case at == broken && !mended:
						bad(rw, r)
					case at == "/taxii2/":
						serves(`{"title":"t","api_roots":["/r1/","/r2/"]}`)(rw, r)
					case strings.HasSuffix(at, "/collections/"):
						serves(`{"collections":[{"id":"c","can_read":true}]}`)(rw, r)
					default:
						serves(`{"objects":[{"type":"indicator","id":"indicator--`+root+`","pattern":"[ipv4-addr:value = '45.33.32.`+root[1:]+`']","modified":"1999-12-01T00:00:00Z"}]}`)(rw, r)
					}
				}, spec.Feed{Name: "t", URL: "http://127.0.0.1/taxii2/", TAXII: &spec.TAXII{}})
				w.start()
				w.pass(2 * time.Minute)
				if s := w.status(); w.live() != 1 || s.Error != "" || s.BadPieces != 1 || len(s.Bad) != 1 {
					t.Errorf("%s: %d entries: %+v", broken, w.live(), s)
				}
				mended = true
				w.pass(40 * time.Minute)
				if s := w.status(); w.live() != 2 || s.BadPieces != 0 {
					t.Errorf("%s: %d entries: %+v", broken, w.live(), s)
				}
			})
		}
	}
}

// TestMISPFeedBadEvents: many events in a row that are rubbish let those behind them
// through.
func TestMISPFeedBadEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &mispDir{stamps: map[string]time.Time{}, events: map[string]string{}}
		for i := range 30 {
			d.put(i, time.Now().Add(time.Duration(i)*time.Second), fmt.Sprintf("62.0.%d.1", i))
			if i < 15 {
				d.events[uuidOf(i)] = "<html>"
			}
		}
		w := newWorld(t, d.ServeHTTP, spec.Feed{Name: "m", URL: "http://127.0.0.1/feed", MISP: &spec.MISP{}})
		w.start()
		w.pass(2 * time.Hour)
		if s := w.status(); w.live() != 15 || s.BadPieces == 0 {
			t.Errorf("%d entries, want 15: %+v", w.live(), s)
		}
	})
}

// TestTAXIICollectionGone: what a collection listed goes only when its API root lists it no
// more, and nothing of the others goes with it. A collection that answers 404 and is still
// listed, or whose root cannot be read, keeps what is known.
func TestTAXIICollectionGone(t *testing.T) {
	for what, c := range map[string]struct {
		broken, left string // what fails from then on, what the API root lists
		stays, named bool   // the entry of b
	}{
		"not listed":              {"", "a", false, false},
		"404 and listed":          {"/r/collections/b/objects/", "ab", true, true},
		"404 and not listed":      {"/r/collections/b/objects/", "a", false, false},
		"the root cannot be read": {"/r/collections/", "a", true, true},
		"no discovery":            {"/taxii2/", "a", true, true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken, listed := "", "ab"
				w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
					switch at := r.URL.Path; {
					case at == broken:
						fails(404)(rw, r)
					case at == "/taxii2/":
						serves(`{"title":"t","api_roots":["/r/"]}`)(rw, r)
					case at == "/r/collections/":
						var list []string
						for _, id := range listed {
							list = append(list, fmt.Sprintf(`{"id":"%c","can_read":true}`, id))
						}
						serves(`{"collections":[`+strings.Join(list, ",")+`]}`)(rw, r)
					default:
						n := map[bool]string{true: "1", false: "2"}[strings.Contains(at, "/a/")]
						serves(`{"objects":[{"type":"indicator","id":"indicator--`+n+`","pattern":"[ipv4-addr:value = '45.33.32.`+n+`']","modified":"1999-12-01T00:00:00Z"}]}`)(rw, r)
					}
				}, spec.Feed{Name: "t", URL: "http://127.0.0.1/taxii2/", TAXII: &spec.TAXII{}, Interval: 6 * time.Hour})
				w.disk = &store.Disk{Before: func(_, _ string) error { return nil }}
				defer func() { w.stop(); w.pass(2 * time.Minute) }()
				w.start()
				w.pass(time.Hour)
				if w.live() != 2 {
					t.Fatalf("%d entries at first: %+v", w.live(), w.status())
				}
				broken, listed = c.broken, c.left
				w.pass(8 * 24 * time.Hour) // the collections are looked up once a week
				s := w.status()
				if !w.lists("45.33.32.1") || w.lists("45.33.32.2") != c.stays || (s.BadPieces > 0) != c.named {
					t.Errorf("a in force: %v, b: %v; %+v", w.lists("45.33.32.1"), w.lists("45.33.32.2"), s)
				}
				broken, listed = "", "ab"
				w.pass(8 * 24 * time.Hour)
				if s := w.status(); w.live() != 2 || s.BadPieces != 0 {
					t.Errorf("%d entries in the end: %+v", w.live(), s)
				}
			})
		})
	}
}

// TestTAXIIBadFirstPage: of a server whose only collection begins with what cannot be had,
// the rest comes into force.
func TestTAXIIBadFirstPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(-24 * time.Hour)
		var objects []stixObject
		for i := range 7 {
			added := start.Add(time.Duration(i) * time.Minute)
			objects = append(objects, stixObject{Type: "indicator", ID: fmt.Sprintf("indicator--%08d-0000-4000-8000-000000000000", i), Spec: "2.1",
				Modified: added, Pattern: fmt.Sprintf("[ipv4-addr:value = '62.0.%d.1']", i), ValidFrom: added, added: added})
		}
		s := &source1{places: map[string]func(*http.Request, string) bool{
			"first": func(_ *http.Request, body string) bool { return strings.Contains(body, "indicator--00000000-") },
		}}
		s.serve = func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/c/" {
				serves(`{"id":"c","title":"c","can_read":true}`)(rw, r)
				return
			}
			serveObjects1(rw, r, objects)
		}
		w := newWorld(t, s.spoil("first", "500"), spec.Feed{Name: "t", URL: "http://127.0.0.1/c/", TAXII: &spec.TAXII{Limit: 3}})
		w.start()
		w.pass(3 * time.Hour)
		if st := w.status(); w.live() != 6 || st.BadPieces == 0 {
			t.Errorf("%d entries, want 6: %+v", w.live(), st)
		}
		w.answer(s.serve)
		w.pass(3 * time.Hour)
		if st := w.status(); w.live() != 7 || st.BadPieces != 0 {
			t.Errorf("%d entries, want 7: %+v", w.live(), st)
		}
	})
}
