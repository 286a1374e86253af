package tlsfiles_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
)

// shake connects to a server of TLS and reads one byte from it, by which an alert about
// the certificate of the client has come.
func shake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if server == nil {
			_, _ = conn.Write([]byte("220 not TLS\r\n"))
		} else {
			_, _ = tls.Server(conn, server).Write([]byte("x"))
		}
		_, _ = conn.Read(make([]byte, 1024))
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	secure, err := tlsfiles.Handshake(t.Context(), conn, client, l.Addr().String())
	if err == nil {
		_, err = secure.Read(make([]byte, 1))
	}
	conn.Close()
	<-done
	return err
}

// TestAdvice: by handshakes on real connections.
func TestAdvice(t *testing.T) {
	a, other, soon := authority.New(t), authority.New(t), time.Now().Add(time.Hour)
	serve := func(clientCA, name string, end time.Time) *tls.Config {
		cert, key := a.IssueFor(t, name, end)
		cfg, err := tlsfiles.Server("tls.*", cert, key, clientCA)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	trust := func(ca, cert, key, name string) *tls.Config {
		cfg, err := tlsfiles.Client("tls.*", ca, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		cfg.ServerName = name
		return cfg
	}
	cert, key := a.Issue(t)
	foreignCert, foreignKey := other.Issue(t)
	for _, tt := range []struct {
		name           string
		server, client *tls.Config
		want           string // empty = it works
	}{
		{"good", serve("", "", soon), trust(a.File, "", "", ""), ""},
		{"name set", serve("", "broker.example", soon), trust(a.File, "", "", "broker.example"), ""},
		{"certificate of the client", serve(a.File, "", soon), trust(a.File, cert, key, ""), ""},
		{"other name", serve("", "broker.example", soon), trust(a.File, "", "", ""), "the broker's certificate is for another name, set tls.server_name"},
		{"unknown", serve("", "", soon), trust(other.File, "", "", ""), "the broker's certificate is of an unknown authority, name it in tls.ca"},
		{"expired", serve("", "", time.Now().Add(-time.Hour)), trust(a.File, "", "", ""), "the broker's certificate has expired or is not valid yet, renew it or set the clock"},
		{"no TLS", nil, trust(a.File, "", "", ""), "the broker's port does not speak TLS"},
		{"no certificate of the client", serve(a.File, "", soon), trust(a.File, "", "", ""), "the broker ends TLS, check tls.cert and tls.key"},
		{"foreign certificate of the client", serve(a.File, "", soon), trust(a.File, foreignCert, foreignKey, ""), "the broker ends TLS, check tls.cert and tls.key"},
	} {
		err := shake(t, tt.server, tt.client)
		if got := tlsfiles.Advice("broker", err); got != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: %q, want %q (%v)", tt.name, got, tt.want, err)
		}
	}
	if s := tlsfiles.Advice("broker", errors.New("other")); s != "" {
		t.Errorf("another error: %q", s)
	}
}

// TestRenewal: a server uses a new certificate for the next connection, and keeps the one
// of its start while the files are no pair.
func TestRenewal(t *testing.T) {
	a, b := authority.New(t), authority.New(t)
	cert, key := a.Issue(t)
	server, err := tlsfiles.Server("tls.*", cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	try := func(ca string) error {
		client, err := tlsfiles.Client("tls.*", ca, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return shake(t, server, client)
	}
	if err := try(a.File); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(a.File); err != nil {
		t.Errorf("half a renewal: %v", err)
	}
	b.IssueTo(t, "", time.Now().Add(time.Hour), cert, key)
	if err := try(b.File); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if err := try(a.File); err == nil {
		t.Error("the old certificate is still used")
	}
}

// TestNames: errors begin with the key of the configuration.
func TestNames(t *testing.T) {
	a := authority.New(t)
	cert, key := a.Issue(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := func(keys, ca, cert, key string) error { _, err := tlsfiles.Client(keys, ca, cert, key); return err }
	server := func(keys, cert, key, ca string) error { _, err := tlsfiles.Server(keys, cert, key, ca); return err }
	for want, err := range map[string]error{
		"tls.ca: no certificate in " + empty + ", which must be PEM":            client("tls.*", empty, cert, key),
		"--ca-file: open /nowhere: ":                                            client("--*-file", "/nowhere", "", ""),
		"cert_file: open /nowhere: ":                                            client("*_file", a.File, "/nowhere", key),
		"tls.cert: tls: ":                                                       client("tls.*", "", cert, empty),
		"web.tls.cert: open /nowhere: ":                                         server("web.tls.*", cert, "/nowhere", ""),
		"web.tls.client_ca: no certificate in " + empty + ", which must be PEM": server("web.tls.*", cert, key, empty),
		"web.tls.client_ca: open /nowhere: no such file ":                       server("web.tls.*", cert, key, "/nowhere"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
