package intel

import (
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"
)

// A Class is what a warninglist does to a listing of an address in it.
type Class string

// The classes.
const (
	// ClassInfrastructure is what everybody talks to: root servers, public resolvers,
	// update servers. It never raises a hit.
	ClassInfrastructure Class = "infrastructure"
	// ClassShared is where many live behind one address: clouds, relays, CDNs. A
	// listing counts half, unless it names a port or a second feed agrees.
	ClassShared Class = "shared"
	// ClassScanner are known research scanners: the category becomes scanner.
	ClassScanner Class = "scanner"
	// ClassSinkhole are addresses that catch the victims of dead botnets: whoever
	// of us talks to one is infected, and the category shows it.
	ClassSinkhole Class = "sinkhole"
)

// Classes gives all of them.
func Classes() []Class {
	return []Class{ClassInfrastructure, ClassShared, ClassScanner, ClassSinkhole}
}

// A Warninglist is a list of addresses that deserve a second look before an alarm.
// It does not change; any number of tables may share it.
type Warninglist struct {
	Name  string // as in the configuration and in reports
	Class Class  // what it does to a listing
	// Stopped counts the look-ups that found a listing and gave no hit because of
	// this list: what would have been a hit. Lists of other classes stop nothing.
	// It is never nil.
	Stopped *atomic.Uint64

	networks *Networks
}

// NewWarninglist makes a list. Prefixes that say nothing, /0 and invalid ones, are
// left out. The counter goes on with the one given; nil means a new one.
func NewWarninglist(name string, class Class, prefixes []netip.Prefix, stopped *atomic.Uint64) *Warninglist {
	if stopped == nil {
		stopped = new(atomic.Uint64)
	}
	useful := slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool {
		return !p.IsValid() || Canonical(p).Bits() == 0
	})
	return &Warninglist{Name: name, Class: class, Stopped: stopped, networks: NewNetworks(useful)}
}

// Len gives the number of distinct prefixes in the list.
func (w *Warninglist) Len() int { return w.networks.Len() }

// Contains reports whether a is in the list.
func (w *Warninglist) Contains(a netip.Addr) bool { return w.networks.Contains(a) }

// Overlaps reports whether the list has an address of p.
func (w *Warninglist) Overlaps(p netip.Prefix) bool { return w.networks.set.OverlapsPrefix(p) }

// Overlapping gives a prefix of the list that shares addresses with p, see
// [Networks.Overlapping].
func (w *Warninglist) Overlapping(p netip.Prefix) (netip.Prefix, bool) {
	return w.networks.Overlapping(p)
}

// Prefixes gives all prefixes of the list, in no order.
func (w *Warninglist) Prefixes() iter.Seq[netip.Prefix] { return w.networks.Prefixes() }

// Within gives the prefixes of the list that lie in p, see [Networks.Within].
func (w *Warninglist) Within(p netip.Prefix) iter.Seq[netip.Prefix] { return w.networks.Within(p) }

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
