package fold

import (
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Fold is what a contact keeps beside the rest when it stands for many. The zero value
// is empty.
type Fold struct {
	offender     netip.Addr // of the first flow
	local        netip.Addr // of the first flow
	port         uint16     // service port of the first flow
	site         uint16     // of the first flow
	manySites    bool       // there are others: only among what found no room
	hosts, ports distinct
}

// Fill writes what the contact stands for into an event. What is several is not named.
func (f *Fold) Fill(ev *event.Event) {
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

// Site gives the site of all flows, ok = false when they are of several.
func (f *Fold) Site() (site uint16, ok bool) { return f.site, !f.manySites }

// Join adds one flow to a folded contact and reports whether that is anything new.
func (m *Memory) Join(f *Fold, e *conversation.Ends) bool {
	if !f.offender.IsValid() {
		f.offender, f.local, f.port, f.site = e.Offender, e.Local, e.ServicePort, e.Site
	}
	f.manySites = f.manySites || f.site != e.Site
	hosts, ports := f.hosts.n, f.ports.n
	cut := f.hosts.capped || f.ports.capped
	m.count(&f.hosts, m.host(e.Site, e.Local))
	m.count(&f.ports, uint64(e.Protocol)<<16|uint64(e.ServicePort))
	return f.hosts.n != hosts || f.ports.n != ports || (f.hosts.capped || f.ports.capped) != cut
}

// Forget gives back what a folded contact remembers.
func (m *Memory) Forget(f *Fold) {
	m.forget(&f.hosts)
	m.forget(&f.ports)
}

// exact is how many ports and hosts a folded contact counts exactly. To do so it
// remembers them, 8 bytes each; perContact bounds these in all folded contacts together,
// per contact that may be held.
const (
	exact      = 1000
	perContact = 4
)

// A distinct counts different values, as long as it remembers them; when it no longer
// does, there are more than n.
type distinct struct {
	seen   []uint64 // sorted
	n      uint32
	capped bool
}

func (d *distinct) one() bool { return d.n == 1 && !d.capped }

// count adds a value. At exact, and when all folded contacts together may remember no
// more, the count ends.
func (m *Memory) count(d *distinct, value uint64) {
	if d.capped {
		return
	}
	at, known := slices.BinarySearch(d.seen, value)
	if known {
		return
	}
	full := m.values >= m.max && d.n > 0
	if d.n >= exact || full {
		if d.n < exact {
			m.cut.Add(1)
		}
		d.capped = true
		m.forget(d)
		return
	}
	d.seen = slices.Insert(d.seen, at, value)
	d.n++
	m.values++
}

func (m *Memory) forget(d *distinct) {
	m.values -= len(d.seen)
	d.seen = nil
}
