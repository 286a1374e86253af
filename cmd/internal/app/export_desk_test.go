package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// tableOf lists so many addresses.
func tableOf(n int, version string) *lookup.Table {
	b := lookup.NewBuilder(lookup.Policy{})
	for i := range n {
		a := netip.AddrFrom4([4]byte{62, byte(i >> 15), byte(i >> 7), byte(i << 1)})
		b.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Feed: "f", Score: 50}, lookup.OriginFeed)
	}
	t, _ := b.Build(version)
	return t
}

// A stalled client reads nothing: each write waits for its deadline.
type stalled struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (s *stalled) SetWriteDeadline(t time.Time) error {
	s.until = t
	return nil
}

func (s *stalled) Write([]byte) (int, error) {
	time.Sleep(time.Until(s.until))
	return 0, os.ErrDeadlineExceeded
}

// TestExportStalledClient: clients that read nothing keep nobody else from a list, not even of
// those that are too long to be shared; they are given up and counted.
func TestExportStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &feedService{store: lookup.NewStore(), now: time.Now, exports: newExportDesk()}
		d.exports.most = 26_000
		d.store.Swap(tableOf(2000, "v"))
		get := func(w http.ResponseWriter, target, query string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, exportPath+target+"?set=1&"+query, nil)
			r.SetPathValue("target", target)
			d.fetchExport(w, r)
		}
		var wait sync.WaitGroup
		for _, target := range []string{"nftables", "text", "text", "pf"} { // nftables is long
			wait.Go(func() { get(&stalled{ResponseRecorder: httptest.NewRecorder()}, target, "max=1500") })
		}
		synctest.Wait()
		at := time.Now()
		for target, want := range map[string]int{"text": 200, "openbgpd": 503, "rbldnsd": 503, "pf": 200} { // the middle ones are long, too
			w := httptest.NewRecorder()
			if get(w, target, ""); w.Code != want || want == 503 && (!strings.Contains(w.Body.String(), "another large list") || w.Header().Get("Retry-After") == "") {
				t.Errorf("%s: %d %.100s", target, w.Code, w.Body)
			}
		}
		if time.Since(at) != 0 {
			t.Errorf("others waited %s", time.Since(at))
		}
		wait.Wait()
		if took := time.Since(at); took != stallTime {
			t.Errorf("given up after %s", took)
		}
		w := httptest.NewRecorder()
		if get(w, "openbgpd", ""); w.Code != 200 || w.Header().Get("Content-Length") != "" {
			t.Errorf("a long one afterwards: %d %v", w.Code, w.Header())
		}
		if s := d.exports.status(); s.Aborted != 4 || s.Sent != 3 || s.Busy != 2 || len(d.exports.places) != 0 || len(d.exports.large) != 0 || len(d.exports.turn) != 0 {
			t.Errorf("%+v, %d places", s, len(d.exports.places))
		}
		d.exports.forget(time.Now().Add(sharedFor))
		if len(d.exports.shared) != 0 {
			t.Errorf("%d lists are kept", len(d.exports.shared))
		}
	})
}

// TestExportWaits: while a list is made another client waits for its turn, but not for ever, and
// not when it has gone.
func TestExportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExportDesk()
		never := func(string) bool { return false }
		e.turn <- struct{}{}
		at := time.Now()
		if _, err := e.get(t.Context(), "q", never, nil); err != errExportsBusy || time.Since(at) != exportWait {
			t.Errorf("%v after %s", err, time.Since(at))
		}
		ctx, gone := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, gone)
		at = time.Now()
		if _, err := e.get(ctx, "q", never, nil); err == nil || time.Since(at) != time.Second {
			t.Errorf("gone: %v after %s", err, time.Since(at))
		}
		<-e.turn
		if _, err := e.get(t.Context(), "q", never, func() (*Listing, error) { return nil, errNotGranted("x") }); err == nil || len(e.turn) != 0 {
			t.Errorf("%v, the turn is held: %d", err, len(e.turn))
		}
	})
}

// clientFrom makes a client with an address of its own.
func clientFrom(i int) *http.Client {
	dial := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, Timeout: 10 * time.Second}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dial.DialContext, DisableKeepAlives: true}}
}

// TestExportManyClients: hundreds of firewalls that come at the same moment get the same list, of
// which few are made; those beyond the bounds are put off and come again. FLOWSNITCH_CLIENTS=1000
// is what 'make soak' does.
func TestExportManyClients(t *testing.T) {
	clients := int64(200)
	if n, err := strconv.Atoi(os.Getenv("FLOWSNITCH_CLIENTS")); err == nil {
		clients = int64(n)
	}
	var made atomic.Int64
	d := &feedService{store: lookup.NewStore(), exports: newExportDesk(), now: func() time.Time { made.Add(1); return time.Now() }}
	d.store.Swap(tableOf(1000, "v"))
	url := exportServer(t, d, web.ExportToken{Token: exportToken}) + exportPath + "text/" + exportToken + "?set=1&no-time=1"
	var wait sync.WaitGroup
	var lists sync.Map
	var got, again atomic.Int64
	begin := time.Now()
	for i := range int(clients) {
		wait.Go(func() {
			client := clientFrom(i)
			for pause := 20 * time.Millisecond; time.Since(begin) < time.Minute; pause = min(2*pause, time.Second) {
				resp, err := client.Get(url)
				if err == nil {
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil && resp.StatusCode == 200 {
						lists.Store(string(b), true)
						got.Add(1)
						return
					}
					if err == nil && (resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "") {
						t.Errorf("%d %s", resp.StatusCode, b)
						return
					}
				}
				again.Add(1)
				time.Sleep(pause + time.Duration(i%50)*time.Millisecond)
			}
		})
	}
	wait.Wait()
	different := 0
	lists.Range(func(any, any) bool { different++; return true })
	if got.Load() != clients || different != 1 {
		t.Errorf("%d of %d, %d different lists", got.Load(), clients, different)
	}
	if n, most := made.Load(), 3+int64(time.Since(begin)/sharedFor); n > most {
		t.Errorf("%d lists were made, at most %d are needed", n, most)
	}
	t.Logf("%s, %d lists made, %d came again", time.Since(begin).Round(time.Millisecond), made.Load(), again.Load())
}

