package intel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestNetworks(t *testing.T) {
	n := NewNetworks(append(DefaultHome(), netip.MustParsePrefix("::ffff:62.1.2.3/112"), netip.Prefix{}))
	for a, want := range map[string]bool{
		"10.0.0.1": true, "172.31.255.255": true, "172.32.0.0": false, "192.168.1.1": true,
		"169.254.1.1": true, "fe80::1%eth0": true, "fd00::1": true, "::ffff:10.0.0.1": true,
		"62.1.255.255": true, "62.2.0.0": false, "100.64.0.1": false, "2a00::1": false,
	} {
		if got := n.Contains(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: got %t, want %t", a, got, want)
		}
	}
	if n.Contains(netip.Addr{}) || n.Len() != 7 {
		t.Errorf("%d networks, want 7, or the invalid address is in one", n.Len())
	}
	var none Networks
	if none.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the empty set contains something")
	}
}

func TestSpecialPurpose(t *testing.T) {
	tests := []struct{ prefix, name string }{
		{"0.0.0.0/8", "this network"},
		{"0.0.0.0/1", "this network"},
		{"8.0.0.0/6", "private use"},
		{"100.64.0.0/10", "shared address space"},
		{"100.63.255.255/32", ""},
		{"192.0.0.8/32", "IETF protocol assignments"},
		{"192.0.0.9/32", ""},
		{"192.0.0.10/32", ""},
		{"192.0.0.8/30", "IETF protocol assignments"},
		{"192.31.196.1/32", "AS112"},
		{"192.52.193.1/32", "AMT"},
		{"192.175.48.1/32", "AS112"},
		{"198.18.0.0/15", "benchmarking"},
		{"198.20.0.0/16", ""},
		{"223.255.255.255/32", ""},
		{"224.0.0.1/32", "multicast"},
		{"255.255.255.255/32", "limited broadcast"},
		{"240.0.0.1/32", "reserved"},
		{"::/128", "unspecified"},
		{"::1/128", "loopback"},
		{"64:ff9b::1.2.3.4/128", "IPv4-IPv6 translation"},
		{"64:ff9b:1::/48", "IPv4-IPv6 translation"},
		{"100::1/128", "discard only"},
		{"2001::1/128", "Teredo"},
		{"2001:1::1/128", ""},
		{"2001:1::3/128", ""},
		{"2001:1::4/128", "IETF protocol assignments"},
		{"2001:3::1/128", ""},
		{"2001:4:112::1/128", ""},
		{"2001:4:113::1/128", "IETF protocol assignments"},
		{"2001:20::1/128", "ORCHIDv2"},
		{"2001:200::/23", ""},
		{"2001::/22", "Teredo"},
		{"2001:db8::1/128", "documentation"},
		{"2002:102:304::/48", "6to4"},
		{"2620:4f:8000::1/128", "AS112"},
		{"2620:4f:8001::/48", ""},
		{"3fff:fff::/32", "documentation"},
		{"3fff:1000::/32", ""},
		{"4000::/16", "outside 2000::/3"},
		{"5f00::1/128", "segment routing SIDs"},
		{"fd00::1/128", "unique local"},
		{"fec0::1/128", "site local"},
		{"ff02::1/128", "multicast"},
		{"2a00:1450::/32", ""},
	}
	for _, tt := range tests {
		name, overlaps := SpecialPurpose(netip.MustParsePrefix(tt.prefix))
		if name != tt.name || overlaps != (tt.name != "") {
			t.Errorf("%s: got %q, %t, want %q", tt.prefix, name, overlaps, tt.name)
		}
	}
}

// TestSpecialSpace: the set is what IsSpecial reports, at the edges of all ranges and
// elsewhere.
func TestSpecialSpace(t *testing.T) {
	s := SpecialSpace()
	var probes []netip.Addr
	for _, r := range s.Ranges() {
		probes = append(probes, r.From(), r.To(), r.From().Prev(), r.To().Next())
	}
	for _, r := range slices.Concat(special4, special6) {
		probes = append(probes, r.prefix.Addr())
	}
	for _, u := range usable {
		probes = append(probes, u.Addr(), u.Addr().Next(), u.Addr().Prev())
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], random.Uint64())
		probes = append(probes, netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4])))
	}
	for _, a := range probes {
		if a.IsValid() && !a.Is4In6() && s.Contains(a) != IsSpecial(a) {
			t.Errorf("%s: %t, want %t", a, s.Contains(a), IsSpecial(a))
		}
	}
}
