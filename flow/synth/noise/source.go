// Package noise invents flows: between random addresses or those of given networks,
// a given share of them with a listed address at one end, always the same ones for a seed.
// Tests, the load generator and the demo give them to an encoder of package synth.
package noise

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A Config describes the traffic that a Source invents. The zero value
// gives flows between random IPv4 addresses that never repeat.
type Config struct {
	// Seed decides everything: two sources of the same config and asked with the
	// same times give the same flows.
	Seed uint64
	// Flows is the number of different flows, after which the same ones come
	// again; 0 means that they do not repeat.
	Flows int
	// IPv6 is the share, 0-1, of flows between IPv6 addresses.
	IPv6 float64
	// Hits is the share, 0-1, of flows that have an address of Listed at one end.
	// Listed prefixes of a family that IPv6 excludes (0 or 1) are left out.
	Hits   float64
	Listed []netip.Prefix
	// Home has the prefixes of one's own network: one end of every flow lies in
	// it. Without a prefix of the flow's family both ends are random.
	Home []netip.Prefix
}

// Validate reports shares out of range, invalid prefixes and hits that have no
// listed prefix to go to.
func (c Config) Validate() error {
	if !isShare(c.IPv6) || !isShare(c.Hits) {
		return fmt.Errorf("synth: ipv6 share %g, hit share %g: a share is within 0-1", c.IPv6, c.Hits)
	}
	if c.Flows < 0 {
		return fmt.Errorf("synth: %d flows is negative", c.Flows)
	}
	for _, list := range [][]netip.Prefix{c.Listed, c.Home} {
		for _, p := range list {
			if !p.IsValid() {
				return fmt.Errorf("synth: prefix %s is invalid", p)
			}
		}
	}
	if c.Hits > 0 && len(c.usable()) == 0 {
		return fmt.Errorf("synth: hit share %g needs a listed prefix of the families in use (ipv6 share %g)", c.Hits, c.IPv6)
	}
	return nil
}

// isShare is false for NaN too.
func isShare(f float64) bool { return f >= 0 && f <= 1 }

// usable gives the listed prefixes of the families in use.
func (c Config) usable() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range c.Listed {
		if p.Addr().Is4() && c.IPv6 < 1 || p.Addr().Is6() && c.IPv6 > 0 {
			list = append(list, p)
		}
	}
	return list
}

// A Source invents flows. It is not safe for concurrent use.
type Source struct {
	cfg    Config
	rng    *rand.Rand
	pcg    *rand.PCG
	given  int // flows since the seed
	listed []netip.Prefix
	home   [2][]netip.Prefix // by family: IPv4, IPv6
}

// NewSource makes a source at its first flow.
func NewSource(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, pcg: new(rand.PCG), listed: cfg.usable()}
	s.rng = rand.New(s.pcg)
	for _, p := range cfg.Home {
		i := family(p.Addr().Is6())
		s.home[i] = append(s.home[i], p)
	}
	s.rewind()
	return s, nil
}

// seedStream keeps the source's random numbers apart from those of others that
// are seeded with the same small number.
const seedStream = 0x666c6f7773796e74

// rewind goes back to the first flow.
func (s *Source) rewind() {
	s.pcg.Seed(s.cfg.Seed, seedStream)
	s.given = 0
}

// Next gives the next flow, one that ended shortly before now, and reports whether
// one of its ends was taken from Listed on purpose. A random address may lie in a
// listed prefix too. Flows differ by 64 and more random bits of addresses and
// ports: two alike are possible, but not to be expected.
func (s *Source) Next(now time.Time) (f synth.Flow, listed bool) {
	if s.cfg.Flows > 0 && s.given == s.cfg.Flows {
		s.rewind()
	}
	s.given++
	own, peer, listed := s.ends()
	f = synth.Flow{Src: own, Dst: peer}
	s.fillTraffic(&f)
	s.fillTimes(&f, now)
	if s.rng.IntN(2) == 0 { // half of all flows are those of the way back
		turn(&f)
	}
	return f, listed
}

