package flow

import "testing"

func TestAppendProtocol(t *testing.T) {
	for protocol, want := range map[uint8]string{
		0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
		58: "ipv6-icmp", 88: "eigrp", 89: "ospfigp", 94: "ipip", 97: "etherip", 103: "pim", 112: "vrrp", 115: "l2tp", 132: "sctp",
		136: "udplite", 137: "mpls-in-ip", 143: "ethernet", 61: "61", 114: "114", 200: "200", 255: "255",
	} {
		if got := string(AppendProtocol(nil, protocol)); got != want {
			t.Errorf("%d: got %s, want %s", protocol, got, want)
		}
	}
	for n := range 256 {
		if got, ok := ParseProtocol(ProtocolName(uint8(n))); !ok || int(got) != n {
			t.Errorf("%s: read as %d, %v", ProtocolName(uint8(n)), got, ok)
		}
	}
	for _, s := range []string{"", "256", "-1", "TCP", "tcp "} {
		if n, ok := ParseProtocol(s); ok {
			t.Errorf("%q: read as %d", s, n)
		}
	}
}

func TestTCPFlags(t *testing.T) {
	if got := string(AppendTCPFlags(nil, 0xff1b)); got != "APSF" {
		t.Errorf("got %s", got)
	}
	for n := range uint16(256) {
		if got, ok := ParseTCPFlags(string(AppendTCPFlags(nil, n))); !ok || got != n {
			t.Errorf("%#x: read as %#x, %v", n, got, ok)
		}
	}
	if _, ok := ParseTCPFlags("AX"); ok {
		t.Error("an unknown letter is taken")
	}
}
