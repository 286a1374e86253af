package silence

import (
	"net/netip"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A record is one silence, with the counters that stamps add to.
type record struct {
	Silence // counters left out
	number  uint64
	*counters
}

type counters struct {
	events [4]atomic.Uint64 // by severity
	last   atomic.Int64     // nanoseconds since 1970 of the latest event; 0 = none
}

// An index finds the silences that fit an event. It is never changed once it is in use. Each
// silence stands in the list of one of its conditions only, that with the fewest others: an
// event looks into the lists of what it is, and never at all silences.
type index struct {
	offenders, hosts prefixes
	rules, feeds     map[string][]*record
	services         map[Service][]*record
	sites            map[string][]*record
}

// prefixes are lists by prefix.
type prefixes struct {
	lists map[netip.Prefix][]*record
	any   *intel.Networks // turns most addresses away; nil = there are none
	bits  []int           // the lengths in lists of IPv4, and of IPv6 plus 33
}

// newIndex makes the index of silences in force; nil of none.
func newIndex(list []*record) *index {
	if len(list) == 0 {
		return nil
	}
	x := &index{
		offenders: prefixes{lists: make(map[netip.Prefix][]*record)}, hosts: prefixes{lists: make(map[netip.Prefix][]*record)},
		rules: make(map[string][]*record), feeds: make(map[string][]*record),
		services: make(map[Service][]*record), sites: make(map[string][]*record),
	}
	for _, r := range list {
		x.add(r)
	}
	x.offenders.finish()
	x.hosts.finish()
	return x
}

// add puts a silence into the shortest list of its conditions.
func (x *index) add(r *record) {
	least := -1
	var into func()
	offer := func(given bool, length int, add func()) {
		if given && (least < 0 || length < least) {
			least, into = length, add
		}
	}
	c := &r.Conditions
	offer(c.Offender.Bits() > 0, len(x.offenders.lists[c.Offender]), func() { put(x.offenders.lists, c.Offender, r) })
	offer(c.Host.Bits() > 0, len(x.hosts.lists[c.Host]), func() { put(x.hosts.lists, c.Host, r) })
	offer(c.Rule != "", len(x.rules[c.Rule]), func() { put(x.rules, c.Rule, r) })
	offer(c.Feed != "", len(x.feeds[c.Feed]), func() { put(x.feeds, c.Feed, r) })
	offer(!c.Service.IsZero(), len(x.services[c.Service]), func() { put(x.services, c.Service, r) })
	offer(c.Site != "", len(x.sites[c.Site]), func() { put(x.sites, c.Site, r) })
	if into != nil { // check lets no other in
		into()
	}
}

func put[K comparable](m map[K][]*record, key K, r *record) { m[key] = append(m[key], r) }

// finish makes what addresses are looked up with.
func (p *prefixes) finish() {
	if len(p.lists) == 0 {
		return
	}
	var all []netip.Prefix
	var seen [33 + 129]bool
	for prefix := range p.lists {
		all = append(all, prefix)
		n := prefix.Bits()
		if prefix.Addr().Is6() {
			n += 33
		}
		if !seen[n] {
			seen[n] = true
			p.bits = append(p.bits, n)
		}
	}
	p.any = intel.NewNetworks(all)
}

// A search looks for the silence that was made first among those that fit.
type search struct {
	e     *event.Event
	found *record
}

func (s *search) list(all []*record) {
	for _, r := range all {
		if (s.found == nil || r.number < s.found.number) && r.fits(s.e) {
			s.found = r
		}
	}
}

func (s *search) addr(p *prefixes, a netip.Addr) {
	if p.any == nil || !a.IsValid() || !p.any.Contains(a) {
		return
	}
	a = a.Unmap()
	for _, n := range p.bits {
		if is6 := n >= 33; is6 != a.Is6() {
			continue
		} else if is6 {
			n -= 33
		}
		prefix, _ := a.Prefix(n) // fits the family
		s.list(p.lists[prefix])
	}
}

// find gives the silence of an event, nil = there is none.
func (x *index) find(e *event.Event) *record {
	s := search{e: e}
	s.addr(&x.offenders, e.Offender)
	s.addr(&x.offenders, e.Embedded)
	s.addr(&x.hosts, e.Local)
	if len(x.rules) > 0 && e.Kind == event.KindAlert {
		s.list(x.rules[e.Alert])
		if r := e.RaisedBy(); r != nil {
			s.list(x.rules[r.Name])
		}
	}
	if len(x.feeds) > 0 && len(e.Indicators) > 0 {
		s.list(x.feeds[e.Indicators[0].Feed])
	}
	if len(x.services) > 0 && e.HasProtocol {
		s.list(x.services[Service{e.Protocol, e.ServicePort}])
		if e.ServicePort != 0 {
			s.list(x.services[Service{Protocol: e.Protocol}])
		}
	}
	if len(x.sites) > 0 {
		s.list(x.sites[e.Site])
	}
	return s.found
}

// fits reports whether all conditions that are given fit an event.
func (c *Conditions) fits(e *event.Event) bool {
	return (!c.Offender.IsValid() || has(c.Offender, e.Offender) || has(c.Offender, e.Embedded)) &&
		(!c.Host.IsValid() || has(c.Host, e.Local)) &&
		(c.Site == "" || c.Site == e.Site) &&
		(c.Service.IsZero() || e.HasProtocol && c.Service.Protocol == e.Protocol && (c.Service.Port == 0 || c.Service.Port == e.ServicePort)) &&
		(c.Feed == "" || onlyBy(e, c.Feed)) &&
		(c.Rule == "" || isOf(e, c.Rule))
}

// isOf reports whether an event is an alert of that name, or of the correlation rule of that name.
func isOf(e *event.Event, name string) bool {
	r := e.RaisedBy()
	return e.Kind == event.KindAlert && name == e.Alert || r != nil && name == r.Name
}

func has(p netip.Prefix, a netip.Addr) bool { return a.IsValid() && p.Contains(a.Unmap()) }

// onlyBy reports whether a feed lists the offender and no other does.
func onlyBy(e *event.Event, feed string) bool {
	for i := range e.Indicators {
		if e.Indicators[i].Feed != feed {
			return false
		}
	}
	return len(e.Indicators) > 0
}

// count notes an event.
func (c *counters) count(e *event.Event) {
	c.events[min(e.Severity, event.Critical)].Add(1)
	at := e.Time.UnixNano()
	for {
		last := c.last.Load()
		if at <= last || c.last.CompareAndSwap(last, at) {
			return
		}
	}
}
