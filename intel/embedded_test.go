package intel

import (
	"net/netip"
	"testing"
)

// ownNAT64 are operator's prefixes of all lengths, two of them within others.
var ownNAT64 = []netip.Prefix{
	netip.MustParsePrefix("2a00:1::/32"), netip.MustParsePrefix("2a00:2:300::/40"),
	netip.MustParsePrefix("2a00:3:3::/48"), netip.MustParsePrefix("2a00:4:4:500::/56"),
	netip.MustParsePrefix("2a00:5:5:5::/64"), netip.MustParsePrefix("2a00:6:6:6::/96"),
	netip.MustParsePrefix("64:ff9b:1:fe::/64"), netip.MustParsePrefix("2a00:1:ffff::/96"),
}

// TestEmbeddingRFC6052 has the examples of RFC 6052, 2.4.
func TestEmbeddingRFC6052(t *testing.T) {
	for prefix, addr := range map[string]string{
		"2001:db8::/32": "2001:db8:c000:221::", "2001:db8:100::/40": "2001:db8:1c0:2:21::",
		"2001:db8:122::/48": "2001:db8:122:c000:2:2100::", "2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::", "2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
		"64:ff9b::/96": "64:ff9b::192.0.2.33",
	} {
		p := []netip.Prefix{netip.MustParsePrefix(prefix)}
		if err := CheckNAT64(p); err != nil {
			t.Error(err)
		}
		if got, _ := NewEmbedding(p).IPv4(netip.MustParseAddr(addr)); got.String() != "192.0.2.33" {
			t.Errorf("%s in %s: %s", addr, prefix, got)
		}
	}
}

func TestCheckNAT64(t *testing.T) {
	for prefix, want := range map[string]string{
		"2001:db8::/33":         "nat64[0]: 2001:db8::/33: the length must be 32, 40, 48, 56, 64 or 96",
		"10.0.0.0/32":           "nat64[0]: 10.0.0.0/32 is not an IPv6 prefix",
		"2001:db8:0:0:100::/96": "nat64[0]: 2001:db8:0:0:100::/96: bits 64 to 71 must be zero",
		"::ffff:0:0/96":         "nat64[0]: ::ffff:0.0.0.0/96 is not an IPv6 prefix",
	} {
		if err := CheckNAT64([]netip.Prefix{netip.MustParsePrefix(prefix)}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", prefix, err, want)
		}
	}
	if err := CheckNAT64(ownNAT64); err != nil {
		t.Error(err)
	}
	if err := CheckNAT64(make([]netip.Prefix, 65)); err == nil {
		t.Error("65 prefixes are allowed")
	}
}

// TestNothingEmbedded: these look like an embedded form and are none.
func TestNothingEmbedded(t *testing.T) {
	e := NewEmbedding(ownNAT64)
	for _, a := range []string{
		"::", "::1", "::ffff", "::ff:ffff", "64:ff9b:0:0:0:1::1", "64:ff9b:2::9.9.9.9", "64:ff9a::9.9.9.9", "2001:1::f6f6:f6f6",
		"2003:909:909::1", "2a01::100:5efe:909:909", "2a01::5eff:909:909", "::1:0:9.9.9.9", "::fffe:0:9.9.9.9",
		"2a00:6:6:6:0:1:9.9.9.9", "2a00:7::909:909", "fe80::1", "9.9.9.9", "::ffff:9.9.9.9",
	} {
		if v4, ok := e.IPv4(netip.MustParseAddr(a)); ok {
			t.Errorf("%s carries %s", a, v4)
		}
	}
}
