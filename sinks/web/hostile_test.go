package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// hangs bounds every wait: whatever takes longer hangs.
const hangs = time.Minute

// guardedText is what the guarded page of a test says.
const guardedText = "what only the bearer may read"

// serve starts a server with a guarded page and an open one; change alters it before.
func serve(t *testing.T, cfg Config, change func(*Server)) *Server {
	t.Helper()
	s := newServer(cfg)
	if change != nil {
		change(s)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t.Context()) })
	return s
}

func newServer(cfg Config) *Server {
	s := NewServer(cfg)
	text := func(text string) http.Handler { return JSON(func() (int, any) { return http.StatusOK, text }) }
	s.Serve([]observe.Route{{Method: "GET", Path: "/page", Role: observe.Reader, Handler: text(guardedText)}})
	s.Serve([]observe.Route{{Method: "GET", Path: "/open", Role: observe.Public, Handler: text("well")}})
	return s
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dial connects as a client that may do anything.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(hangs)); err != nil {
		t.Fatal(err)
	}
	return c
}

// say sends bytes and gives the status line of the answer, or "" when the connection
// ends without one.
func say(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	_, _ = io.WriteString(c, text) // the server may have closed already
	line, err := bufio.NewReader(c).ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no answer and no end after %v to %.60q", hangs, text)
	}
	return strings.TrimSpace(line)
}

