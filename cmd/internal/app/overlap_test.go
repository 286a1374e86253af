package app

import (
	"context"
	"encoding/json"
	"fmt"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// within runs f and fails when it hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(hangs):
		stacks := make([]byte, 1<<20)
		t.Fatalf("after %v it still hangs: %s\n%s", hangs, what, stacks[:runtime.Stack(stacks, true)])
	}
}

// endless serves a feed whose answer never ends. It reports each request on the channel.
func endless(t *testing.T) (url string, asked <-chan struct{}) {
	t.Helper()
	requests, end := make(chan struct{}, 100), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "62.0.0.1")
		w.(http.Flusher).Flush()
		select {
		case requests <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
		case <-end:
		}
	}))
	t.Cleanup(func() { close(end); s.Close() })
	return s.URL, requests
}

// A filed app has its configuration in a file, as one that is reloaded must.
type filed struct {
	*App
	path string
	logs *observer.ObservedLogs
}

func (f filed) write(t *testing.T, text string) {
	t.Helper()
	head := fmt.Sprintf("state_dir: %s\nlisten: [{udp: \"127.0.0.1:0\"}]\ncanary: {every: 0s}\n", filepath.Dir(f.path))
	if !strings.Contains(text, "sinks:") {
		head += "sinks: [{jsonlog: {}}]\n"
	}
	if !strings.Contains(text, "web:") {
		head += "web: {listen: ''}\n"
	}
	if err := os.WriteFile(f.path, []byte(head+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newFiled(t *testing.T, text string) filed {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	f := filed{path: filepath.Join(shortDir(t), "f.yml"), logs: logs}
	f.write(t, text)
	cfg, err := configs.Load(f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.App = New(cfg, Options{ConfigFile: f.path, Out: io.Discard}, zap.New(core))
	return f
}

func startFiled(t *testing.T, text string) filed {
	t.Helper()
	f := newFiled(t, text)
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "the stop", func() { f.Stop() }) })
	return f
}

// TestReloadDuringUpdate: a fetch that never ends keeps neither a reload, nor the status,
// nor the chores, nor the stop waiting. The update that it belongs to ends with the reason.
func TestReloadDuringUpdate(t *testing.T) {
	url, asked := endless(t)
	feeds := fmt.Sprintf("intel: {feeds: [{name: far, url: %q}], deny: [62.0.0.9]}\n", url)
	f := startFiled(t, feeds)
	<-asked // the scheduled fetch, which holds the feed
	updated := make(chan error, 1)
	go func() {
		_, err := f.feeds.update(context.Background(), nil)
		updated <- err
	}()
	f.write(t, feeds+"home: [10.0.0.0/8]\n")
	within(t, "a reload during a fetch", func() {
		if err := f.Reload(); err != nil {
			t.Error(err)
		}
	})
	within(t, "status and chores", func() {
		f.Status()
		f.feeds.logComplaints()
		f.feeds.dateChanged()
	})
	within(t, "the update that was under way", func() {
		if err := <-updated; err != nil && err != errReplaced {
			t.Errorf("the update ended with %v", err)
		}
	})
	if got := f.feeds.config().Home; len(got) != 1 {
		t.Errorf("the feeds are kept with home %v", got)
	}
	within(t, "the stop", func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := f.feeds.update(t.Context(), nil); err != errReplaced {
		t.Errorf("an update after the stop: %v", err)
	}
	if err := f.Reload(); err == nil || !strings.Contains(err.Error(), "is stopping") {
		t.Errorf("a reload after the stop: %v", err)
	}
}

// TestStopDuringFetch: a fetch that never ends does not keep the stop waiting.
func TestStopDuringFetch(t *testing.T) {
	url, asked := endless(t)
	f := startFiled(t, fmt.Sprintf("intel: {feeds: [{name: far, url: %q}]}\n", url))
	<-asked
	within(t, "the stop during a fetch", func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// ask asks the control socket of an app. The status is 0 when nobody answers.
func ask(path, method, request string) (status int, text string) {
	c := http.Client{Timeout: hangs, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	r, err := http.NewRequest(method, "http://control"+request, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// TestRequestsAnytime sends every request to the control socket and the web server while
// an app starts, reloads and stops. Each is answered, with a reason until it can be met,
// and under -race none reads what Start has yet to write.
func TestRequestsAnytime(t *testing.T) {
	url, _ := endless(t)
	site := freeTCP(t)
	f := newFiled(t, fmt.Sprintf("web: {listen: %q}\nintel: {feeds: [{name: far, url: %q}]}\n"+
		"dnsbl: {zones: [{zone: dnsbl.invalid}], server: \"127.0.0.1:9\"}", site, url))
	socket := filepath.Join(filepath.Dir(f.path), "control.sock")
	done := make(chan struct{})
	var asking sync.WaitGroup
	seen := make(map[string]bool)
	var mu sync.Mutex
	for _, request := range []string{"GET /status", "GET /lookup?prefix=62.0.0.1/32", "POST /intel/update?feed=none", "POST /intel/accept?feed=none"} {
		asking.Go(func() {
			method, path, _ := strings.Cut(request, " ")
			for {
				status, text := ask(socket, method, path)
				mu.Lock()
				seen[fmt.Sprint(request, " ", status)] = true
				mu.Unlock()
				if status >= 500 && (status != http.StatusServiceUnavailable || !strings.Contains(text, `"error":"`)) {
					t.Errorf("%s: %d %s", request, status, text)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for _, path := range []string{"/readyz", "/metrics", "/api/v1/status", "/healthz"} {
		asking.Go(func() {
			for {
				if resp, err := http.Get("http://" + site + path); err == nil {
					if resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("%s: %s", path, resp.Status)
					}
					resp.Body.Close()
				}
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := f.Reload(); err != nil {
			t.Error(err)
		}
	}
	until(t, "requests are met", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return seen["GET /lookup?prefix=62.0.0.1/32 200"] && seen["POST /intel/update?feed=none 400"]
	})
	within(t, "the stop", func() { f.Stop() })
	close(done)
	asking.Wait()
}

// TestNotReady: until everything is there requests are answered with 503 and the reason.
func TestNotReady(t *testing.T) {
	f := newFiled(t, "intel: {feeds: []}")
	ask := func(when, want string) {
		t.Helper()
		for _, r := range f.registry.Routes() {
			if r.Always {
				continue
			}
			w := httptest.NewRecorder()
			r.Handler.ServeHTTP(w, httptest.NewRequest(r.Method, r.Path, nil))
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s %s: %d %s", when, r.Path, w.Code, w.Body)
			}
		}
	}
	ask("before the start", "is starting")
	if status, v := f.readiness(); status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(v), "starting") {
		t.Errorf("readiness before the start: %d %+v", status, v)
	}
	if err := f.Reload(); err == nil {
		t.Error("a reload before the start is no error")
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	f.Stop()
	ask("after the stop", "is stopping")
	if status, v := f.readiness(); status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(v), "stopping") {
		t.Errorf("readiness after the stop: %d %+v", status, v)
	}
}

// TestHeldBackDuringStart: a copy that is held back while the feeds are loaded, or by an
// update as soon as the control socket answers, raises its alert in a place that is there.
func TestHeldBackDuringStart(t *testing.T) {
	dir := shortDir(t)
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("62.0.%d.%d", i/200, i%200)
	}
	feed := list(t, dir, "bad.txt", many...)
	text := fmt.Sprintf("{feeds: [{file: %s}]}", feed)
	w := observed(t, dir, text, Options{})
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	list(t, dir, "bad.txt", many[:3]...)
	w = observed(t, dir, text, Options{})
	if n := w.Status().Intel.Indicators; n != 1000 {
		t.Errorf("%d indicators in force", n)
	}
	w.waitAlert(t, "feed_held_back: feed bad")
}

// overlapEnv is for how long TestOverlaps goes on; without it a few rounds must do.
const overlapEnv = "FLOWSNITCH_OVERLAP"

// TestOverlaps lets everything that may happen to an app happen at once, in random order:
// requests from before the start until after the stop, reloads, updates, looks of the chores.
// Nothing may hang, race or be left behind.
func TestOverlaps(t *testing.T) {
	url, _ := endless(t)
	least, _ := time.ParseDuration(os.Getenv(overlapEnv))
	before := runtime.NumGoroutine()
	begin := time.Now()
	rounds := uint64(0)
	for ; rounds < 6 || time.Since(begin) < least; rounds++ {
		overlap(t, url, rounds)
	}
	until(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
	t.Logf("%d rounds in %v", rounds, time.Since(begin).Round(time.Second))
}

// overlap is one round of TestOverlaps.
func overlap(t *testing.T, url string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 11))
	text := func() string {
		return fmt.Sprintf("intel: {feeds: [{name: far, url: %q, score: %d}], deny: [62.0.0.9]}\nweb: {listen: \"127.0.0.1:0\"}\nhistory: {enabled: %v, keep: %dh, exclude: [10.0.0.%d]}\n",
			url, 50+random.IntN(40), random.IntN(3) > 0, 1+random.IntN(9), random.IntN(9))
	}
	f := newFiled(t, text())
	request := func(method, path string) func() {
		return func() {
			b, err := web.Fetch(context.Background(), filepath.Dir(f.path), method, path)
			if err == nil && len(b) == 0 || err != nil && strings.Contains(err.Error(), "the running instance has no") {
				t.Errorf("%s answers nothing (%v)", path, err)
			}
		}
	}
	requests := []func(){
		request(http.MethodGet, "/status"), request(http.MethodGet, "/status/report"), request(http.MethodGet, "/status/samples"), request(http.MethodGet, "/metrics"),
		request(http.MethodGet, "/readyz"), request(http.MethodGet, "/lookup?prefix=62.0.0.9/32"), request(http.MethodPost, "/intel/update"),
		request(http.MethodPost, "/intel/accept?feed=far"), func() { f.Status() }, func() { f.readiness() }, func() { f.Findings() }, func() { f.Reload() },
	}
	inside := []func(){
		func() { f.feeds.update(context.Background(), nil) },
		func() { f.feeds.quarantine(netip.MustParsePrefix("62.0.0.1/32"), "a test") },
		func() { f.feeds.dateChanged() },
		func() { f.storms.look(time.Now().Add(time.Hour)) },
		func() { f.checks.look(time.Now()) },
		func() { f.history.Flush(context.Background()) },
		func() { f.history.Erase(context.Background(), []netip.Prefix{netip.MustParsePrefix("62.0.0.1/32")}) },
		func() { f.history.Folder() },
	}
	var all sync.WaitGroup
	some := func(n int, acts []func()) {
		for range n {
			all.Go(acts[random.IntN(len(acts))])
			if random.IntN(4) == 0 {
				time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
			}
		}
	}
	started := make(chan error, 1)
	go func() { started <- f.Start() }()
	some(10, requests)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	for range 5 {
		f.write(t, text()) // read whole or not at all: a broken one is refused
		some(6, slices.Concat(requests, inside))
	}
	var stops sync.WaitGroup
	for range 2 {
		stops.Go(func() { f.Stop() })
	}
	some(6, requests)
	within(t, fmt.Sprintf("the stop, seed %d", seed), stops.Wait)
	within(t, fmt.Sprintf("what was under way, seed %d", seed), all.Wait)
	if _, err := f.feeds.current.Load().use(); err != errReplaced {
		t.Fatalf("seed %d: the feeds are used after the stop", seed)
	}
}

// TestReloadQuarantine: the share of a reload holds at the next look.
func TestReloadQuarantine(t *testing.T) {
	dir := t.TempDir()
	feed := list(t, dir, "bad.txt", "62.0.0.53")
	text := fmt.Sprintf("intel: {feeds: [{file: %s}], quarantine: {share: %%d, min_flows: 1}}", feed)
	f := startFiled(t, fmt.Sprintf(text, 10))
	f.write(t, fmt.Sprintf(text, 0))
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if q := f.feeds.config().Intel.Quarantine; q.Share != 0 {
		t.Errorf("in force is %+v", q)
	}
	if n := f.logs.FilterMessageSnippet("after a restart").Len(); n != 0 {
		t.Error("a key that is applied is said to need a restart")
	}
}

// fill makes one entry in each list of blocks and every optional block, so that each key
// of a configuration has a value to change.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		fill(v.Index(0))
	}
}

// each calls f with the path of every key of a configuration and its value.
func each(key string, v reflect.Value, f func(string, reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer:
		each(key, v.Elem(), f)
		return
	case v.Kind() == reflect.Slice && v.Len() > 0 && v.Index(0).Kind() == reflect.Struct && v.Index(0).Type().NumField() > 0 && v.Index(0).Type().Field(0).IsExported():
		each(key+"[0]", v.Index(0), f)
	case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type().Field(0).IsExported():
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name == "" || name == "-" {
				continue
			}
			path := name
			if key != "" {
				path = key + "." + name
			}
			each(path, v.Field(i), f)
		}
		return
	}
	f(key, v)
}

// alter gives a value other than the one that is there.
func alter(t *testing.T, key string, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.MustParseAddr("192.0.2.77")
		return
	case *netip.Prefix:
		*x = netip.MustParsePrefix("192.0.2.77/32")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	default:
		t.Fatalf("%s: no way to change a %s; teach this test", key, v.Type())
	}
}

// TestEveryKeyOfAReload changes each key of the configuration in turn: a reload either
// applies it or names it. What it applies is fixed here, for each needs a test of its own.
func TestEveryKeyOfAReload(t *testing.T) {
	whole := func() *configs.Config {
		c := configs.Default()
		fill(reflect.ValueOf(&c).Elem())
		return &c
	}
	cfg := whole()
	a := New(*cfg, Options{}, zap.NewNop())
	keys := 0
	each("", reflect.ValueOf(whole()).Elem(), func(key string, _ reflect.Value) {
		keys++
		now := whole()
		each("", reflect.ValueOf(now).Elem(), func(k string, v reflect.Value) {
			if k == key {
				alter(t, key, v)
			}
		})
		applied := strings.HasPrefix(key, "report.") || // TestReportReload
			strings.HasPrefix(key, "incidents.keep") || key == "incidents.max" || // TestIncidentsReload
			strings.HasPrefix(key, "rules.") && !strings.HasPrefix(key, "rules.max_") || // TestReloadRules
			strings.HasPrefix(key, "web.export_tokens") || // TestExportTokensReload
			strings.HasPrefix(key, "intel.") || key == "listen[0].allow" || // TestReloadQuarantine, TestReloadAllow
			strings.HasPrefix(key, "history.") && !strings.HasPrefix(key, "history.max_contacts") // TestReload of flow/history
		named := a.needRestart(now)
		if applied == (len(named) > 0) || !applied && named[0] != key {
			t.Errorf("%s: applied %v, named %v", key, applied, named)
		}
	})
	if keys < 150 {
		t.Errorf("only %d keys", keys)
	}
}

// TestReloadAllow: allow lists of listeners change at once, and other keys of the same
// file that cannot are named.
func TestReloadAllow(t *testing.T) {
	f := startFiled(t, "intel: {feeds: []}")
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"127.0.0.1:0"`, `"127.0.0.1:0", allow: [192.0.2.0/24]`, 1) + "profile: edge\ncontact: {idle: 2h}\n"
	if err := os.WriteFile(f.path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if l := f.listeners.list[0].allows.Load(); !l.Contains(netip.MustParseAddr("192.0.2.1")) || l.Contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("the new allow list is not in force")
	}
	logged := f.logs.FilterMessage("changes of these keys take effect after a restart").All()
	if len(logged) != 1 {
		t.Fatalf("log %v", f.logs.All())
	}
	text, _ = json.Marshal(logged[0].ContextMap()["keys"])
	for _, key := range []string{`"profile"`, `"contact.idle"`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("%s is not among %s", key, text)
		}
	}
}
