package fetch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A pulse of which the rest cannot be had keeps what is on its page, the other pulses are
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
				case r.URL.Path == otxSubscribed && r.URL.Query().Get("modified_since") != "":
					serves(`{"results":[],"next":null}`)(rw, r)
				case r.URL.Path == otxSubscribed && r.URL.Query().Get("page") == "1":
					_ = json.NewEncoder(rw).Encode(map[string]any{"results": []any{pulse(1, true)}, "next": "http://127.0.0.1" + otxSubscribed + "?limit=2&page=2"})
				case r.URL.Path == otxSubscribed:
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
			if s := w.status(); !w.lists("45.33.32.1") || !w.lists("45.33.32.2") || s.BadPieces != 1 || !strings.Contains(s.Note, "pulse 000000000000000000000001") {
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

// One API root or collection of a TAXII server that fails costs only itself.
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
				}, Feed{Name: "t", URL: "http://127.0.0.1/taxii2/", TAXII: &TAXII{}})
				w.start()
				w.pass(2 * time.Minute)
				if s := w.status(); w.live() != 1 || s.Error != "" || s.BadPieces != 1 || s.Note == "" {
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

// An event that is rubbish costs only itself; many that fail in a row end the reading, and
// still let those behind them through the next time.
func TestMISPFeedBadEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &mispDir{stamps: map[string]time.Time{}, events: map[string]string{}}
		for i := range 30 {
			d.put(i, time.Now().Add(time.Duration(i)*time.Second), fmt.Sprintf("62.0.%d.1", i))
			if i < 15 {
				d.events[uuidOf(i)] = "<html>"
			}
		}
		w := newWorld(t, d.ServeHTTP, Feed{Name: "m", URL: "http://127.0.0.1/feed", MISP: &MISP{}})
		w.start()
		w.pass(2 * time.Hour)
		if s := w.status(); w.live() != 15 || s.BadPieces == 0 {
			t.Errorf("%d entries, want 15: %+v", w.live(), s)
		}
	})
}
