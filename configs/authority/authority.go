// Package authority is a certificate authority for tests: it signs certificates for the
// servers and clients of TLS connections on loopback, with any name and end date, expired
// ones as well. It is imported by tests alone.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates. Its own is good for an hour.
type Authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64  // of the last certificate
	File   string // its own certificate, PEM
}

// New makes an authority. Its file lasts as long as the test.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t), serial: 1, File: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.File, "CERTIFICATE", der)
	return a
}

// Pool gives the authority alone, for those that trust nobody else.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// Issue signs a certificate for servers and clients at 127.0.0.1, good for an hour, and
// gives its files.
func (a *Authority) Issue(t testing.TB) (cert, key string) {
	t.Helper()
	return a.IssueFor(t, "", time.Now().Add(time.Hour))
}

// IssueFor is [Authority.Issue] for a name, empty = 127.0.0.1, and with an end, which may
// have passed.
func (a *Authority) IssueFor(t testing.TB, name string, end time.Time) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.IssueTo(t, name, end, cert, key)
	return cert, key
}

// IssueTo is [Authority.IssueFor] into these files. Serial numbers go up from 2.
func (a *Authority) IssueTo(t testing.TB, name string, end time.Time, cert, key string) {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: end.Add(-3 * time.Hour), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "" {
		template.Subject.CommonName, template.IPAddresses = "127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}
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
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", secret)
}

// Pair is [Authority.IssueFor] as a certificate to present.
func (a *Authority) Pair(t testing.TB, name string, end time.Time) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.IssueFor(t, name, end))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
