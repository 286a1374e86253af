package capture

import "testing"

func TestLinkTypes(t *testing.T) {
	eth := func(rest string) string { return macs + rest }
	for _, c := range []struct {
		name  string
		link  int
		frame string
		v6    bool
	}{
		{"ethernet", 1, eth("0800" + ip4Flow), false},
		{"ethernet v6", 1, eth("86dd" + ip6Flow), true},
		{"ethernet padding", 1, eth("0800" + ip4Flow + "eeeeeeeeeeeeeeeeeeeeeeeeeeee"), false},
		{"ethernet padding v6", 1, eth("86dd" + ip6Flow + "eeeeeeee"), true},
		{"802.1Q", 1, eth("8100 0064 0800" + ip4Flow), false},
		{"802.1Q v6", 1, eth("8100 0064 86dd" + ip6Flow), true},
		{"802.1ad", 1, eth("88a8 0064 8100 0065 0800" + ip4Flow), false},
		{"9100", 1, eth("9100 0064 8100 0065 0800" + ip4Flow), false},
		{"9200 and 9300", 1, eth("9200 0064 9300 0065 0800" + ip4Flow), false},
		{"three tags", 1, eth("88a8 0064 88a8 0065 8100 0066 86dd" + ip6Flow), true},
		{"MPLS", 1, eth("8847 00064140" + ip4Flow), false},
		{"MPLS two labels v6", 1, eth("8847 00064040 00065140" + ip6Flow), true},
		{"MPLS upstream", 1, eth("8848 00064140" + ip4Flow), false},
		{"VLAN and MPLS", 1, eth("8100 0064 8847 00064140" + ip4Flow), false},
		{"PPPoE", 1, eth("8864 1100 0001 0022 0021" + ip4Flow), false},
		{"PPPoE v6", 1, eth("8864 1100 0001 0036 0057" + ip6Flow), true},
		{"PPPoE, protocol of one byte", 1, eth("8864 1100 0001 0021 21" + ip4Flow), false},
		{"VLAN and PPPoE", 1, eth("8100 0064 8864 1100 0001 0022 0021" + ip4Flow), false},
		{"802.3 SNAP", 1, eth("0028 aaaa03 000000 0800" + ip4Flow), false},
		{"SLL", 113, "0000 0001 0006 020000000001 0000 0800" + ip4Flow, false},
		{"SLL v6", 113, "0004 0001 0006 020000000001 0000 86dd" + ip6Flow, true},
		{"SLL VLAN", 113, "0000 0001 0006 020000000001 0000 8100 0064 0800" + ip4Flow, false},
		{"SLL2", 276, "0800 0000 00000002 0001 00 06 0200000000010000" + ip4Flow, false},
		{"SLL2 v6", 276, "86dd 0000 00000002 0001 04 06 0200000000010000" + ip6Flow, true},
		{"NULL little-endian", 0, "02000000" + ip4Flow, false},
		{"NULL big-endian", 0, "00000002" + ip4Flow, false},
		{"NULL v6 Linux", 0, "0a000000" + ip6Flow, true},
		{"NULL v6 Windows", 0, "17000000" + ip6Flow, true},
		{"NULL v6 OpenBSD", 0, "18000000" + ip6Flow, true},
		{"NULL v6 FreeBSD", 0, "1c000000" + ip6Flow, true},
		{"NULL v6 Darwin", 0, "1e000000" + ip6Flow, true},
		{"NULL v6 big-endian", 0, "0000001e" + ip6Flow, true},
		{"LOOP", 108, "00000002" + ip4Flow, false},
		{"LOOP little-endian", 108, "02000000" + ip4Flow, false},
		{"LOOP v6", 108, "00000018" + ip6Flow, true},
		{"RAW", 101, ip4Flow, false},
		{"RAW v6", 101, ip6Flow, true},
		{"RAW 12", 12, ip4Flow, false},
		{"RAW 12 v6", 12, ip6Flow, true},
		{"RAW 14", 14, ip4Flow, false},
		{"RAW 14 v6", 14, ip6Flow, true},
		{"IPV4", 228, ip4Flow, false},
		{"IPV6", 229, ip6Flow, true},
		{"PPP", 9, "ff03 0021" + ip4Flow, false},
		{"PPP without address", 9, "0057" + ip6Flow, true},
		{"PPP, protocol of one byte", 9, "ff03 21" + ip4Flow, false},
		{"PPP MPLS", 9, "ff03 0281 00064140" + ip4Flow, false},
		{"PPP_HDLC", 50, "ff03 0021" + ip4Flow, false},
		{"PPP_HDLC in Cisco's framing", 50, "0f00 0800" + ip4Flow, false},
		{"PPP_ETHER", 51, "1100 0001 0022 0021" + ip4Flow, false},
		{"C_HDLC", 104, "0f00 0800" + ip4Flow, false},
		{"C_HDLC multicast v6", 104, "8f00 86dd" + ip6Flow, true},
		{"C_HDLC MPLS", 104, "0f00 8847 00064140" + ip4Flow, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, _ := mustReadAll(t, pcapOf(c.link, unhex(c.frame)))
			want := got{1, source4, "flow", start}
			if c.v6 {
				want.source = source6
			}
			if len(all) != 1 || all[0] != want {
				t.Errorf("got %v, want %v", all, want)
			}
		})
	}
}