// TestHostileRequests: what is no decent request is turned away, and the next one is
// answered.
func TestHostileRequests(t *testing.T) {
	s := serve(t, Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, "right")}, nil)
	head := "Host: 127.0.0.1\r\n"
	for name, tt := range map[string]struct{ request, want string }{
		"huge header":       {"GET /page HTTP/1.1\r\n" + head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"many headers":      {"GET /page HTTP/1.1\r\n" + head + strings.Repeat("X: y\r\n", 10000) + "\r\n", "HTTP/1.1 431"},
		"huge path":         {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 431"},
		"no protocol":       {"\x00\x01\x02\r\n\r\n", "HTTP/1.1 400"},
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400"},
		"two lengths":       {"GET /page HTTP/1.1\r\n" + head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400"},
		"no host":           {"GET /page HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		"wrong method":      {"POST /page HTTP/1.1\r\n" + head + "Content-Length: 0\r\n\r\n", "HTTP/1.1 405"},
		"method of nobody":  {"STEAL /page HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 405"},
		"options":           {"OPTIONS * HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 40"},
		"connect":           {"CONNECT 192.0.2.1:443 HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 40"},
		"proxy":             {"GET http://192.0.2.1/page HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 401"},
		"dots":              {"GET /../../etc/passwd HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 30"},
		"dots to the page":  {"GET /open/../page HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 30"},
		"escaped":           {"GET /open/%2e%2e/page HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 404"},
		"escaped page":      {"GET /%70age HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 401"},
		"page and slash":    {"GET /page/ HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 404"},
		"zero in the path":  {"GET /page%00 HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 404"},
		"no token":          {"GET /page HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 401"},
		"token in the path": {"GET /page?token=right HTTP/1.1\r\n" + head + "\r\n", "HTTP/1.1 401"},
		"wrong token":       {"GET /page HTTP/1.1\r\n" + head + "Authorization: Bearer righ\r\n\r\n", "HTTP/1.1 401"},
		"long token":        {"GET /page HTTP/1.1\r\n" + head + "Authorization: Bearer " + strings.Repeat("right", 1000) + "\r\n\r\n", "HTTP/1.1 401"},
		"two tokens":        {"GET /page HTTP/1.1\r\n" + head + "Authorization: Bearer x\r\nAuthorization: Bearer right\r\n\r\n", "HTTP/1.1 401"},
		"right token":       {"GET /page HTTP/1.1\r\n" + head + "Authorization: Bearer right\r\n\r\n", "HTTP/1.1 200"},
	} {
		c := dial(t, s)
		got := say(t, c, tt.request)
		c.Close() // others need its room
		if got == "" && len(tt.request) > maxHeader {
			continue // it was still being sent when the server had closed
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if n := s.Stats(); n.Unauthorized == 0 || n.Requests == 0 {
		t.Errorf("nothing is counted: %+v", n)
	}
}

// TestSlowClient: who does not finish his header loses the connection.
func TestSlowClient(t *testing.T) {
	s := serve(t, Config{Listen: "127.0.0.1:0"}, func(s *Server) { s.server.ReadHeaderTimeout = 20 * time.Millisecond })
	for _, start := range []string{"", "GET /open HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "} {
		if got := say(t, dial(t, s), start); got != "" && !strings.HasPrefix(got, "HTTP/1.1 408") {
			t.Errorf("%q is answered with %q", start, got)
		}
	}
}

// TestManyConnections: those beyond the cap are closed at once, and there is room again
// when others have gone.
func TestManyConnections(t *testing.T) {
	s := serve(t, Config{Listen: "127.0.0.1:0"}, nil)
	request := "GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n"
	var open []net.Conn
	for range maxFromOne {
		c := dial(t, s)
		if got := say(t, c, request); got != "HTTP/1.1 200 OK" {
			t.Fatalf("connection %d: %q", len(open), got)
		}
		open = append(open, c)
	}
	if got := say(t, dial(t, s), request); got != "" {
		t.Errorf("one too many is answered: %q", got)
	}
	if n := s.Stats().Refused; n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
	open[0].Close()
	for deadline := time.Now().Add(hangs); say(t, dial(t, s), request) == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no room after one has gone")
		}
	}
}

// TestLimit: the caps hold in all and for one address, and nothing is kept of those who
// have gone.
func TestLimit(t *testing.T) {
	l := limit(nil, 3, 2)
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	for i, tt := range []struct {
		from netip.Addr
		want bool
	}{{a, true}, {a, true}, {a, false}, {b, true}, {c, false}} {
		if got := l.enter(tt.from); got != tt.want {
			t.Errorf("%d: %s enters: %v", i, tt.from, got)
		}
	}
	for _, from := range []netip.Addr{a, b, a} {
		l.leave(from)
	}
	if l.open != 0 || len(l.from) != 0 {
		t.Errorf("%d open, %v", l.open, l.from)
	}
}

// TestBusy: requests beyond those that may be at work are told to come again.
func TestBusy(t *testing.T) {
	s := newServer(Config{Listen: "127.0.0.1:0"})
	for range maxRequests {
		s.slots <- struct{}{}
	}
	w := httptest.NewRecorder()
	s.serve(w, httptest.NewRequest("GET", "http://127.0.0.1/open", nil))
	if w.Code != http.StatusServiceUnavailable || s.counts.busy.Load() != 1 {
		t.Errorf("%d, %d counted", w.Code, s.counts.busy.Load())
	}
	<-s.slots
	w = httptest.NewRecorder()
	if s.serve(w, httptest.NewRequest("GET", "http://127.0.0.1/open", nil)); w.Code != http.StatusOK {
		t.Errorf("with room %d", w.Code)
	}
}

// TestForeignNames: without a token, only who asks by address or as localhost gets in, so
// that no web site can read through a browser on this machine.
func TestForeignNames(t *testing.T) {
	for _, tt := range []struct {
		host  string
		token bool
		want  int
	}{
		{"127.0.0.1:8055", false, 200}, {"[::1]:8055", false, 200}, {"[::1]", false, 200}, {"localhost", false, 200}, {"LocalHost:1", false, 200},
		{"evil.example", false, 421}, {"evil.example:8055", false, 421}, {"127.0.0.1.evil.example", false, 421}, {"localhost.evil.example:8055", false, 421},
		{"collector.example:8055", true, 200},
	} {
		cfg := Config{Listen: "127.0.0.1:0"}
		if tt.token {
			cfg.TokenFile = tokenFile(t, "right")
		}
		r := httptest.NewRequest("GET", "/open", nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		if newServer(cfg).serve(w, r); w.Code != tt.want {
			t.Errorf("%s, token %v: %d, want %d", tt.host, tt.token, w.Code, tt.want)
		}
	}
}

// TestStartFails: what is wrong is told with its key, and what helps.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: taken.Addr().String()}, "is in use by another process; set another port"},
		{Config{Listen: "127.0.0.1:0", TokenFile: "/nowhere/token"}, "web.token_file: open /nowhere/token"},
		{Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, " \n")}, "is empty"},
		{Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, strings.Repeat("x", 64<<10+1))}, "has more than 65536 bytes"},
		{Config{Listen: "127.0.0.1:0", TLS: TLS{Cert: "/nowhere/c", Key: "/nowhere/k"}}, "web.tls.cert: open /nowhere/c"},
		{Config{Listen: "0.0.0.0:0"}, "is reachable by others"}, // as localhost would be in an odd hosts file
	} {
		s := NewServer(tt.cfg)
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// TestTLS: a client without a certificate of the authority gets nothing, and a
// certificate that is renewed is used without a restart.
func TestTLS(t *testing.T) {
	a, soon := authority.New(t), time.Now().Add(time.Hour)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.IssueTo(t, "", soon, cert, key)
	s := serve(t, Config{Listen: "127.0.0.1:0", TLS: TLS{Cert: cert, Key: key, ClientCA: a.File}}, nil)
	ask := func(with ...tls.Certificate) (serial int64, err error) {
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.Pool(), Certificates: with},
		}}
		resp, err := client.Get("https://" + s.Addr().String() + "/page")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("status %d", resp.StatusCode)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
	}
	if _, err := ask(); err == nil {
		t.Error("a client without certificate gets the page")
	}
	if _, err := ask(authority.New(t).Pair(t, "", soon)); err == nil {
		t.Error("a client of another authority gets the page")
	}
	first, err := ask(a.Pair(t, "", soon))
	if err != nil {
		t.Error(err)
	}
	a.IssueTo(t, "", soon, cert, key)
	if n, err := ask(a.Pair(t, "", soon)); err != nil || n <= first {
		t.Errorf("after the renewal serial %d, before it %d, %v", n, first, err)
	}
	if err := os.WriteFile(cert, []byte("half of a renew"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(a.Pair(t, "", soon)); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
	if s.Stats().Errors == 0 {
		t.Error("handshakes that failed are not counted")
	}
}

// FuzzServe: no bytes without the token get the guarded page, or let the server panic.
func FuzzServe(f *testing.F) {
	for _, seed := range []string{
		"GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "GET /open HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /page HTTP/1.0\r\n\r\n",
		"GET /open/../page HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n", "CONNECT page:80 HTTP/1.1\r\nHost: page\r\n\r\n",
		"GET //page/%2e%2e HTTP/1.1\r\nHost: [::1\r\nAuthorization: bearer x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	guarded := newServer(Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(f, "71d2a7f0e3c14bb58a")})
	free := newServer(Config{Listen: "127.0.0.1:0"})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []*Server{guarded, free} {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
			if err != nil {
				return
			}
			w := httptest.NewRecorder()
			s.serve(w, r)
			if strings.Contains(w.Body.String(), guardedText) && (s == guarded || !isOurs(r.Host)) {
				t.Errorf("%q gets the page", b)
			}
		}
	})
}
