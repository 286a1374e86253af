package event

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// icmpPeers maps ICMP types that ask to those that answer and back (RFC 792, RFC
// 950, RFC 1256), icmp6Peers those of ICMPv6 (RFC 4443, RFC 2710, RFC 4861, RFC
// 4620, RFC 4286). Both directions of such an exchange are one flow.
var (
	icmpPeers = map[uint16]uint16{
		8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10,
	}
	icmp6Peers = map[uint16]uint16{
		128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135,
		130: 131, 131: 130, 139: 140, 140: 139, 144: 145, 145: 144,
	}
)

// CommunityID gives the Community ID, version 1 with seed 0, of a flow: the same
// text for both directions, by which the records of other sensors (Zeek, Suricata)
// are found. For ICMP and ICMPv6 sport is the type and dport the code. It is empty
// when an address is missing or the two are of different families.
// https://github.com/corelight/community-id-spec
func CommunityID(src, dst netip.Addr, sport, dport uint16, proto uint8) string {
	src, dst = src.Unmap().WithZone(""), dst.Unmap().WithZone("")
	if !src.IsValid() || src.BitLen() != dst.BitLen() {
		return ""
	}
	oneWay := false
	switch proto {
	case flow.ProtocolICMP:
		sport, dport, oneWay = icmpPorts(icmpPeers, sport, dport)
	case flow.ProtocolICMPv6:
		sport, dport, oneWay = icmpPorts(icmp6Peers, sport, dport)
	}
	if c := src.Compare(dst); !oneWay && (c > 0 || c == 0 && sport > dport) {
		src, dst, sport, dport = dst, src, dport, sport
	}
	b := make([]byte, 0, 40)
	b = append(b, 0, 0) // seed
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = append(b, proto, 0)
	if hasPorts(proto) {
		b = binary.BigEndian.AppendUint16(b, sport)
		b = binary.BigEndian.AppendUint16(b, dport)
	}
	sum := sha1.Sum(b)
	return "1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// icmpPorts gives type and its counterpart in place of ports; a type without a
// counterpart keeps its code, and its direction.
func icmpPorts(peers map[uint16]uint16, typ, code uint16) (sport, dport uint16, oneWay bool) {
	if peer, ok := peers[typ]; ok {
		return typ, peer, false
	}
	return typ, code, true
}

func hasPorts(proto uint8) bool {
	switch proto {
	case flow.ProtocolICMP, flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolICMPv6, flow.ProtocolSCTP:
		return true
	}
	return false
}
