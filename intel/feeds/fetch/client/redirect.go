package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A redirect to another host gets neither keys nor our certificate, and must not lead into
// space that is not on the Internet (loopback, link-local, private and the like), unless
// the feed itself is in space of that kind. It is the resolved address that counts.

// spaceOf gives the kind of special-purpose space that an address is in; empty = it is on
// the Internet. Translated IPv4 addresses (RFC 6052) are what they stand for.
func spaceOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	name, special := intel.SpecialPurpose(netip.PrefixFrom(a, a.BitLen()))
	switch {
	case !special:
		return ""
	case name == "unique local" || name == "shared address space":
		return "private use"
	}
	return name
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// A spaceError refuses a connection.
type spaceError struct{ space string }

func (e *spaceError) Error() string {
	return fmt.Sprintf("a redirect into %s space is not followed, as the feed itself is not there", e.space)
}

// allows is an error if a redirect must not lead to an address.
func (c *Client) allows(a netip.Addr) error {
	if space := spaceOf(a); space != "" && space != c.space {
		return &spaceError{space}
	}
	return nil
}

// addrOf gives the address of the other end of a connection; invalid for one that is no
// TCP.
func addrOf(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr()
}

// elsewhere makes the transport for a hop to another host. Behind a proxy it is the proxy
// that resolves names; then only an address in the URL is looked at.
func (c *Client) elsewhere(r *http.Request) (http.RoundTripper, error) {
	t := c.http.Transport.(*http.Transport).Clone()
	t.TLSClientConfig = c.tls.Clone()
	t.TLSClientConfig.Certificates = nil
	t.DisableKeepAlives = true
	if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
		if err := c.allows(a); err != nil {
			return nil, err
		}
	}
	if proxied(r) {
		t.DialContext = c.dial
		return t, nil
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dialElsewhere(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if a := addrOf(conn); a.IsValid() {
			if err := c.allows(a); err != nil {
				_ = conn.Close()
				return nil, err
			}
		}
		return conn, nil
	}
	return t, nil
}

// proxied reports whether a request goes through a proxy.
func proxied(r *http.Request) bool {
	proxy, err := http.ProxyFromEnvironment(r)
	return err == nil && proxy != nil
}

// roundTrip sends a request by the transport that is right for where it goes.
func (c *Client) roundTrip(r *http.Request, home *url.URL) (*http.Response, error) {
	c.Foreign = !SameHost(r.URL, home)
	if !c.Foreign {
		return c.http.Do(r)
	}
	t, err := c.elsewhere(r)
	if err != nil {
		return nil, err
	}
	other := *c.http
	other.Transport = t
	return other.Do(r)
}
