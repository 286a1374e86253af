package sinks

import (
	"strconv"

	"github.com/flowsnitch/flowsnitch/flow"
)

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

// Protocol gives the keyword of an IP protocol in lower case, else its number.
func Protocol(protocol uint8) string { return string(appendProtocol(nil, protocol)) }

// appendProtocol appends the keyword of an IP protocol, else its number.
func appendProtocol(dst []byte, protocol uint8) []byte {
	if int(protocol) < len(keywords) && keywords[protocol] != "" {
		return append(dst, keywords[protocol]...)
	}
	return strconv.AppendUint(dst, uint64(protocol), 10)
}

// appendFlags appends the letters of the TCP flags that are set, in the order
// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
func appendFlags(dst []byte, flags uint16) []byte {
	const letters = "CEUAPRSF"
	for i := range len(letters) {
		if flags&(0x80>>i) != 0 {
			dst = append(dst, letters[i])
		}
	}
	return dst
}

// exportProtocol gives the protocol of an export as text in every form: a number alone
// would be taken for a NetFlow version where it is one of sFlow. Unknown ones are empty.
func exportProtocol(v flow.Version) string {
	switch v {
	case flow.V5:
		return "5"
	case flow.V9:
		return "9"
	case flow.IPFIX:
		return "ipfix"
	case flow.SFlow:
		return "sflow5"
	}
	return ""
}

// Protocols whose port fields hold a type and a code, which people do not read as
// ports.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)
