package correlate

import (
	"hash/maphash"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/dedup"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// One offender that scans would make a contact of every port and every host, and an
// event of each: of its unanswered inbound contacts these many stand alone, whatever
// goes beyond them joins one contact that counts ports and hosts.
const (
	foldPorts = 8  // service ports of one host
	foldHosts = 32 // hosts
)

// foldOneSided is how many contacts of one offender stand alone in which nothing but
// refusals was heard from the other end, and that are no unanswered inbound ones. An ACK
// from the offender, or a source port of a server, makes them look answered or outbound,
// and where flows are sampled or exported for one way only nothing else is ever seen of a
// real conversation. But packets can be forged, so that the flow of one end is no proof:
// a scan of ACKs would be an event for every port. What our end has sent something in
// always stands alone. It is as many as foldPorts and foldHosts leave to a scan.
const foldOneSided = foldPorts * foldHosts

// foldExact is how many ports and hosts a folded contact counts exactly. To do so it
// remembers them, 8 bytes each; foldMemory bounds these in all folded contacts together,
// per contact that may be held.
const (
	foldExact  = 1000
	foldMemory = 4
)

// foldShare is the part of Config.MaxFlows that is remembered of folded contacts beside
// the rest, to tell duplicates and answers.
const foldShare = 8

// A foldKind says whether a contact stands for many, as a part of its key: one offender's,
// or those of all offenders that a listed prefix holds, each at one site.
type foldKind uint8

const (
	notFolded  foldKind = iota
	ofOffender          // its scan
	ofOneSided          // what may be forged, see foldOneSided; rolled up, protocol is the length of the prefix plus one
	ofOverflow          // of all offenders: what finds no room among more severe contacts
	ofPrefix            // and up: rolled up, plus the length of the prefix
)

// withProtocol is no fold: in a packed key it stands for a contact of its own whose
// protocol is known.
const withProtocol foldKind = 255

// foldable says by which rule a contact or a flow may fold.
type foldable uint8

const (
	never      foldable = iota
	asScan              // unanswered and inbound: beyond foldPorts or foldHosts
	asOneSided          // beyond foldOneSided
)

// A fold is what a contact keeps beside the rest when it stands for many.
type fold struct {
	offender     netip.Addr // of the first flow
	local        netip.Addr // of the first flow
	port         uint16     // service port of the first flow
	site         uint16     // of the first flow
	manySites    bool       // there are others: only among what found no room
	hosts, ports distinct
}

// join adds one flow and reports whether that is anything new.
func (c *Correlator) join(f *fold, e *conversation.Ends) bool {
	if !f.offender.IsValid() {
		f.offender, f.local, f.port, f.site = e.Offender, e.Local, e.ServicePort, e.Site
	}
	f.manySites = f.manySites || f.site != e.Site
	hosts, ports := f.hosts.n, f.ports.n
	cut := f.hosts.capped || f.ports.capped
	c.countDistinct(&f.hosts, c.seed.host(e.Site, e.Local))
	c.countDistinct(&f.ports, uint64(e.Protocol)<<16|uint64(e.ServicePort))
	return f.hosts.n != hosts || f.ports.n != ports || (f.hosts.capped || f.ports.capped) != cut
}

// fill writes what the contact stands for. What is several is not named.
func (f *fold) fill(ev *event.Event) {
	ev.Folded, ev.Offender = true, f.offender
	ev.Hosts, ev.HostsCapped = f.hosts.n, f.hosts.capped
	ev.Ports, ev.PortsCapped = f.ports.n, f.ports.capped
	if f.hosts.one() {
		ev.Local = f.local
	}
	if f.ports.one() {
		ev.ServicePort = f.port
	}
}

// foldOf gives the key of the folded contact that a hit without a contact of its own
// joins, if it does. What our end has sent something in, other than inbound refusals,
// never does.
func (c *Correlator) foldOf(h *lookup.Hit, s *conversation.Sight, us conversation.Ours) (contactKey, bool) {
	if c.cfg.EveryHit {
		return contactKey{}, false
	}
	o := c.contacts.offender(s.Offender, s.Site)
	switch foldableAs(us.Direction(&s.Ends), s.IsAnswer(), s.TwoSided()) {
	case asScan:
		if p, ok := c.rolledUp(h.Match); ok {
			return contactKey{offender: p.Addr(), site: s.Site, fold: ofPrefix + foldKind(p.Bits())}, true
		}
		if o != nil && o.full(c.seed.host(s.Site, s.Local)) {
			return contactKey{offender: s.Offender, site: s.Site, fold: ofOffender}, true
		}
	case asOneSided:
		if p, ok := c.rolledUp(h.Match); ok {
			return contactKey{offender: p.Addr(), site: s.Site, protocol: uint8(p.Bits() + 1), fold: ofOneSided}, true
		}
		if o != nil && o.oneSided >= foldOneSided {
			return contactKey{offender: s.Offender, site: s.Site, fold: ofOneSided}, true
		}
	}
	return contactKey{}, false
}

// foldableAs gives the rule for what is known of a conversation.
func foldableAs(d event.Direction, answered, twoSided bool) foldable {
	switch {
	case d == event.Inbound && !answered:
		return asScan
	case !twoSided:
		return asOneSided
	}
	return never
}

// joined reports whether a flow of the same ends and ports has joined a folded contact
// of late: then it was the offender that opened the conversation.
func (c *Correlator) joined(h *lookup.Hit, e *conversation.Ends) bool {
	id := uint64(0)
	if o := c.contacts.offender(e.Offender, e.Site); o != nil {
		id = o.folded
	}
	if p, ok := c.rolledUp(h.Match); ok {
		if ct := c.contacts.get(contactKey{offender: p.Addr(), site: e.Site, fold: ofPrefix + foldKind(p.Bits())}); ct != nil {
			id = ct.id
		}
	}
	return id != 0 && c.foldFlows.Has(dedup.Key{Contact: c.seed.flow(id, e), OffenderPort: e.OffenderPort, LocalPort: e.LocalPort})
}

// RollUp replaces the listed prefixes whose unanswered inbound contacts are one contact
// each, because they match an absurd share of all flows; so are those that may be forged,
// see foldOneSided. An offender that something else
// lists as well is left out of that. It may be called from any goroutine.
func (c *Correlator) RollUp(prefixes []netip.Prefix) {
	all := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		all[p] = true
	}
	c.rollUps.Store(&all)
}