// TestExportWhileReloading: while the set is replaced all the time, each list is one of the two
// sets as a whole.
func TestExportWhileReloading(t *testing.T) {
	d := &feedService{store: lookup.NewStore(), now: time.Now, exports: newExportDesk()}
	one, two := tableOf(300, "one"), tableOf(500, "two")
	d.store.Swap(one)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
				d.store.Swap([]*lookup.Table{one, two}[i%2])
			}
		}
	})
	counts := make(map[int]int)
	for i := range 30 {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, exportPath+"text?set=1&no-time=1", nil)
		r.SetPathValue("target", "text")
		if d.fetchExport(w, r); w.Code != 200 || !strings.HasPrefix(w.Body.String(), fmt.Sprintf("# flowsnitch export text: %d ", strings.Count(w.Body.String(), "\n62."))) {
			t.Fatalf("%d: %d %.100s", i, w.Code, w.Body)
		}
		counts[strings.Count(w.Body.String(), "\n62.")]++
		d.exports.forget(time.Now().Add(sharedFor))
	}
	close(stop)
	wait.Wait()
	if len(counts) > 2 || counts[300]+counts[500] != 30 {
		t.Errorf("%v", counts)
	}
}

// TestExportTokensReload: a token is revoked, and another one given, without a restart; one that
// is good for nothing is an error, and the old ones stay.
func TestExportTokensReload(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1")+"}]}\nweb: {listen: '127.0.0.1:0', export_tokens: [{token: "+exportToken+"}]}", Options{})
	i := 0
	ask := func(token string) int {
		t.Helper()
		i++
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.web.Addr().String()+exportPath+"text?set=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := clientFrom(i).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if a, b := ask(exportToken), ask("another-token-of-length"); a != 200 || b != 401 {
		t.Errorf("at first %d %d", a, b)
	}
	cfg := w.cfg
	cfg.Web.ExportTokens = []web.ExportToken{{Token: "another-token-of-length"}}
	if keys := w.needRestart(&cfg); len(keys) != 0 {
		t.Errorf("need a restart: %v", keys)
	}
	if err := w.web.Reconfigure(&cfg); err != nil {
		t.Fatal(err)
	}
	if a, b := ask(exportToken), ask("another-token-of-length"); a != 401 || b != 200 {
		t.Errorf("afterwards %d %d", a, b)
	}
	for query, want := range map[string]string{
		"set=1&colour=red": "web.export_tokens[0].query: colour: is no parameter of the set", "max=x": "web.export_tokens[0].query: max: ", "set=1&max-tlp=red": "web.export_tokens[0].query: max-tlp: ",
		"severity=odd": "web.export_tokens[0].query: severity: ",
	} {
		cfg.Web.ExportTokens = []web.ExportToken{{Token: exportToken, Query: query}}
		if err := w.web.Reconfigure(&cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
	cfg.Web.ExportTokens = []web.ExportToken{{Token: exportToken, Targets: []string{"nftable"}}}
	if err := w.web.Reconfigure(&cfg); err == nil || !strings.HasPrefix(err.Error(), `web.export_tokens[0].targets: "nftable" is not valid; use text, nftables`) {
		t.Errorf("%v", err)
	}
	if b := ask("another-token-of-length"); b != 200 {
		t.Errorf("after errors %d", b)
	}
}

// TestExportTokenNowhere: a token, right or wrong, is in no log, metric, status or error,
// wherever it was sent.
func TestExportTokenNowhere(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	dir := shortDir(t)
	const wrong = "wrong-token-of-a-firewall"
	w := observeLogged(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1")+"}]}\nweb: {listen: '127.0.0.1:0', export_tokens: [{token: "+exportToken+"}]}", Options{}, zap.New(core))
	var shown bytes.Buffer
	for i, token := range []string{exportToken, wrong} {
		for j, path := range []string{"text/" + token + "?set=1", "nope/" + token, "text/" + token + "/" + token, "text/" + token + "?set=1&max=x", "text?set=1&token=" + token, "/" + token, "text/" + token + "?set=1;" + token} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.web.Addr().String()+exportPath+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth(token, token)
			client := clientFrom(1000 + 100*i + j)
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusMovedPermanently && resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect { // which repeats the path to whoever sent it
				shown.Write(b)
			}
		}
	}
	for _, path := range []string{"/metrics", "/status", "/healthz", "/readyz"} {
		resp, err := clientFrom(9).Get("http://" + w.web.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if shown.Write(b); path == "/metrics" && !bytes.Contains(b, []byte("exports_sent_total 1\n")) {
			t.Errorf("%s", b)
		}
	}
	for _, e := range logs.All() {
		fmt.Fprintln(&shown, e.Message, e.ContextMap())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			shown.Write(b)
		}
	}
	fmt.Fprintf(&shown, "%v %+v %#v", w.cfg.Web, w.cfg.Web, w.cfg.Web)
	for _, token := range []string{exportToken, wrong} {
		if i := bytes.Index(shown.Bytes(), []byte(token)); i >= 0 {
			t.Errorf("%s: …%s", token, shown.Bytes()[max(i-300, 0):min(i+100, shown.Len())])
		}
	}
}
