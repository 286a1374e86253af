//go:build integration

package dnsbl

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestBinary: a flow to an address that a zone lists is a line in the hit log, with the
// evidence of the zone; after its removal from the zone it is none.
func TestBinary(t *testing.T) {
	z := zones{dir: t.TempDir()}
	z.write(t, "62.0.0.5\n62.0.0.6\n", "2a00:1::/32\n")
	addr, process := z.serve(t)
	i := instance.New(t, fmt.Sprintf(`
intel: {feeds: []}
dnsbl:
  zones: [{zone: bl.example.org, name: bl, score: 70, category: spam}]
  server: %q
  min_ttl: 1s
  max_ttl: 1s
  negative_ttl: 1s
`, addr))
	i.Start(t)
	var s struct {
		DNSBL struct {
			Asked    uint64 `json:"asked"`
			Unlisted uint64 `json:"unlisted"`
			Zones    []struct {
				IPv4 bool `json:"ipv4"`
				IPv6 bool `json:"ipv6"`
			} `json:"zones"`
		} `json:"dnsbl"`
	}
	i.Until(t, "the zone is believed", func() bool {
		return i.Status(t, &s) && len(s.DNSBL.Zones) == 1 && s.DNSBL.Zones[0].IPv4 && s.DNSBL.Zones[0].IPv6
	})
	i.Contact(t, "62.0.0.5", "2a00:1::7", "62.9.9.9", "10.9.9.9")
	for _, offender := range []string{"62.0.0.5", "2a00:1::7"} {
		i.Until(t, "a hit of "+offender, func() bool {
			return len(i.Hits(t, `"kind":"hit"`, `"offender":"`+offender+`"`, `"feed":"bl"`, `"category":"spam"`, "https://bl.example.org/?"+offender)) == 1
		})
	}
	i.Until(t, "the verdict on the others", func() bool { return i.Status(t, &s) && s.DNSBL.Unlisted == 1 })
	if s.DNSBL.Asked != 3 {
		t.Errorf("%d addresses were asked about, want 3: home is not", s.DNSBL.Asked)
	}
	z.write(t, "", "")
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", addr)
	}}
	i.Until(t, "the server knows", func() bool {
		_, err := resolver.LookupHost(t.Context(), "6.0.0.62.bl.example.org.")
		return err != nil && strings.Contains(err.Error(), "no such host")
	})
	// 62.0.0.6 was never asked for, so nothing of it is remembered.
	unlisted := s.DNSBL.Unlisted
	i.Contact(t, "62.0.0.6")
	i.Until(t, "the verdict after the removal", func() bool { return i.Status(t, &s) && s.DNSBL.Unlisted > unlisted })
	if lines := i.Hits(t, "62.0.0.6"); len(lines) != 0 {
		t.Errorf("hits after the removal:\n%s", strings.Join(lines, ""))
	}
}
