package fold

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// One offender that scans would make a contact of every port and every host, and an
// event of each: of its unanswered inbound contacts these many stand alone, whatever
// goes beyond them joins one contact that counts ports and hosts.
const (
	Ports = 8  // service ports of one host
	Hosts = 32 // hosts
)

// OneSided is how many contacts of one offender stand alone in which nothing but
// refusals was heard from the other end, and that are no unanswered inbound ones. An ACK
// from the offender, or a source port of a server, makes them look answered or outbound,
// and where flows are sampled or exported for one way only nothing else is ever seen of a
// real conversation. But packets can be forged, so that the flow of one end is no proof:
// a scan of ACKs would be an event for every port. What our end has sent something in
// always stands alone. It is as many as Ports and Hosts leave to a scan.
const OneSided = Ports * Hosts

// A Rule is the one by which a contact or a flow may fold.
type Rule uint8

const (
	Never      Rule = iota
	AsScan          // unanswered and inbound: beyond Ports or Hosts
	AsOneSided      // nothing but refusals was heard from our end: beyond OneSided
)

// RuleOf gives the rule for what is known of a conversation.
func RuleOf(d event.Direction, answered, twoSided bool) Rule {
	switch {
	case d == event.Inbound && !answered:
		return AsScan
	case !twoSided:
		return AsOneSided
	}
	return Never
}

// A Memory is what folding remembers beside the contacts. It belongs to the goroutine of
// the correlator, but for RollUp and Cut.
type Memory struct {
	seed    maphash.Seed
	rollUps atomic.Pointer[map[netip.Prefix]bool] // nil = none
	values  int                                   // that folded contacts remember
	max     int
	cut     atomic.Uint64
}

// New makes a memory for so many contacts.
func New(contacts int) *Memory {
	return &Memory{seed: maphash.MakeSeed(), max: perContact * contacts}
}

// Cut is the number of counts of ports or hosts that ended below 1,000, because folded
// contacts together remember no more. Any goroutine may ask.
func (m *Memory) Cut() uint64 { return m.cut.Load() }

// An Alone counts the contacts of one offender at one site that could fold and do not.
// The zero value is empty.
type Alone struct {
	hosts    []hostCount // those that could as a scan
	oneSided int
}

// A hostCount is how many contacts there are with one host.
type hostCount struct {
	host     uint64 // see Memory.host
	contacts int
}

// Full reports whether a further contact with a host has to fold by a rule; a is nil for
// an offender without contacts.
func (m *Memory) Full(a *Alone, by Rule, site uint16, host netip.Addr) bool {
	switch {
	case a == nil || by == Never:
		return false
	case by == AsOneSided:
		return a.oneSided >= OneSided
	}
	h := m.host(site, host)
	for i := range a.hosts {
		if a.hosts[i].host == h {
			return a.hosts[i].contacts >= Ports
		}
	}
	return len(a.hosts) >= Hosts
}

// Add counts n contacts more with a host by the rule that holds for them; n is 1 or -1.
func (m *Memory) Add(a *Alone, by Rule, site uint16, host netip.Addr, n int) {
	switch by {
	case Never:
		return
	case AsOneSided:
		a.oneSided += n
		return
	}
	h := m.host(site, host)
	i := slices.IndexFunc(a.hosts, func(c hostCount) bool { return c.host == h })
	switch {
	case i < 0:
		a.hosts = append(a.hosts, hostCount{h, n})
	case a.hosts[i].contacts+n == 0:
		a.hosts[i] = a.hosts[len(a.hosts)-1]
		a.hosts = a.hosts[:len(a.hosts)-1]
	default:
		a.hosts[i].contacts += n
	}
}

// RollUp replaces the listed prefixes whose unanswered inbound contacts are one contact
// each, because they match an absurd share of all flows; so are those that may be forged,
// see OneSided. An offender that something else lists as well is left out of that. It may
// be called from any goroutine.
func (m *Memory) RollUp(prefixes []netip.Prefix) {
	all := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		all[p] = true
	}
	m.rollUps.Store(&all)
}

// RolledUp gives the prefix that a match is rolled up in: that of its best listing, if all
// of them are rolled up.
func (m *Memory) RolledUp(match lookup.Match) (p netip.Prefix, ok bool) {
	all := m.rollUps.Load()
	if all == nil || len(*all) == 0 || match.Empty() {
		return p, false
	}
	listings := match.Indicators()
	for i := range listings {
		if !(*all)[listings[i].Prefix] {
			return p, false
		}
	}
	return listings[0].Prefix, true
}

// host gives the hash of a host, an address at a site, which nobody outside can foresee.
func (m *Memory) host(site uint16, a netip.Addr) uint64 {
	var b [18]byte
	addr := a.As16()
	copy(b[:], addr[:])
	b[16], b[17] = byte(site), byte(site>>8)
	return maphash.Bytes(m.seed, b[:])
}

// Flow gives the number that stands for a contact in the memory of flows, for one of the
// contacts in a folded one. Contacts that stand alone never have its top bit.
func (m *Memory) Flow(folded uint64, e *conversation.Ends) uint64 {
	var b [64]byte
	local, off := e.Local.As16(), e.Offender.As16()
	n := copy(b[:], local[:])
	n += copy(b[n:], off[:])
	b[n], b[n+1], b[n+2] = e.Protocol, byte(e.Site), byte(e.Site>>8)
	for i := range 8 {
		b[n+3+i] = byte(folded >> (8 * i))
	}
	return maphash.Bytes(m.seed, b[:n+11]) | 1<<63
}
