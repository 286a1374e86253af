//go:build integration

package taxii

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A follower keeps the table of one TAXII feed in force.
type follower struct {
	t       *testing.T
	manager *fetch.Manager
	store   *lookup.Store
}

// follow follows the collections of those titles; none = all that can be read.
func follow(t *testing.T, base string, collections ...string) *follower {
	t.Helper()
	cfg := spec.DefaultConfig()
	cfg.Feeds = []spec.Feed{{
		Name: "medallion", URL: spec.URL(base + "/taxii2/"), User: user, Password: password,
		Interval: 10 * time.Second, TAXII: &spec.TAXII{Collections: collections},
	}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, store: lookup.NewStore()}
	f.manager = fetch.New(cfg, fetch.Options{
		Dir: t.TempDir(), Version: "test",
		Publish: func(table *lookup.Table, _ lookup.Report) { f.store.Swap(table) },
	})
	if err := f.manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.manager.Stop)
	return f
}

// wait waits until exactly these addresses are listed.
func (f *follower) wait(addrs ...string) {
	f.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		table := f.store.Load()
		found := 0
		for _, a := range addrs {
			if !table.Find(netip.MustParseAddr(a), 0).Empty() {
				found++
			}
		}
		if found == len(addrs) && table.Len() == found {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("%d of %v are among %d listed: %+v", found, addrs, table.Len(), f.manager.Status()[0])
		}
	}
}

// TestMedallion follows a collection through pages, a newer version, a revocation and
// the end of an indicator's validity.
func TestMedallion(t *testing.T) {
	s := start(t)
	then := time.Now().Add(-time.Hour)
	for i := range 5 {
		s.add(t, newIndicator(i, then, fmt.Sprintf("62.0.%d.1", i)))
	}
	f := follow(t, s.base, "bad addresses")
	f.wait("62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.3.1", "62.0.4.1")

	revoked := newIndicator(2, then.Add(time.Minute), "62.0.2.1")
	revoked["revoked"] = true
	s.add(t, newIndicator(1, then.Add(time.Minute), "62.9.1.1"), revoked, newIndicator(7, then, "62.0.7.1"))
	f.wait("62.0.0.1", "62.9.1.1", "62.0.3.1", "62.0.4.1", "62.0.7.1")

	ended := newIndicator(7, then.Add(2*time.Minute), "62.0.7.1")
	ended["valid_until"] = time.Now().Add(-time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	s.add(t, ended)
	f.wait("62.0.0.1", "62.9.1.1", "62.0.3.1", "62.0.4.1")
	if status := f.manager.Status()[0]; status.Error != "" || status.Code != 200 {
		t.Errorf("%+v", status)
	}
}

// TestMedallionBadPiece: while a collection, and then a page, of the server cannot be read,
// all else is in force and the bad one is named; it comes when it can be read again.
func TestMedallionBadPiece(t *testing.T) {
	s := start(t)
	then := time.Now().Add(-time.Hour)
	for i := range 5 {
		s.add(t, newIndicator(i, then, fmt.Sprintf("62.0.%d.1", i)))
	}
	s.addTo(t, second, newIndicator(10, then, "62.1.0.1"), newIndicator(11, then, "62.1.1.1"))
	behind, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	var bad atomic.Pointer[func(path, body string) bool]
	breaks := func(f func(path, body string) bool) { bad.Store(&f) }
	breaks(func(path, _ string) bool { return strings.HasSuffix(path, "/"+second+"/objects/") })
	proxy := httptest.NewUnstartedServer(nil)
	front := "http://" + proxy.Listener.Addr().String()
	proxy.Config.Handler = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			text := strings.ReplaceAll(string(body), s.base, front)
			if (*bad.Load())(r.Request.URL.Path, text) {
				r.StatusCode, text = http.StatusInternalServerError, "broken"
			}
			r.Body = io.NopCloser(strings.NewReader(text))
			r.ContentLength = int64(len(text))
			r.Header.Set("Content-Length", strconv.Itoa(len(text)))
			return nil
		},
	}
	proxy.Start()
	t.Cleanup(proxy.Close)

	f := follow(t, front)
	f.wait("62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.3.1", "62.0.4.1")
	if st := f.manager.Status()[0]; st.BadPieces != 1 || len(st.Bad) != 1 || !strings.Contains(st.Bad[0].Name, second) {
		t.Errorf("the collection is not named: %+v", st)
	}
	breaks(func(_, body string) bool { return strings.Contains(body, "'62.0.6.1'") })
	s.add(t, newIndicator(5, then, "62.0.5.1"), newIndicator(6, then, "62.0.6.1"), newIndicator(7, then, "62.0.7.1"))
	s.addTo(t, second, newIndicator(12, then, "62.1.2.1"))
	f.wait("62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.3.1", "62.0.4.1", "62.0.5.1", "62.0.7.1", "62.1.0.1", "62.1.1.1", "62.1.2.1")
	breaks(func(_, _ string) bool { return false })
	f.wait("62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.3.1", "62.0.4.1", "62.0.5.1", "62.0.6.1", "62.0.7.1", "62.1.0.1", "62.1.1.1", "62.1.2.1")
}
