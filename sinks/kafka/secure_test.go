package kafka

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/configs/secret"
)

func plainUser(password string) func(*Config) { return user(SASLPlain, password) }

func user(mechanism, password string) func(*Config) {
	return func(cfg *Config) {
		cfg.SASL = SASL{Mechanism: mechanism, User: "snitch", Password: secret.Text(password)}
	}
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
	ca, other := authority.New(t), authority.New(t)
	soon := time.Now().Add(time.Hour)
	good := ca.Pair(t, "", soon)
	for _, tt := range []struct {
		name string
		bad  tls.Certificate
		want string
	}{
		{"expired", ca.Pair(t, "", time.Now().Add(-time.Hour)), "has expired"},
		{"unknown authority", other.Pair(t, "", soon), "unknown authority, name it in tls.ca"},
		{"other name", ca.Pair(t, "kafka.example.net", soon), "another name, set tls.server_name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := tt.bad
			c := secureCluster(t, func() tls.Certificate { return cert })
			p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.TLS = TLS{Enabled: true, CA: ca.File} })
			sendFailing(t, p, events(0, 1, 1), tt.want, c.ListenAddrs()[0])
			cert = good
			sendAll(t, p, events(0, 1, 1))
		})
	}
	t.Run("server_name", func(t *testing.T) {
		c := secureCluster(t, func() tls.Certificate { return ca.Pair(t, "kafka.example.net", soon) })
		sendAll(t, newProducer(t, c.ListenAddrs(), func(cfg *Config) {
			cfg.TLS = TLS{Enabled: true, CA: ca.File, ServerName: "kafka.example.net"}
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
	ca := authority.New(t)
	soon := time.Now().Add(time.Hour)
	pool := ca.Pool()
	server := ca.Pair(t, "", soon)
	c := secureCluster(t, func() tls.Certificate { return server }, func(cfg *tls.Config) {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
	})
	sendFailing(t, newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.TLS = TLS{Enabled: true, CA: ca.File} }),
		events(0, 1, 1), "check tls.cert and tls.key")
	cert, key := ca.IssueFor(t, "sensor", time.Now().Add(-time.Hour))
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) {
		cfg.TLS = TLS{Enabled: true, CA: ca.File, Cert: cert, Key: key}
	})
	sendFailing(t, p, events(0, 1, 1), "check tls.cert and tls.key")
	newCert, newKey := ca.IssueFor(t, "sensor", soon)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	sendAll(t, p, events(0, 1, 1))
}

// TestTLSFiles: files that are not there or hold nothing.
func TestTLSFiles(t *testing.T) {
	ca := authority.New(t)
	server := ca.Pair(t, "", time.Now().Add(time.Hour))
	c := secureCluster(t, func() tls.Certificate { return server })
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, "")
	for want, cfg := range map[string]TLS{
		"tls.ca: open /nonexistent":                        {Enabled: true, CA: "/nonexistent"},
		fmt.Sprintf("tls.ca: no certificate in %s", empty): {Enabled: true, CA: empty},
		"tls.cert: open /nonexistent":                      {Enabled: true, CA: ca.File, Cert: "/nonexistent", Key: "/nonexistent"},
	} {
		p := newProducer(t, c.ListenAddrs(), func(c *Config) { c.TLS = cfg })
		sendFailing(t, p, events(0, 1, 1), want)
	}
}