func TestNoDatagram(t *testing.T) {
	tcp4 := "4500 0028 0001 0000 4006 0000 c0000201 c0000202 c350 0050 00000000 00000000 5002 0000 0000 0000"
	for _, c := range []struct {
		name  string
		link  int
		frame string
		want  Stats
	}{
		{"ARP", 1, macs + "0806 0001", Stats{NotIP: 1}},
		{"LLDP in a VLAN", 1, macs + "8100 0064 88cc 0000", Stats{NotIP: 1}},
		{"spanning tree", 1, macs + "0026 424203 0000000000", Stats{NotIP: 1}},
		{"pseudowire with control word", 1, macs + "8847 00064140 00000000" + macs + "0800" + ip4Flow, Stats{NotIP: 1}},
		{"PPPoE discovery", 1, macs + "8863 1109 0000 0004 01010000", Stats{NotIP: 1}},
		{"PPPoE of another code", 1, macs + "8864 1109 0000 0022 0021" + ip4Flow, Stats{NotIP: 1}},
		{"PPP LCP", 9, "ff03 c021 01010004", Stats{NotIP: 1}},
		{"loopback of AppleTalk", 0, "10000000 00", Stats{NotIP: 1}},
		{"raw of version 5", 101, "50000000", Stats{NotIP: 1}},
		{"TCP", 101, tcp4, Stats{TCP: 1}},
		{"TCP v6", 101, "60000000 0000 06 40" + addresses6, Stats{TCP: 1}},
		{"TCP fragment", 101, "4500 001c 0001 2000 4006 0000 c0000201 c0000202 c350005000000000", Stats{TCP: 1}},
		{"ICMP", 101, "4500 001c 0001 0000 4001 0000 c0000201 c0000202 0800f7ff00000000", Stats{OtherIP: 1}},
		{"ICMP fragment", 101, "4500 001c 0001 2000 4001 0000 c0000201 c0000202 0800f7ff00000000", Stats{OtherIP: 1}},
		{"ESP v6", 101, "60000000 0008 32 40" + addresses6 + "0000000100000001", Stats{OtherIP: 1}},
		{"no next header", 101, "60000000 0000 3b 40" + addresses6, Stats{OtherIP: 1}},
		{"hop-by-hop in IPv4", 101, "4500 0024 0001 0000 4000 0000 c0000201 c0000202 1100000000000000" + udpHeader, Stats{OtherIP: 1}},
		{"IPv6 in an IPv4 frame", 228, ip6Flow, Stats{Malformed: 1}},
		{"IPv4 in an IPv6 frame", 1, macs + "86dd" + ip4Flow + ip4Flow, Stats{Malformed: 1}},
		{"IPv4 header of 16 bytes", 101, "44" + ip4Flow[2:], Stats{Malformed: 1}},
		{"IPv4 header beyond the packet", 101, "4f" + ip4Flow[2:], Stats{Malformed: 1}},
		{"IPv4 length shorter than its header", 101, "4500 0013" + ip4Flow[9:], Stats{Malformed: 1}},
		{"UDP length 7", 101, "4500 0020 0001 0000 4011 0000 c0000201 c0000202 c350 0807 0007 0000 666c6f77", Stats{Malformed: 1}},
		{"half a UDP header", 101, "4500 0018 0001 0000 4011 0000 c0000201 c0000202 c350 0807", Stats{Malformed: 1}},
		{"empty frame", 1, "", Stats{Malformed: 1}},
		{"half an Ethernet header", 1, macs, Stats{Malformed: 1}},
		{"half a VLAN tag", 1, macs + "8100 00", Stats{Malformed: 1}},
		{"labels without end", 1, macs + "8847 00064040 00064040", Stats{Malformed: 1}},
		{"half a PPPoE header", 1, macs + "8864 1100 00", Stats{Malformed: 1}},
		{"half a PPP header", 9, "ff03 00", Stats{Malformed: 1}},
		{"half an SLL2 header", 276, "0800 0000 0000", Stats{Malformed: 1}},
		{"half a loopback header", 0, "0200", Stats{Malformed: 1}},
		{"empty raw", 101, "", Stats{Malformed: 1}},
		{"half an IPv6 header", 101, "60000000 000c 11 40", Stats{Malformed: 1}},
		{"extension header beyond the packet", 101, "60000000 0010 3c 40" + addresses6 + "1101000000000000" + udpHeader[:19], Stats{Malformed: 1}},
		{"half an extension header", 101, "60000000 0004 00 40" + addresses6 + "11000000", Stats{Malformed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Frames = 1
			all, s := mustReadAll(t, pcapOf(c.link, unhex(c.frame)))
			if len(all) != 0 || s != c.want {
				t.Errorf("got %v, %+v, want %+v", all, s, c.want)
			}
		})
	}
}