// rolledUp gives the prefix that a match is rolled up in: that of its best listing, if all
// of them are rolled up.
func (c *Correlator) rolledUp(m lookup.Match) (p netip.Prefix, ok bool) {
	all := c.rollUps.Load()
	if all == nil || len(*all) == 0 || m.Empty() {
		return p, false
	}
	listings := m.Indicators()
	for i := range listings {
		if !(*all)[listings[i].Prefix] {
			return p, false
		}
	}
	return listings[0].Prefix, true
}

// A hostCount is how many contacts of one offender with one host could fold and do not.
type hostCount struct {
	host     uint64 // see seed.host
	contacts int
}

// full reports whether a further contact with the host has to fold.
func (o *listed) full(host uint64) bool {
	for i := range o.hosts {
		if o.hosts[i].host == host {
			return o.hosts[i].contacts >= foldPorts
		}
	}
	return len(o.hosts) >= foldHosts
}

// add counts a contact with the host more, or one less.
func (o *listed) add(host uint64, n int) {
	i := slices.IndexFunc(o.hosts, func(h hostCount) bool { return h.host == host })
	switch {
	case i < 0:
		o.hosts = append(o.hosts, hostCount{host, n})
	case o.hosts[i].contacts+n == 0:
		o.hosts[i] = o.hosts[len(o.hosts)-1]
		o.hosts = o.hosts[:len(o.hosts)-1]
	default:
		o.hosts[i].contacts += n
	}
}

// account counts a contact among those that could fold for as long as it could.
func (c *Correlator) account(ct *contact, held bool) {
	could := never
	if held && ct.fold == nil {
		could = foldableAs(ct.Direction(), ct.Answered, ct.TwoSided)
	}
	if could == ct.foldable {
		return
	}
	c.countFoldable(ct, -1)
	ct.foldable = could
	c.countFoldable(ct, 1)
}

// countFoldable counts a contact more, or one less, by the rule that holds for it.
func (c *Correlator) countFoldable(ct *contact, n int) {
	o := c.contacts.offenders[ct.packed.at()]
	switch ct.foldable {
	case asScan:
		o.add(c.seed.host(ct.packed.site, ct.packed.local.Addr()), n)
	case asOneSided:
		o.oneSided += n
	}
}

// A distinct counts different values, as long as it remembers them; when it no longer
// does, there are more than n.
type distinct struct {
	seen   []uint64 // sorted
	n      uint32
	capped bool
}

func (d *distinct) one() bool { return d.n == 1 && !d.capped }

// countDistinct adds a value. At foldExact, and when all folded contacts together may
// remember no more, the count ends.
func (c *Correlator) countDistinct(d *distinct, value uint64) {
	if d.capped {
		return
	}
	at, known := slices.BinarySearch(d.seen, value)
	if known {
		return
	}
	full := c.foldValues >= foldMemory*c.cfg.MaxContacts && d.n > 0
	if d.n >= foldExact || full {
		countIf(&c.stats.foldsCut, d.n < foldExact)
		d.capped = true
		c.forget(d)
		return
	}
	d.seen = slices.Insert(d.seen, at, value)
	d.n++
	c.foldValues++
}

// forget gives back what a count remembers.
func (c *Correlator) forget(d *distinct) {
	c.foldValues -= len(d.seen)
	d.seen = nil
}

// unfold gives back what a folded contact remembers.
func (c *Correlator) unfold(ct *contact) {
	if ct.fold != nil {
		c.forget(&ct.fold.hosts)
		c.forget(&ct.fold.ports)
	}
}

// A seed makes hashes that nobody outside can foresee.
type seed struct{ maphash.Seed }

// host gives the hash of a host: an address at a site.
func (s seed) host(site uint16, a netip.Addr) uint64 {
	var b [18]byte
	addr := a.As16()
	copy(b[:], addr[:])
	b[16], b[17] = byte(site), byte(site>>8)
	return maphash.Bytes(s.Seed, b[:])
}

// flow gives the number that stands for a contact in the memory of flows, for one of
// the contacts in a folded one. Contacts that stand alone never have its top bit.
func (s seed) flow(folded uint64, e *conversation.Ends) uint64 {
	var b [64]byte
	local, off := e.Local.As16(), e.Offender.As16()
	n := copy(b[:], local[:])
	n += copy(b[n:], off[:])
	b[n], b[n+1], b[n+2] = e.Protocol, byte(e.Site), byte(e.Site>>8)
	for i := range 8 {
		b[n+3+i] = byte(folded >> (8 * i))
	}
	return maphash.Bytes(s.Seed, b[:n+11]) | 1<<63
}
