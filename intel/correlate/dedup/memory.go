package dedup

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
)

// A Key names a flow within a contact, both of its directions.
type Key struct {
	Contact                 uint64
	OffenderPort, LocalPort uint16
}

// A remembered has the sums of all observers of one flow.
type remembered struct {
	key        Key
	last       time.Duration
	prev, next *remembered // by last
	n          uint8       // observers
	by         observed    // the first of them
}

// observed is what one observer has reported of a flow.
type observed struct {
	device    packed.Addr
	egress    bool
	connected bool // a firewall has reported the creation, but not yet the end
	sums      [2]conversation.Counters
	next      *observed
}

// A Memory remembers the latest flows, to count once what several observers report. Most
// flows have one or two observers and few have more, so that what is bounded beside the flows is
// the observers of all of them, not of each.
type Memory struct {
	byKey         map[Key]*remembered
	first, latest *remembered // the longest unseen first
	max           int
	observers     int
	maxObservers  int

	// runs are the flows that an observer reports by running totals, the latest first. Few
	// do, so that they are not among what it has reported.
	runs       map[*observed]*running
	running    int
	maxRunning int
}

// The most observers of one flow, and how many there may be per flow that is remembered.
const (
	maxObservers     = 16
	observersPerFlow = 2
)

// New makes a memory of that many flows.
func New(most int) *Memory {
	return &Memory{byKey: make(map[Key]*remembered), runs: make(map[*observed]*running), max: most, maxObservers: max(observersPerFlow*most, maxObservers), maxRunning: max(most/flowsPerRunning, maxRunning)}
}

// A Note is what the memory makes of a sight.
type Note struct {
	Added     [2]conversation.Counters // by direction: by how much the largest sums have grown
	Duplicate bool                     // another observer has reported the flow before
	Full      bool                     // the flow has too many observers for this one to count
	Forgot    int                      // other flows that had to make room
}

// Note adds a sight to its flow at the time now, a reading of a clock that never goes back.
func (t *Memory) Note(k Key, s *conversation.Sight, now time.Duration) (n Note) {
	way := s.Sender.Way()
	f := t.get(k, &n)
	f.last = now
	o := t.observed(f, s.Observer, &n)
	if o == nil {
		n.Full = true
		return n
	}
	forth, back := s.Forth, s.Back
	forth.Flows = o.connections(s.Firewall)
	if s.Totals != 0 {
		t.grown(f, o, way, s, &n, &forth, &back)
	}
	before := f.largest()
	o.sums[way].Add(forth)
	o.sums[1-way].Add(back)
	n.Added = f.largest()
	for i := range n.Added {
		n.Added[i].Sub(before[i])
	}
	n.Duplicate = forth.Flows > n.Added[way].Flows
	return n
}

// Len gives the number of flows that are remembered.
func (t *Memory) Len() int { return len(t.byKey) }

// Has reports whether a flow is remembered.
func (t *Memory) Has(k Key) bool { return t.byKey[k] != nil }

// get gives the flow of a key as the latest one.
func (t *Memory) get(k Key, n *Note) *remembered {
	f := t.byKey[k]
	if f == nil {
		if len(t.byKey) >= t.max {
			t.drop(t.first)
			n.Forgot++
		}
		f = &remembered{key: k}
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

func (t *Memory) unlink(f *remembered) {
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

func (t *Memory) drop(f *remembered) {
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

// Expire drops the flows that were not seen since before.
func (t *Memory) Expire(before time.Duration) {
	for t.first != nil && t.first.last <= before {
		t.drop(t.first)
	}
}

// observed gives the sums of an observer of the latest flow, nil when there are too many.
func (t *Memory) observed(f *remembered, by conversation.Observer, n *Note) *observed {
	device := packed.Of(by.Device)
	o := &f.by
	for i := range f.n {
		if i > 0 {
			o = o.next
		}
		if o.device == device && o.egress == by.Egress {
			return o
		}
	}
	if f.n >= maxObservers {
		return nil
	}
	if t.observers >= t.maxObservers {
		t.drop(t.first)
		n.Forgot++
	}
	if f.n > 0 {
		o.next = new(observed)
		o = o.next
	}
	o.device, o.egress = device, by.Egress
	f.n++
	t.observers++
	return o
}

// largest gives of each number the largest that an observer reports.
func (f *remembered) largest() (m [2]conversation.Counters) {
	for o := &f.by; o != nil; o = o.next {
		m[0].Raise(o.sums[0])
		m[1].Raise(o.sums[1])
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

// The values of firewallEvent (233) of the life of a connection.
const (
	fwCreated = 1
	fwDeleted = 2
	fwUpdated = 5
)
