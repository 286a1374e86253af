package event

import (
	"net/netip"
	"testing"
)

// The baselines are those of the specification's test suite.
func TestCommunityID(t *testing.T) {
	tests := []struct {
		src, dst     string
		sport, dport uint16
		proto        uint8
		want         string
	}{
		{"128.232.110.120", "66.35.250.204", 34855, 80, 6, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"192.168.1.52", "8.8.8.8", 54585, 53, 17, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"192.168.170.8", "192.168.170.56", 7, 80, 132, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="},
		{"192.168.0.89", "192.168.0.1", 8, 0, 1, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"192.168.0.1", "192.168.0.89", 0, 8, 1, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, 58, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{"fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, 58, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	}
	for _, tt := range tests {
		src, dst := netip.MustParseAddr(tt.src), netip.MustParseAddr(tt.dst)
		if got := CommunityID(src, dst, tt.sport, tt.dport, tt.proto); got != tt.want {
			t.Errorf("%s -> %s proto %d: got %s, want %s", src, dst, tt.proto, got, tt.want)
		}
	}
}

// Both directions have one id, but not those of an ICMP type that nobody answers.
func TestCommunityIDDirections(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, proto := range []uint8{6, 17, 47, 132} {
		if CommunityID(a, b, 1, 2, proto) != CommunityID(b, a, 2, 1, proto) {
			t.Errorf("protocol %d: the directions differ", proto)
		}
		if CommunityID(a, a, 1, 2, proto) != CommunityID(a, a, 2, 1, proto) {
			t.Errorf("protocol %d: the directions differ on one address", proto)
		}
	}
	if CommunityID(a, b, 3, 1, 1) == CommunityID(b, a, 3, 1, 1) {
		t.Error("destination unreachable has one id in both directions")
	}
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	if CommunityID(mapped, b, 1, 2, 6) != CommunityID(a, b, 1, 2, 6) {
		t.Error("an IPv4-mapped address has an id of its own")
	}
	if CommunityID(a, netip.Addr{}, 1, 2, 6) != "" || CommunityID(a, netip.MustParseAddr("::1"), 1, 2, 6) != "" {
		t.Error("an id without two addresses of one family")
	}
}
