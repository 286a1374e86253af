package syslog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

// newAuthority makes an authority and writes its certificate to a file.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue signs a certificate for a name, "" = 127.0.0.1, and gives its files.
func (a *authority) issue(t *testing.T, name string, left time.Duration) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		template.DNSNames = []string{name}
	}
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", secret)
	return cert, key
}

// server gives the configuration of a server with a new certificate.
func (a *authority) server(t *testing.T, name string, left time.Duration) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue(t, name, left))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func secureIf(yes bool, cfg *tls.Config) *tls.Config {
	if yes {
		return cfg
	}
	return nil
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificates: a bad certificate gives a clear error, a good one in its place
// needs no restart of ours.
func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, tt := range []struct {
		name string
		bad  *tls.Config
		want string
	}{
		{"expired", ca.server(t, "", -time.Hour), "has expired"},
		{"unknown authority", other.server(t, "", time.Hour), "unknown authority, name it in tls.ca"},
		{"other name", ca.server(t, "log.example.net", time.Hour), "another name, set tls.server_name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, "tcp", "", Octet, tt.bad)
			s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = ca.file })
			c := courier{t: t, s: s, events: events(0, 5), batch: 5}
			c.wantFailure(tt.want, server.address())
			address := server.address()
			server.stop()
			server = serve(t, "tcp", address, Octet, ca.server(t, "", time.Hour))
			c.all()
			wantOrder(t, server.wait(5), 5)
		})
	}
	server := serve(t, "tcp", "", Octet, ca.server(t, "log.example.net", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) {
		c.TLS = TLSConfig{CA: ca.file, ServerName: "log.example.net"}
	})
	if err := s.Send(t.Context(), events(0, 1)); err != nil {
		t.Error(err)
	}
	plain := serve(t, "tcp", "", Octet, nil)
	c := courier{t: t, s: newSender(t, TLS, []string{plain.address()}), events: events(0, 1), batch: 1}
	c.wantFailure(plain.address(), "does its port speak it?")
}

// TestAuthorityIsReadAgain: a new authority in the file holds for the next connection.
func TestAuthorityIsReadAgain(t *testing.T) {
	old, renewed := newAuthority(t), newAuthority(t)
	server := serve(t, "tcp", "", Octet, renewed.server(t, "", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = old.file })
	c := courier{t: t, s: s, events: events(0, 5), batch: 5}
	c.wantFailure("unknown authority")
	if err := os.WriteFile(old.file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wantFailure("tls.ca: no certificate in " + old.file)
	if err := os.Rename(renewed.file, old.file); err != nil {
		t.Fatal(err)
	}
	c.all()
	wantOrder(t, server.wait(5), 5)
}

// TestClientCertificate: ours is shown, and read again when it has changed.
func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	cfg := ca.server(t, "", time.Hour)
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
	server := serve(t, "tcp", "", Octet, cfg)
	cert, key := ca.issue(t, "sensor", -time.Hour)
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS = TLSConfig{CA: ca.file, Cert: cert, Key: key} })
	c := courier{t: t, s: s, events: events(0, 5), batch: 5}
	// TLS 1.3 lets the client write before the server has looked at its certificate.
	if c.step() == nil {
		eventually(t, "the refusal", func() bool { return broken(s) })
		c.wantFailure("check tls.cert and tls.key", "expired")
	}
	if c.at != 0 {
		t.Errorf("at %d, want 0", c.at)
	}
	newCert, newKey := ca.issue(t, "sensor", time.Hour)
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
	ca := newAuthority(t)
	server := serve(t, "tcp", "", Octet, ca.server(t, "", time.Hour))
	s := newSender(t, TLS, []string{server.address()}, func(c *Config) { c.TLS.CA = ca.file })
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
