package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func plainUser(password string) func(*Config) { return user(SASLPlain, password) }

func user(mechanism, password string) func(*Config) {
	return func(cfg *Config) { cfg.SASL = SASL{Mechanism: mechanism, User: "snitch", Password: Secret(password)} }
}

// TestSASL: the right password works, the wrong one gives one clear error that does
// not show it, and a corrected file is enough to recover.
func TestSASL(t *testing.T) {
	for _, mechanism := range []string{SASLPlain, SASLSCRAM256, SASLSCRAM512} {
		t.Run(mechanism, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "snitch", "pa55=wörd"))
			sendAll(t, newProducer(t, c.ListenAddrs(), user(mechanism, "pa55=wörd")), events(0, 5, 5))
			file := filepath.Join(t.TempDir(), "password")
			p := newProducer(t, c.ListenAddrs(), func(cfg *Config) {
				cfg.SASL = SASL{Mechanism: mechanism, User: "snitch", PasswordFile: file}
			})
			sendFailing(t, p, events(5, 5, 5), "sasl.password_file", file)
			write(t, file, "hunter2\n")
			retry := sendFailing(t, p, events(5, 5, 5), "snitch", "password")
			if strings.Contains(retry.Error(), "hunter2") {
				t.Errorf("the password is in the error: %v", retry)
			}
			write(t, file, "pa55=wörd\n")
			sendAll(t, p, events(5, 5, 5))
			if s := p.Stats(); s.Delivered != 5 || s.Errors != 2 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestSASLWrongKind: no SASL where it is wanted, another mechanism, a password that
// SCRAM has no form for.
func TestSASLWrongKind(t *testing.T) {
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "snitch", "secret"))
	sendFailing(t, newProducer(t, c.ListenAddrs()), events(0, 1, 1), "sasl")
	p := newProducer(t, c.ListenAddrs(), user(SASLSCRAM256, "sec\x07ret"))
	if retry := sendFailing(t, p, events(0, 1, 1), "RFC 4013"); strings.Contains(retry.Error(), "u0007") {
		t.Errorf("a character of the password is in the error: %v", retry)
	}
}

// TestNotAuthorised: a user who may not write.
func TestNotAuthorised(t *testing.T) {
	describe := kfake.ACL{
		Resource: kmsg.ACLResourceTypeTopic, Name: "flowsnitch.hits", Pattern: kmsg.ACLResourcePatternTypeLiteral,
		Operation: kmsg.ACLOperationDescribe, Allow: true,
	}
	c := newCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "snitch", "secret", describe))
	p := newProducer(t, c.ListenAddrs(), plainUser("secret"))
	sendFailing(t, p, events(0, 3, 3), "not authorised", "Write", "flowsnitch.hits")
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

// newAuthority makes an authority and writes its certificate to a file.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	a.key = newKey(t)
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
func (a *authority) issue(t *testing.T, name string, until time.Time) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
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

// pair loads what issue has written.
func (a *authority) pair(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue(t, name, until))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secureCluster is a cluster behind TLS with the certificate of the moment.
func secureCluster(t *testing.T, cert func() tls.Certificate, change ...func(*tls.Config)) *kfake.Cluster {
	t.Helper()
	cfg := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := cert()
		return &c, nil
	}}
	for _, f := range change {
		f(cfg)
	}
	return newCluster(t, kfake.TLS(cfg))
}

// TestTLS: a bad certificate gives a clear error, a good one in its place needs no
// restart of ours.
func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	good := ca.pair(t, "", soon)
	for _, tt := range []struct {
		name string
		bad  tls.Certificate
		want string
	}{
		{"expired", ca.pair(t, "", time.Now().Add(-time.Hour)), "has expired"},
		{"unknown authority", other.pair(t, "", soon), "unknown authority, name it in tls.ca"},
		{"other name", ca.pair(t, "kafka.example.net", soon), "another name, set tls.server_name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := tt.bad
			c := secureCluster(t, func() tls.Certificate { return cert })
			p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.TLS = TLS{Enabled: true, CA: ca.file} })
			sendFailing(t, p, events(0, 1, 1), tt.want, c.ListenAddrs()[0])
			cert = good
			sendAll(t, p, events(0, 1, 1))
		})
	}
	t.Run("server_name", func(t *testing.T) {
		c := secureCluster(t, func() tls.Certificate { return ca.pair(t, "kafka.example.net", soon) })
		sendAll(t, newProducer(t, c.ListenAddrs(), func(cfg *Config) {
			cfg.TLS = TLS{Enabled: true, CA: ca.file, ServerName: "kafka.example.net"}
		}), events(0, 1, 1))
	})
	t.Run("plain port", func(t *testing.T) {
		c := newCluster(t)
		p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.TLS = TLS{Enabled: true}; cfg.Timeout = time.Second })
		sendFailing(t, p, events(0, 1, 1), c.ListenAddrs()[0])
	})
	t.Run("secure port", func(t *testing.T) {
		c := secureCluster(t, func() tls.Certificate { return good })
		p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Timeout = time.Second })
		sendFailing(t, p, events(0, 1, 1), "tls.enabled")
	})
}

// TestMutualTLS: our certificate is shown, and read again when it has changed.
func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server := ca.pair(t, "", soon)
	c := secureCluster(t, func() tls.Certificate { return server }, func(cfg *tls.Config) {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
	})
	sendFailing(t, newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.TLS = TLS{Enabled: true, CA: ca.file} }),
		events(0, 1, 1), "check tls.cert and tls.key")
	cert, key := ca.issue(t, "sensor", time.Now().Add(-time.Hour))
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) {
		cfg.TLS = TLS{Enabled: true, CA: ca.file, Cert: cert, Key: key}
	})
	sendFailing(t, p, events(0, 1, 1), "check tls.cert and tls.key")
	newCert, newKey := ca.issue(t, "sensor", soon)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	sendAll(t, p, events(0, 1, 1))
}

// TestTLSFiles: files that are not there or hold nothing.
func TestTLSFiles(t *testing.T) {
	ca := newAuthority(t)
	server := ca.pair(t, "", time.Now().Add(time.Hour))
	c := secureCluster(t, func() tls.Certificate { return server })
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, "")
	for want, cfg := range map[string]TLS{
		"tls.ca: open /nonexistent":                        {Enabled: true, CA: "/nonexistent"},
		fmt.Sprintf("tls.ca: no certificate in %s", empty): {Enabled: true, CA: empty},
		"tls.cert: open /nonexistent":                      {Enabled: true, CA: ca.file, Cert: "/nonexistent", Key: "/nonexistent"},
	} {
		p := newProducer(t, c.ListenAddrs(), func(c *Config) { c.TLS = cfg })
		sendFailing(t, p, events(0, 1, 1), want)
	}
}
