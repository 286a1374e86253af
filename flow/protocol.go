package flow

import (
	"strconv"
	"strings"
)

// IP protocols and IPv6 extension headers that are treated apart somewhere, by their
// IANA numbers.
const (
	ProtocolHopByHop = 0
	ProtocolICMP     = 1
	ProtocolIPv4     = 4
	ProtocolTCP      = 6
	ProtocolUDP      = 17
	ProtocolDCCP     = 33
	ProtocolIPv6     = 41
	ProtocolRouting  = 43
	ProtocolFragment = 44
	ProtocolGRE      = 47
	ProtocolAH       = 51
	ProtocolICMPv6   = 58
	ProtocolDestOpts = 60
	ProtocolSCTP     = 132
	ProtocolMobility = 135
	ProtocolUDPLite  = 136
	ProtocolHIP      = 139
	ProtocolShim6    = 140
	ProtocolEthernet = 143 // RFC 8986 4.9, SRv6
)

// portful are the protocols that have ports. What exporters put into the port fields of the
// others is zero, or type and code of ICMP.
var portful = [256]bool{
	ProtocolTCP: true, ProtocolUDP: true, ProtocolDCCP: true, ProtocolSCTP: true, ProtocolUDPLite: true,
}

// HasPorts reports whether an IP protocol has ports.
func HasPorts(protocol uint8) bool { return portful[protocol] }

// keywords are the lower-cased keywords of the IANA registry "Assigned Internet
// Protocol Numbers"; empty where a number has none or only a description.
var keywords = [...]string{
	"hopopt", "icmp", "igmp", "ggp", "ipv4", "st", "tcp", "cbt", "egp", "igp", // 0
	"bbn-rcc-mon", "nvp-ii", "pup", "argus", "emcon", "xnet", "chaos", "udp", "mux", "dcn-meas", // 10
	"hmp", "prm", "xns-idp", "trunk-1", "trunk-2", "leaf-1", "leaf-2", "rdp", "irtp", "iso-tp4", // 20
	"netblt", "mfe-nsp", "merit-inp", "dccp", "3pc", "idpr", "xtp", "ddp", "idpr-cmtp", "tp++", // 30
	"il", "ipv6", "sdrp", "ipv6-route", "ipv6-frag", "idrp", "rsvp", "gre", "dsr", "bna", // 40
	"esp", "ah", "i-nlsp", "swipe", "narp", "min-ipv4", "tlsp", "skip", "ipv6-icmp", "ipv6-nonxt", // 50
	"ipv6-opts", "", "cftp", "", "sat-expak", "kryptolan", "rvd", "ippc", "", "sat-mon", // 60
	"visa", "ipcv", "cpnx", "cphb", "wsn", "pvp", "br-sat-mon", "sun-nd", "wb-mon", "wb-expak", // 70
	"iso-ip", "vmtp", "secure-vmtp", "vines", "iptm", "nsfnet-igp", "dgp", "tcf", "eigrp", "ospfigp", // 80
	"sprite-rpc", "larp", "mtp", "ax.25", "ipip", "micp", "scc-sp", "etherip", "encap", "", // 90
	"gmtp", "ifmp", "pnni", "pim", "aris", "scps", "qnx", "a/n", "ipcomp", "snp", // 100
	"compaq-peer", "ipx-in-ip", "vrrp", "pgm", "", "l2tp", "ddx", "iatp", "stp", "srp", // 110
	"uti", "smp", "sm", "ptp", "", "fire", "crtp", "crudp", "sscopmce", "iplt", // 120
	"sps", "pipe", "sctp", "fc", "rsvp-e2e-ignore", "", "udplite", "mpls-in-ip", "manet", "hip", // 130
	"shim6", "wesp", "rohc", "ethernet", "aggfrag", "nsh", "homa", // 140
}

// numbers gives the numbers of the keywords.
var numbers = func() map[string]uint8 {
	m := make(map[string]uint8, len(keywords))
	for n, keyword := range keywords {
		if keyword != "" {
			m[keyword] = uint8(n)
		}
	}
	return m
}()

// ProtocolName gives the keyword of an IP protocol in lower case, else its number.
func ProtocolName(protocol uint8) string { return string(AppendProtocol(nil, protocol)) }

// ParseProtocol reads what [AppendProtocol] writes.
func ParseProtocol(s string) (protocol uint8, ok bool) {
	if n, ok := numbers[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil
}

// AppendProtocol appends the keyword of an IP protocol, else its number.
func AppendProtocol(dst []byte, protocol uint8) []byte {
	if int(protocol) < len(keywords) && keywords[protocol] != "" {
		return append(dst, keywords[protocol]...)
	}
	return strconv.AppendUint(dst, uint64(protocol), 10)
}

// tcpFlagLetters are those of the TCP flags, from 0x80 down.
const tcpFlagLetters = "CEUAPRSF"

// AppendTCPFlags appends the tcpFlagLetters of the TCP flags that are set, in the order
// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
func AppendTCPFlags(dst []byte, flags uint16) []byte {
	for i := range len(tcpFlagLetters) {
		if flags&(0x80>>i) != 0 {
			dst = append(dst, tcpFlagLetters[i])
		}
	}
	return dst
}

// ParseTCPFlags reads what [AppendTCPFlags] writes.
func ParseTCPFlags(s string) (flags uint16, ok bool) {
	for _, letter := range s {
		i := strings.IndexRune(tcpFlagLetters, letter)
		if i < 0 {
			return 0, false
		}
		flags |= 0x80 >> i
	}
	return flags, true
}
