package client

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

func TestSpaceOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback", "10.1.1.1": "private use", "fd00::1": "private use",
		"169.254.169.254": "link local", "fe80::1%eth0": "link local", "62.0.0.1": "", "2a00::1": "", "64:ff9b::3e00:1": "",
		"64:ff9b::a00:1": "private use", "0.0.0.0": "this network", "100.64.0.1": "private use",
	} {
		if got := spaceOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

// TestRedirectInside: from the Internet no redirect leads to this host, by address nor by
// name; from here it may.
func TestRedirectInside(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = rw.Write([]byte("password: hunter2\n"))
	}))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	for _, target := range []string{inside.URL, "http://localhost:" + port + "/"} {
		public := httptest.NewServer(http.RedirectHandler(target, http.StatusFound))
		defer public.Close()
		f := spec.Feed{Name: "f", URL: spec.URL(public.URL)}
		s := f.Resolve()
		c, err := New(&s, spec.DefaultBounds, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		own := c.dial
		c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := own(ctx, network, address)
			return onInternet{conn}, err
		}
		if _, err := c.Get(t.Context(), Request{URL: public.URL}); err == nil || !strings.Contains(err.Error(), "a redirect into loopback space is not followed") {
			t.Errorf("%s: %v", target, err)
		}
		if asked != 0 {
			t.Fatalf("%s: followed", target)
		}
		c.dial = own
		c.Close()
		a, err := c.Get(t.Context(), Request{URL: public.URL})
		if err != nil || asked != 1 || !c.Foreign {
			t.Errorf("%s from loopback: %v, asked %d", target, err, asked)
		} else {
			a.Close()
		}
		asked = 0
	}
}

// An onInternet is a connection whose other end seems to have a public address.
type onInternet struct{ net.Conn }

func (onInternet) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(62, 0, 0, 1), Port: 80} }

// TestRedirectCertificate: our certificate is shown to the feed's own host alone.
func TestRedirectCertificate(t *testing.T) {
	shown := make(map[string]bool)
	server := func(name string, h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			shown[name] = len(r.TLS.PeerCertificates) > 0
			h(rw, r)
		}))
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	other := server("other", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("62.0.0.1\n")) })
	home := server("home", http.RedirectHandler(other.URL, http.StatusFound).ServeHTTP)
	f := spec.Feed{Name: "f", URL: spec.URL(home.URL)}
	s := f.Resolve()
	c, err := New(&s, spec.DefaultBounds, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.tls.InsecureSkipVerify = true // as if by ca_file
	c.tls.Certificates = home.TLS.Certificates
	a, err := c.Get(t.Context(), Request{URL: home.URL})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if !shown["home"] || shown["other"] || len(shown) != 2 {
		t.Errorf("certificate shown: %v", shown)
	}
}

// TestRedirectKeepsQuestion: a POST stays what it is on its own host, whatever the kind of
// redirect, and nobody gets to know the URL that a request comes from.
func TestRedirectKeepsQuestion(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		var got []string
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, r.Method+" "+string(body)+r.Header.Get("Referer"))
			if r.URL.Path == "/" {
				http.Redirect(rw, r, "/there", code)
			}
		}))
		f := spec.Feed{Name: "f", URL: spec.URL(server.URL + "/?key=hunter2")}
		s := f.Resolve()
		c, err := New(&s, spec.DefaultBounds, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Get(t.Context(), Request{URL: server.URL + "/?key=hunter2", Body: "{}"})
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		c.Close()
		server.Close()
		if !slices.Equal(got, []string{"POST {}", "POST {}"}) {
			t.Errorf("%d: %q", code, got)
		}
	}
}
