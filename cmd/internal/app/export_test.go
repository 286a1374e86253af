package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestExportRoute: while a list is made another one is refused, for a moment; a wrong
// request, a target that is not there and an empty set are errors and no lists.
func TestExportRoute(t *testing.T) {
	d := &feedService{store: lookup.NewStore(), now: time.Now}
	ask := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.export(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ExportPath+"?"+query, nil))
		return w
	}
	d.exporting.Lock()
	if w := ask("target=text"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "another list is being exported") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	d.exporting.Unlock()
	for query, want := range map[string]string{
		"target=text&max=0": "max: 0 is not valid",
		"target=x":          `target: \"x\" is not valid; use text, nftables`,
		"target=text":       "nothing is listed",
	} {
		if w := ask(query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}
