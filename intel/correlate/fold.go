package correlate

import (
	"hash/maphash"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel"
)

// One offender that scans would make a contact of every port and every host, and an
// event of each: of its unanswered inbound contacts these many stand alone, whatever
// goes beyond them joins one contact that counts ports and hosts.
const (
	foldPorts = 8  // service ports of one host
	foldHosts = 32 // hosts
)

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
// or those of all offenders that a listed prefix holds.
type foldKind uint8

const (
	notFolded  foldKind = iota
	ofOffender          // its scan
	ofPrefix            // and up: rolled up, plus the length of the prefix
)

// A fold is what a contact keeps beside the rest when it stands for many.
type fold struct {
	offender     netip.Addr // of the first flow
	local        netip.Addr // of the first flow
	port         uint16     // service port of the first flow
	hosts, ports distinct
}

// join adds one flow and reports whether that is anything new.
func (c *Correlator) join(f *fold, e *ends) bool {
	if !f.offender.IsValid() {
		f.offender, f.local, f.port = e.offender, e.local, e.servicePort
	}
	hosts, ports := f.hosts.n, f.ports.n
	cut := f.hosts.capped || f.ports.capped
	c.countDistinct(&f.hosts, c.seed.addr(e.local))
	c.countDistinct(&f.ports, uint64(e.protocol)<<16|uint64(e.servicePort))
	return f.hosts.n != hosts || f.ports.n != ports || (f.hosts.capped || f.ports.capped) != cut
}

// fill writes what the contact stands for. What is several is not named.
func (f *fold) fill(ev *intel.Event) {
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
// joins, if it does. What is answered, or not inbound, never does.
func (c *Correlator) foldOf(h *intel.Hit, e *ends, s *sight, us homes) (contactKey, bool) {
	if c.cfg.EveryHit || us.direction(e.opener()) != intel.Inbound || !s.blocked && e.isAnswer(s.back.any()) {
		return contactKey{}, false
	}
	if key, ok := c.rolledUp(h.Match); ok {
		return key, true
	}
	if o := c.contacts.offender(e.offender); o != nil && o.full(c.seed.addr(e.local)) {
		return contactKey{offender: e.offender, fold: ofOffender}, true
	}
	return contactKey{}, false
}

// joined reports whether a flow of the same ends and ports has joined a folded contact
// of late: then it was the offender that opened the conversation.
func (c *Correlator) joined(h *intel.Hit, e *ends) bool {
	id := uint64(0)
	if o := c.contacts.offender(e.offender); o != nil {
		id = o.folded
	}
	if key, ok := c.rolledUp(h.Match); ok && c.contacts.get(key) != nil {
		id = c.contacts.get(key).id
	}
	return id != 0 && c.foldFlows.has(flowKey{c.seed.flow(id, e), e.offenderPort, e.localPort})
}

// RollUp replaces the listed prefixes whose unanswered inbound contacts are one contact
// each, because they match an absurd share of all flows. An offender that something else
// lists as well is left out of that. It may be called from any goroutine.
func (c *Correlator) RollUp(prefixes []netip.Prefix) {
	all := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		all[p] = true
	}
	c.rollUps.Store(&all)
}

// rolledUp gives the key of the contact that a match is rolled up in: that of its best
// listing, if all of them are rolled up.
func (c *Correlator) rolledUp(m intel.Match) (key contactKey, ok bool) {
	all := c.rollUps.Load()
	if all == nil || len(*all) == 0 || m.Empty() {
		return key, false
	}
	listings := m.Indicators()
	for i := range listings {
		if !(*all)[listings[i].Prefix] {
			return key, false
		}
	}
	p := listings[0].Prefix
	return contactKey{offender: p.Addr(), fold: ofPrefix + foldKind(p.Bits())}, true
}

// A hostCount is how many contacts of one offender with one host could fold and do not.
type hostCount struct {
	host     uint64 // see seed.addr
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
	could := held && ct.fold == nil && !ct.answered && ct.direction() == intel.Inbound
	if could == ct.foldable {
		return
	}
	ct.foldable = could
	n := -1
	if could {
		n = 1
	}
	c.contacts.offenders[ct.packed.offender].add(c.seed.addr(ct.packed.local.addr()), n)
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

// addr gives the hash of an address.
func (s seed) addr(a netip.Addr) uint64 {
	b := a.As16()
	return maphash.Bytes(s.Seed, b[:])
}

// flow gives the number that stands for a contact in the memory of flows, for one of
// the contacts in a folded one. Contacts that stand alone never have its top bit.
func (s seed) flow(folded uint64, e *ends) uint64 {
	var b [64]byte
	local, off := e.local.As16(), e.offender.As16()
	n := copy(b[:], local[:])
	n += copy(b[n:], off[:])
	b[n] = e.protocol
	for i := range 8 {
		b[n+1+i] = byte(folded >> (8 * i))
	}
	return maphash.Bytes(s.Seed, b[:n+9]) | 1<<63
}