// ends draws the two addresses of a flow.
func (s *Source) ends() (own, peer netip.Addr, listed bool) {
	if listed = s.rng.Float64() < s.cfg.Hits; listed {
		peer = s.within(s.listed[s.rng.IntN(len(s.listed))])
	} else {
		peer = s.anywhere(s.rng.Float64() < s.cfg.IPv6)
	}
	home := s.home[family(peer.Is6())]
	if len(home) == 0 {
		return s.anywhere(peer.Is6()), peer, listed
	}
	return s.within(home[s.rng.IntN(len(home))]), peer, listed
}

func family(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

// anywhere draws a unicast address, every one equally likely: 1.0.0.0 to
// 223.255.255.255, or within 2000::/3.
func (s *Source) anywhere(ipv6 bool) netip.Addr {
	if ipv6 {
		return s.within(globalUnicast)
	}
	a := 1<<24 + s.rng.Uint32N(223<<24)
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}

// globalUnicast is all that IANA assigns IPv6 addresses from.
var globalUnicast = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3)

// within draws an address of a prefix, every one equally likely.
func (s *Source) within(p netip.Prefix) netip.Addr {
	a := p.Addr().AsSlice()
	for i := range a {
		fixed := min(max(p.Bits()-8*i, 0), 8) // leading bits of this byte
		free := byte(0xff >> fixed)
		a[i] = a[i]&^free | byte(s.rng.Uint32())&free
	}
	addr, _ := netip.AddrFromSlice(a)
	return addr
}

// services are the ports that servers of the thought-up network answer on.
var services = [...]uint16{443, 443, 443, 80, 53, 123, 22, 25, 993, 3389, 5060, 8080}

// TCP control bits as they come together in flows: a whole conversation, a
// running one, a refused one, a lone attempt.
var tcpFlags = [...]uint16{0x1b, 0x1b, 0x18, 0x14, 0x02}

// fillTraffic draws what went over the wire: mostly TCP, some UDP and ICMP. The
// mean packet fits an Ethernet frame.
func (s *Source) fillTraffic(f *synth.Flow) {
	switch n := s.rng.IntN(100); {
	case n < 70:
		f.Protocol = flow.ProtocolTCP
		f.TCPFlags = tcpFlags[s.rng.IntN(len(tcpFlags))]
	case n < 98:
		f.Protocol = flow.ProtocolUDP
	case f.Dst.Is4():
		f.Protocol, f.DstPort = flow.ProtocolICMP, 8<<8 // echo request
	default:
		f.Protocol, f.DstPort = flow.ProtocolICMPv6, 128<<8
	}
	if f.Protocol == flow.ProtocolTCP || f.Protocol == flow.ProtocolUDP {
		f.SrcPort = 1024 + uint16(s.rng.IntN(1<<16-1024))
		f.DstPort = services[s.rng.IntN(len(services))]
	}
	f.Packets = 1 + uint64(s.rng.IntN(100))
	f.Bytes = f.Packets * uint64(80+s.rng.IntN(1400))
	f.InIf = 1 + uint32(s.rng.IntN(24))
	f.OutIf = 25 + uint32(s.rng.IntN(24))
}

// turn makes f the flow of the other direction. The type and code of ICMP stay
// where they are.
func turn(f *synth.Flow) {
	f.Src, f.Dst = f.Dst, f.Src
	f.InIf, f.OutIf = f.OutIf, f.InIf
	if f.Protocol == flow.ProtocolTCP || f.Protocol == flow.ProtocolUDP {
		f.SrcPort, f.DstPort = f.DstPort, f.SrcPort
	}
}

// fillTimes lets the flow end within the last second and last up to half a
// minute, as with the usual timeouts of exporters.
func (s *Source) fillTimes(f *synth.Flow, now time.Time) {
	f.End = now.Add(-time.Duration(s.rng.IntN(1000)) * time.Millisecond)
	f.Start = f.End.Add(-time.Duration(s.rng.IntN(30000)) * time.Millisecond)
}
