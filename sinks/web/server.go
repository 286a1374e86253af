package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Config says where metrics and health are served over HTTP.
type Config struct {
	// Listen is host:port; empty = nowhere. Other addresses than loopback want a token or
	// certificates of clients.
	Listen string `yaml:"listen"`
	// TokenFile holds the token that requests must bear ("Authorization: Bearer TOKEN").
	// It is read for each request: tokens are renewed. /healthz wants none.
	TokenFile string `yaml:"token_file"`
	TLS       TLS    `yaml:"tls"`
}

// TLS says how the server proves itself, and whom it believes.
type TLS struct {
	// Cert and Key are files with the server's certificate; with them it speaks TLS only.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ClientCA is a file of certificates; only clients with one of theirs are let in.
	ClientCA string `yaml:"client_ca"`
}

// Validate tells the first thing that is wrong, beginning with its key. No file is read.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil || port == "":
		return fmt.Errorf("listen: %q is not allowed, host:port is", c.Listen)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls.key: cert and key belong together")
	case c.TLS.ClientCA != "" && c.TLS.Cert == "":
		return errors.New("tls.cert: is missing, client_ca wants TLS")
	case !isLoopback(host) && c.TokenFile == "" && c.TLS.ClientCA == "":
		return fmt.Errorf("listen: %s is open to others; that wants token_file or tls.client_ca", c.Listen)
	case !isLoopback(host) && c.TLS.Cert == "" && c.TokenFile != "":
		return fmt.Errorf("tls.cert: is missing; a token would cross the network to %s in clear text", c.Listen)
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Limits of the server: what one client may take.
const (
	headerTime  = 5 * time.Second
	answerTime  = 30 * time.Second
	idleTime    = time.Minute
	maxHeader   = 16 << 10
	maxRequests = 16 // at a time
)

// A Server serves pages over HTTP. Pages are added before Start.
type Server struct {
	cfg    Config
	mux    *http.ServeMux
	server *http.Server
	slots  chan struct{}
	addr   net.Addr
	once   sync.Once
	done   chan struct{}
}

// NewServer makes a server of a valid configuration; nothing is opened yet.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux(), slots: make(chan struct{}, maxRequests), done: make(chan struct{})}
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: answerTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: nil,
	}
	return s
}

// Page serves GET and HEAD requests of a path with h, to those who bear the token.
func (s *Server) Page(path string, h http.Handler) { s.mux.Handle("GET "+path, s.guard(h)) }

// Open serves a path to everybody who gets here.
func (s *Server) Open(path string, h http.Handler) { s.mux.Handle("GET "+path, h) }

// serve bounds the requests that are at work.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		s.mux.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
	}
}

// guard lets in who bears the token.
func (s *Server) guard(h http.Handler) http.Handler {
	if s.cfg.TokenFile == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := os.ReadFile(s.cfg.TokenFile)
		want := strings.TrimSpace(string(token))
		got, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if err != nil || want == "" || !bears || !same(got, want) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a token is wanted", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// same compares in a time that tells nothing.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Start opens the socket and serves.
func (s *Server) Start() error {
	cfg, err := s.cfg.TLS.config()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("web.listen: %w", err)
	}
	s.addr = l.Addr()
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with ErrServerClosed
	}()
	return nil
}

// config reads the files; nil without a certificate.
func (t TLS) config() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("web.tls.cert: %w", err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("web.tls.client_ca: %w", err)
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("web.tls.client_ca: no certificate in %s", t.ClientCA)
	}
	return cfg, nil
}

// Addr is where the server listens, after Start.
func (s *Server) Addr() net.Addr { return s.addr }

// Stop ends the server and waits for it, after a Start that succeeded.
func (s *Server) Stop(ctx context.Context) {
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
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the asker is gone: nobody to tell
	})
}
