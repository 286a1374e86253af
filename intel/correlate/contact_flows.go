package correlate

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// An observer is where a flow was seen: a device, at its ingress or its egress
// (flowDirection, IE 61).
type observer struct {
	device netip.Addr // the sFlow agent, else the exporter
	egress bool
}

func observerOf(r *flow.Record) observer {
	o := observer{device: r.Exporter.Addr, egress: r.Has&flow.HasDirection != 0 && r.Direction == 1}
	if r.Exporter.Agent.IsValid() {
		o.device = r.Exporter.Agent
	}
	return o
}

// A flowKey names a flow within a contact, both of its directions.
type flowKey struct {
	contact                 uint64
	offenderPort, localPort uint16
}

// A seenFlow has the sums of all observers of one flow.
type seenFlow struct {
	key        flowKey
	last       time.Duration
	prev, next *seenFlow // by last
	n          uint8     // observers
	by         observed  // the first of them
}

// observed is what one observer has told of a flow.
type observed struct {
	device    packedAddr
	egress    bool
	connected bool // a firewall has told of the creation, but not yet of the end
	sums      [2]counters
	next      *observed
}

// seenFlows remembers the flows of late, to count once what several observers tell. Most
// flows have one or two observers and few have more, so that what is bounded beside the flows is
// the observers of all of them, not of each.
type seenFlows struct {
	byKey         map[flowKey]*seenFlow
	first, latest *seenFlow // the longest unseen first
	max           int
	observers     int
	maxObservers  int

	// runs are the flows that an observer tells of by running totals, the latest first. Few
	// do, so that they are not among what it has told.
	runs       map[*observed]*running
	running    int
	maxRunning int
}

// The most observers of one flow, and how many there may be per flow that is remembered.
const (
	maxObservers     = 2 * maxExporters
	observersPerFlow = 2
)

func newSeenFlows(most int) *seenFlows {
	return &seenFlows{byKey: make(map[flowKey]*seenFlow), runs: make(map[*observed]*running), max: most, maxObservers: max(observersPerFlow*most, maxObservers), maxRunning: max(most/flowsPerRunning, maxRunning)}
}

// A note is what the memory of flows makes of a sight.
type note struct {
	added     [2]counters // by how much the largest sums have grown
	duplicate bool        // another observer has told of the flow before
	full      bool        // the flow has too many observers for this one to count
	forgot    int         // other flows that had to make room
}

// note adds a sight to its flow.
func (t *seenFlows) note(k flowKey, way int, s *sight, now time.Duration) (n note) {
	f := t.get(k, &n)
	f.last = now
	o := t.observed(f, s.observer, &n)
	if o == nil {
		n.full = true
		return n
	}
	forth, back := s.forth, s.back
	forth.flows = o.connections(s.firewall)
	if s.totals != 0 {
		t.grown(f, o, way, s, &n, &forth, &back)
	}
	before := f.largest()
	o.sums[way].add(forth)
	o.sums[1-way].add(back)
	n.added = f.largest()
	for i := range n.added {
		n.added[i].sub(before[i])
	}
	n.duplicate = forth.flows > n.added[way].flows
	return n
}

// has reports whether a flow is remembered.
func (t *seenFlows) has(k flowKey) bool { return t.byKey[k] != nil }

// get gives the flow of a key as the latest one.
func (t *seenFlows) get(k flowKey, n *note) *seenFlow {
	f := t.byKey[k]
	if f == nil {
		if len(t.byKey) >= t.max {
			t.drop(t.first)
			n.forgot++
		}
		f = &seenFlow{key: k}
		t.byKey[k] = f
	} else {
		t.unlink(f)
	}
	f.prev, f.next = t.latest, nil
	if t.latest != nil {
		t.latest.next = f
	} else {
		t.first = f
	}
	t.latest = f
	return f
}

func (t *seenFlows) unlink(f *seenFlow) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		t.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		t.latest = f.prev
	}
}

func (t *seenFlows) drop(f *seenFlow) {
	t.unlink(f)
	t.observers -= int(f.n)
	for o := &f.by; o != nil && t.running > 0; o = o.next {
		for r := t.runs[o]; r != nil; r = r.next {
			t.running--
		}
		delete(t.runs, o)
	}
	delete(t.byKey, f.key)
}

// expire drops the flows that were not seen since before.
func (t *seenFlows) expire(before time.Duration) {
	for t.first != nil && t.first.last <= before {
		t.drop(t.first)
	}
}

// observed gives the sums of an observer of the latest flow, nil when there are too many.
func (t *seenFlows) observed(f *seenFlow, by observer, n *note) *observed {
	device := pack(by.device)
	o := &f.by
	for i := range f.n {
		if i > 0 {
			o = o.next
		}
		if o.device == device && o.egress == by.egress {
			return o
		}
	}
	if f.n >= maxObservers {
		return nil
	}
	if t.observers >= t.maxObservers {
		t.drop(t.first)
		n.forgot++
	}
	if f.n > 0 {
		o.next = new(observed)
		o = o.next
	}
	o.device, o.egress = device, by.egress
	f.n++
	t.observers++
	return o
}

// largest gives of each number the largest that an observer tells.
func (f *seenFlow) largest() (m [2]counters) {
	for o := &f.by; o != nil; o = o.next {
		m[0].raise(o.sums[0])
		m[1].raise(o.sums[1])
	}
	return m
}

// connections gives how many flows a record stands for: 1, but the creation, the
// updates and the end of one connection are 1 together.
func (o *observed) connections(firewallEvent uint8) uint64 {
	was := o.connected
	switch firewallEvent {
	case fwUpdated:
		o.connected = true
	case fwDeleted:
		o.connected = false
	case fwCreated:
		o.connected = true
		return 1
	default:
		return 1
	}
	if was {
		return 0
	}
	return 1
}
