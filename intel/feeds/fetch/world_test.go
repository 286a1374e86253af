package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"

	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A world is a network of one server, in memory, so that the clock of synctest rules
// it, and a manager in front of it whose state outlives it.
type world struct {
	date func() time.Time // that is trusted; nil = the wall clock
	disk *store.Disk      // nil = the usual one

	// inForce are addresses that must stay listed while a process runs, once they are;
	// lost says which did not.
	inForce []netip.Addr
	lost    []string

	t       *testing.T
	dir     string
	cfg     spec.Config
	handler http.Handler
	conns   chan net.Conn
	server  *http.Server
	down    bool // no connection comes about
	steps   int  // of pass

	mu       sync.Mutex
	requests []request1
	tables   []*lookup.Table
	began    int // how many of them are of processes before
	alerts   []string
	m        *Manager
	logs     *observer.ObservedLogs
	core     *zap.Logger
}

// A request1 is a request as the server saw it.
type request1 struct {
	at     time.Time
	host   string
	method string
	uri    string
	header http.Header
}

// newWorld makes a world for one synctest bubble.
func newWorld(t *testing.T, handler http.HandlerFunc, feeds ...spec.Feed) *world {
	t.Helper()
	cfg := spec.DefaultConfig()
	cfg.Feeds = feeds
	cfg.Contact = "noc@example.net"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), cfg: cfg, handler: handler, conns: make(chan net.Conn)}
	core, logs := observer.New(zap.DebugLevel)
	w.core, w.logs = zap.New(core), logs
	w.server = &http.Server{Handler: http.HandlerFunc(w.serve)}
	served := make(chan struct{})
	go func() { defer close(served); _ = w.server.Serve(w) }()
	t.Cleanup(func() {
		w.stop()
		_ = w.server.Close()
		<-served
	})
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests = append(w.requests, request1{time.Now(), r.Host, r.Method, r.URL.RequestURI(), r.Header.Clone()})
	h := w.handler
	w.mu.Unlock()
	h.ServeHTTP(rw, r)
}

// answer changes what the server does.
func (w *world) answer(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler = h
}

// Accept, Close and Addr make it a net.Listener.
func (w *world) Accept() (net.Conn, error) {
	c, ok := <-w.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (w *world) Close() error {
	defer func() { _ = recover() }() // closed twice
	close(w.conns)
	return nil
}

func (w *world) Addr() net.Addr { return &net.TCPAddr{} }

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("connection refused")}
	}
	here, there := net.Pipe()
	select {
	case w.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start makes a new process of the program on the same state.
func (w *world) start() *Manager {
	w.t.Helper()
	w.stop()
	w.m, w.began = w.manager(), len(w.tables)
	if err := w.m.Start(); err != nil {
		w.t.Fatal(err)
	}
	return w.m
}

func (w *world) manager() *Manager {
	m := New(w.cfg, Options{
		Dir: w.dir, Version: "1.2.3", Home: intel.DefaultHome(), Now: w.date, Log: w.core,
		Publish: func(t *lookup.Table, _ lookup.Report) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, a := range w.inForce {
				if n := len(w.tables); n > w.began && !w.tables[n-1].Find(a, 0).Empty() && t.Find(a, 0).Empty() {
					w.lost = append(w.lost, a.String()+" has gone")
				}
			}
			w.tables = append(w.tables, t)
		},
		Alert: func(feed, why string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.alerts = append(w.alerts, feed+": "+why)
		},
	})
	m.shared.Dial, m.shared.Disk = w.dial, w.disk
	return m
}

func (w *world) stop() {
	if w.m != nil {
		w.m.Stop()
		w.m = nil
	}
}

// live gives the number of entries in force.
func (w *world) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tables) == 0 {
		return -1
	}
	return w.tables[len(w.tables)-1].Len()
}

// lists tells whether the table in force lists an address.
func (w *world) lists(addr string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.tables[len(w.tables)-1].Find(netip.MustParseAddr(addr), 0).Empty()
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.requests)
}

func (w *world) last() request1 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[len(w.requests)-1]
}

// status gives that of the first feed.
func (w *world) status() Status { return w.m.Status()[0] }

// list makes a plain list of n addresses.
func list(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "62.%d.%d.%d\n", i>>16&255, i>>8&255, i&255)
	}
	return b.String()
}

// pass lets time go by. What the test has changed before, the server sees, and the
// other way round.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	w.steps++ // under the lock that the server takes, too
	w.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
}

// setDown cuts the network.
func (w *world) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// serves answers with a body.
func serves(body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(body)) }
}

// fails answers with a status.
func fails(code int, header ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			rw.Header().Set(header[i], header[i+1])
		}
		rw.WriteHeader(code)
		_, _ = rw.Write([]byte("<html><body>please wait</body></html>"))
	}
}

// fileOf gives the path of a file of a feed.
func fileOf(m *Manager, feed int, ext string) string {
	return store.FileOf(m.shared.Dir, feedPrefix, m.feeds[feed].Spec.Name, ext)
}

// corpus gives the path of a file of the corpus.
func corpus(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("FLOWSNITCH_CORPUS")
	if dir == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder of the corpus")
	}
	b, err := os.ReadFile(dir + "/feeds/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
