package intel

import "net/netip"

// CriticalServices gives the addresses that everybody talks to all day and that are
// on foreign lists all the same: the root name servers and the large public
// resolvers. The root servers are those of the root hints of 2024, b.root-servers.net
// with its address before the move, too.
func CriticalServices() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range [...]string{
		// a to m.root-servers.net
		"198.41.0.4", "2001:503:ba3e::2:30",
		"170.247.170.2", "199.9.14.201", "2801:1b8:10::b", "2001:500:200::b",
		"192.33.4.12", "2001:500:2::c",
		"199.7.91.13", "2001:500:2d::d",
		"192.203.230.10", "2001:500:a8::e",
		"192.5.5.241", "2001:500:2f::f",
		"192.112.36.4", "2001:500:12::d0d",
		"198.97.190.53", "2001:500:1::53",
		"192.36.148.17", "2001:7fe::53",
		"192.58.128.30", "2001:503:c27::2:30",
		"193.0.14.129", "2001:7fd::1",
		"199.7.83.42", "2001:500:9f::42",
		"202.12.27.33", "2001:dc3::35",
		// Cloudflare, Google, Quad9, OpenDNS
		"1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001",
		"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844",
		"9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9",
		"208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53",
	} {
		a := netip.MustParseAddr(s)
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}
