package syslog

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
)

// serverOf gives the configuration of a server with a new certificate.
func serverOf(t *testing.T, ca *authority.Authority, name string, left time.Duration) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, name, time.Now().Add(left))}}
}

func secureIf(yes bool, cfg *tls.Config) *tls.Config {
	if yes {
		return cfg
	}
	return nil
}

// TestCertificates: a bad certificate gives a clear error, a good one in its place
// needs no restart of ours.
func TestCertificates(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	for _, tt := range []struct {
		name string
		bad  *tls.Config
		want string
	}{
		{"expired", serverOf(t, ca, "", -time.Hour), "has expired"},
		{"unknown authority", serverOf(t, other, "", time.Hour), "unknown authority, name it in tls.ca"},
		{"other name", serverOf(t, ca, "log.example.net", time.Hour), "another name, set tls.server_name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, "tcp", "", Octet, tt.bad)
			s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = ca.File })
			c := courier{t: t, s: s, events: events(0, 5), batch: 5}
			c.wantFailure(tt.want, server.address())
			address := server.address()
			server.stop()
			server = serve(t, "tcp", address, Octet, serverOf(t, ca, "", time.Hour))
			c.all()
			wantOrder(t, server.wait(5), 5)
		})
	}
	server := serve(t, "tcp", "", Octet, serverOf(t, ca, "log.example.net", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) {
		c.TLS = TLSConfig{CA: ca.File, ServerName: "log.example.net"}
	})
	if err := s.Send(t.Context(), events(0, 1)); err != nil {
		t.Error(err)
	}
	plain := serve(t, "tcp", "", Octet, nil)
	c := courier{t: t, s: newSender(t, TLS, []string{plain.address()}), events: events(0, 1), batch: 1}
	c.wantFailure(plain.address(), "is its port a TLS port?")
}

// TestAuthorityIsReadAgain: a new authority in the file holds for the next connection.
func TestAuthorityIsReadAgain(t *testing.T) {
	old, renewed := authority.New(t), authority.New(t)
	server := serve(t, "tcp", "", Octet, serverOf(t, renewed, "", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = old.File })
	c := courier{t: t, s: s, events: events(0, 5), batch: 5}
	c.wantFailure("unknown authority")
	if err := os.WriteFile(old.File, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wantFailure("tls.ca: no certificate in " + old.File)
	if err := os.Rename(renewed.File, old.File); err != nil {
		t.Fatal(err)
	}
	c.all()
	wantOrder(t, server.wait(5), 5)
}

// TestClientCertificate: ours is shown, and read again when it has changed.
func TestClientCertificate(t *testing.T) {
	ca := authority.New(t)
	pool := ca.Pool()
	cfg := serverOf(t, ca, "", time.Hour)
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
	server := serve(t, "tcp", "", Octet, cfg)
	cert, key := ca.IssueFor(t, "sensor", time.Now().Add(-time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS = TLSConfig{CA: ca.File, Cert: cert, Key: key} })
	c := courier{t: t, s: s, events: events(0, 5), batch: 5}
	// TLS 1.3 lets the client write before the server has looked at its certificate.
	if c.step() == nil {
		eventually(t, "the refusal", func() bool { return broken(s) })
		c.wantFailure("check tls.cert and tls.key", "expired")
	}
	if c.at != 0 {
		t.Errorf("at %d, want 0", c.at)
	}
	newCert, newKey := ca.IssueFor(t, "sensor", time.Now().Add(time.Hour))
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	c.all()
	wantOrder(t, server.wait(5), 5)
	s.cfg.TLS.Cert = "/nonexistent"
	server.hangUp()
	eventually(t, "the end", func() bool { return broken(s) })
	c.events = events(0, 6)
	c.wantFailure()
	c.wantFailure("tls.cert: open /nonexistent")
}

// TestCloseNotify: the server sees TLS end in order.
func TestCloseNotify(t *testing.T) {
	ca := authority.New(t)
	server := serve(t, "tcp", "", Octet, serverOf(t, ca, "", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = ca.File })
	if err := s.Send(t.Context(), events(0, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil || s.Held() != 0 {
		t.Errorf("%d held, %v", s.Held(), err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.endings) != 1 || !errors.Is(server.endings[0], io.EOF) || len(server.messages) != 1 {
		t.Errorf("%d messages, endings %v; want one, EOF", len(server.messages), server.endings)
	}
}
