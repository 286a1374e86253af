package correlate

import (
	"container/list"
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
	key  flowKey
	last time.Duration
	by   []observed
}

// observed is what one observer has told of a flow.
type observed struct {
	observer
	connected bool // a firewall has told of the creation, but not yet of the end
	sums      [2]counters
}

// seenFlows remembers the flows of late, to count once what several observers tell.
type seenFlows struct {
	byKey map[flowKey]*list.Element
	order *list.List // of *seenFlow, the longest unseen first
	max   int
}

func newSeenFlows(max int) *seenFlows {
	return &seenFlows{byKey: make(map[flowKey]*list.Element), order: list.New(), max: max}
}

// A note is what the memory of flows makes of a sight.
type note struct {
	added     [2]counters // by how much the largest sums have grown
	duplicate bool        // another observer has told of the flow before
	full      bool        // the flow has too many observers for this one to count
	forgot    bool        // another flow had to make room
}

// note adds a sight to its flow.
func (t *seenFlows) note(k flowKey, way int, s *sight, now time.Duration) (n note) {
	f, forgot := t.get(k)
	n.forgot = forgot
	f.last = now
	o := f.observed(s.observer)
	if o == nil {
		n.full = true
		return n
	}
	forth := s.forth
	forth.flows = o.connections(s.firewall)
	before := f.largest()
	o.sums[way].add(forth)
	o.sums[1-way].add(s.back)
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
func (t *seenFlows) get(k flowKey) (f *seenFlow, forgot bool) {
	if e := t.byKey[k]; e != nil {
		t.order.MoveToBack(e)
		return e.Value.(*seenFlow), false
	}
	if forgot = len(t.byKey) >= t.max; forgot {
		t.drop(t.order.Front())
	}
	f = &seenFlow{key: k}
	t.byKey[k] = t.order.PushBack(f)
	return f, forgot
}

func (t *seenFlows) drop(e *list.Element) {
	f := t.order.Remove(e).(*seenFlow)
	delete(t.byKey, f.key)
}

// expire drops the flows that were not seen since before.
func (t *seenFlows) expire(before time.Duration) {
	for e := t.order.Front(); e != nil && e.Value.(*seenFlow).last <= before; e = t.order.Front() {
		t.drop(e)
	}
}

// observed gives the sums of an observer, nil when there are too many.
func (f *seenFlow) observed(o observer) *observed {
	for i := range f.by {
		if f.by[i].observer == o {
			return &f.by[i]
		}
	}
	if len(f.by) >= 2*maxExporters {
		return nil
	}
	f.by = append(f.by, observed{observer: o})
	return &f.by[len(f.by)-1]
}

// largest gives of each number the largest that an observer tells.
func (f *seenFlow) largest() (m [2]counters) {
	for i := range f.by {
		m[0].raise(f.by[i].sums[0])
		m[1].raise(f.by[i].sums[1])
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
