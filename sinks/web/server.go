package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// Limits of the server: what clients may take.
const (
	headerTime  = 5 * time.Second
	answerTime  = 30 * time.Second
	idleTime    = time.Minute
	maxHeader   = 16 << 10
	maxRequests = 16 // at a time
	maxConns    = 64 // open
	maxFromOne  = 16 // of one address, or of one user of the control socket
)

// A Server serves pages over HTTP. Pages are added before Start.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	server   *http.Server
	slots    chan struct{}
	limit    *limitListener
	counts   counts
	failures failures // to show an export token
	tokens   atomic.Pointer[[]ExportToken]
	exports  string // how the paths of exports begin
	once     sync.Once
	done     chan struct{} // nil = not started
}

// Stats are what a server did since its start.
type Stats struct {
	Requests     uint64 `json:"requests" name:"web_requests_total" help:"HTTP requests." show:"some"`
	Unauthorized uint64 `json:"unauthorized" name:"web_unauthorized_total" help:"HTTP requests rejected because of a missing or wrong token." show:"some"`         // requests without the token
	Busy         uint64 `json:"busy" name:"web_busy_total" help:"HTTP requests refused because too many were being served." show:"some"`                           // requests beyond those that may be at work
	Refused      uint64 `json:"refused" name:"web_refused_total" help:"HTTP connections refused at the connection limit." show:"some" words:"connections refused"` // connections beyond those that may be open
	// Errors are handshakes that failed and the like; they are counted, for who causes
	// them could fill a log.
	Errors uint64 `json:"errors" name:"web_errors_total" help:"Failed HTTP connections, such as TLS handshakes." show:"some" words:"failed connections"`
}

type counts struct{ requests, unauthorized, busy, errors atomic.Uint64 }

// Write counts a line of the HTTP server's own log.
func (c *counts) Write(p []byte) (int, error) {
	c.errors.Add(1)
	return len(p), nil
}

// NewServer makes a server of a valid configuration; nothing is opened yet.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux(), slots: make(chan struct{}, maxRequests)}
	s.tokens.Store(&cfg.ExportTokens)
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: answerTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(&s.counts, "", 0),
	}
	return s
}

// Serve answers the routes that are public, and to clients with the token those for readers, with an export token those
// for exporters.
// Everything else is on the control socket only.
func (s *Server) Serve(routes []observe.Route) {
	for _, r := range routes {
		switch r.Role {
		case observe.Public:
			s.mux.Handle(r.Method+" "+r.Path, r.Handler)
		case observe.Reader:
			s.mux.Handle(r.Method+" "+r.Path, s.guard(r.Handler))
		case observe.Exporter:
			s.mux.Handle(r.Method+" "+r.Path, s.guardExport(r.Handler))
			s.exports = r.Path[:strings.Index(r.Path, "{")]
		}
	}
}

// serve bounds the requests that are at work.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.counts.requests.Add(1)
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		s.counts.busy.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
		return
	}
	if s.cfg.isOpen() && !isOurs(r.Host) && !s.hasToken(r.URL.Path) {
		http.Error(w, "wrong Host header: use the listen address or localhost", http.StatusMisdirectedRequest)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'")
	s.mux.ServeHTTP(w, r)
}

// hasToken reports whether a page is behind a token in any case, so that a web site cannot have
// a browser read it.
func (s *Server) hasToken(path string) bool {
	return len(*s.tokens.Load()) > 0 && s.exports != "" && strings.HasPrefix(path, s.exports)
}

// isOurs reports whether a Host header has an address or localhost. Any other name may
// be that of a web site whose owner lets it point here, so that the browser of somebody
// on this machine reads our pages for him.
func isOurs(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost") || hostport == ""
}

// guard rejects requests without the token.
func (s *Server) guard(h http.Handler) http.Handler {
	if s.cfg.TokenFile == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, err := secret.ReadFile(s.cfg.TokenFile)
		got, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if err != nil || !bears || !same(got, want) {
			s.counts.unauthorized.Add(1)
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("Connection", "close") // strangers hold no connection
			http.Error(w, "missing or wrong token", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// same compares in constant time.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Start opens the socket and serves.
func (s *Server) Start() error {
	var secure *tls.Config // nil = none
	var err error
	if files := s.cfg.TLS; files.Cert != "" {
		// HTTP/2 would let one connection ask for hundreds of pages at a time.
		if secure, err = tlsfiles.Server("web.tls.*", files.Cert, files.Key, files.ClientCA, "http/1.1"); err != nil {
			return err
		}
	}
	if s.cfg.TokenFile != "" {
		if _, err := secret.ReadFile(s.cfg.TokenFile); err != nil {
			return fmt.Errorf("web.token_file: %w", err)
		}
	}
	if err := checkTokens(*s.tokens.Load()); err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return s.cannotListen(err)
	}
	if a := addrPort(l).Addr().Unmap(); s.cfg.isOpen() && !a.IsLoopback() {
		l.Close() // the name localhost may point anywhere
		return fmt.Errorf("web.listen: %s is %s, which is reachable by others; token_file or tls.client_ca is required", s.cfg.Listen, a)
	}
	s.limit = limit(l, maxConns, maxFromOne)
	l = s.limit
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with ErrServerClosed
	}()
	return nil
}

func addrPort(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// cannotListen adds what helps.
func (s *Server) cannotListen(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("web.listen: %s is in use by another process; set another port, or \"\" for none", s.cfg.Listen)
	}
	return fmt.Errorf("web.listen: %w", err)
}

// Addr is where the server listens, after Start.
func (s *Server) Addr() net.Addr { return s.limit.Addr() }

// Stats gives the counters, after Start.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{
		Requests: c.requests.Load(), Unauthorized: c.unauthorized.Load(), Busy: c.busy.Load(),
		Refused: s.limit.refused.Load(), Errors: c.errors.Load(),
	}
}

// Stop ends the server and waits for it, after a Start that succeeded.
func (s *Server) Stop(ctx context.Context) {
	if s.done == nil {
		return
	}
	s.once.Do(func() {
		if s.server.Shutdown(ctx) != nil {
			s.server.Close()
		}
		<-s.done
	})
}

// JSON serves what f gives, with its HTTP status.
func JSON(f func() (status int, v any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, v := f()
		observe.Answer(w, status, v)
	})
}
