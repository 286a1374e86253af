package correlate

import (
	"container/heap"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// contacts holds all contacts: by name, by last use, and those that have something
// to say by the time of their next update.
type contacts struct {
	byKey     map[contactKey]*contact
	order     *list.List // of *contact, the longest idle first
	updates   updates
	offenders map[netip.Addr]*listed
	lastID    uint64
}

// listed is what an offender's contacts share.
type listed struct {
	contacts int
	latest   *listing
	folded   uint64      // id of its folded contact, 0 = none
	hosts    []hostCount // its contacts that could fold
}

// A listing is what a table has said of an offender. It never changes.
type listing struct {
	indicators []intel.Indicator
	version    string
	base       int // score of the indicators
}

func newContacts() *contacts {
	return &contacts{
		byKey:     make(map[contactKey]*contact),
		order:     list.New(),
		offenders: make(map[netip.Addr]*listed),
	}
}

// keyOf gives the name of the contact that a hit belongs to.
func (t *contacts) keyOf(e *ends) contactKey {
	k := contactKey{
		offender: e.offender, local: e.local,
		protocol: e.protocol, hasProtocol: e.hasProtocol,
	}
	k.port = t.servicePort(k, e)
	return k
}

// servicePort gives the service port: the responder's when the initiator is known,
// else the one that this pair has used before, else that of the end that refuses, else
// the lower, which is the one below 1024 if any is. Without ports it is 0.
func (t *contacts) servicePort(k contactKey, e *ends) uint16 {
	a, b := e.offenderPort, e.localPort
	switch {
	case a == 0 || b == 0:
		return max(a, b)
	case e.initiator == offender:
		return b
	case e.initiator == local:
		return a
	}
	usedA, usedB := t.has(k, a), t.has(k, b)
	switch {
	case usedA && !usedB:
		return a
	case usedB && !usedA:
		return b
	case e.refuses() == local:
		return b
	case e.refuses() == offender:
		return a
	}
	return min(a, b)
}

func (t *contacts) has(k contactKey, port uint16) bool {
	k.port = port
	return t.byKey[k] != nil
}

// add makes room for a new contact at the end of the order.
func (t *contacts) add(k contactKey, now time.Duration) *contact {
	t.lastID++
	c := &contact{key: k, id: t.lastID, place: -1, first: now, last: now}
	t.byKey[k] = c
	c.age = t.order.PushBack(c)
	o := t.offenders[k.offender]
	if o == nil {
		o = new(listed)
		t.offenders[k.offender] = o
	}
	o.contacts++
	return c
}

// touch makes c the latest.
func (t *contacts) touch(c *contact, now time.Duration) {
	c.last = now
	t.order.MoveToBack(c.age)
}

func (t *contacts) remove(c *contact) {
	t.settle(c)
	delete(t.byKey, c.key)
	t.order.Remove(c.age)
	o := t.offenders[c.key.offender]
	if o.folded == c.id {
		o.folded = 0
	}
	if o.contacts--; o.contacts == 0 {
		delete(t.offenders, c.key.offender)
	}
}

// longestIdle gives the contact that has been idle for the longest time, or nil.
func (t *contacts) longestIdle() *contact {
	if e := t.order.Front(); e != nil {
		return e.Value.(*contact)
	}
	return nil
}

// relist takes in what the table of a hit says of the offender. A newer table
// replaces what was known. In the same table an entry may count at one port only:
// then the stronger listing stays.
func (t *contacts) relist(c *contact, m intel.Match, port uint16) {
	fresh := c.listing == nil || c.listing.version != m.Version() && !m.Empty()
	if !fresh && (c.port == port || m.Empty()) {
		return
	}
	c.port = port
	l := t.offenders[c.key.offender].share(m)
	if fresh || l.base > c.listing.base {
		c.listing = l
	}
}

// listAs makes the listing that of one hit, for events that tell of that hit only.
func (t *contacts) listAs(c *contact, m intel.Match) {
	c.listing = t.offenders[c.key.offender].share(m)
}

// share gives the listing of a match, the one in memory if it says the same.
func (o *listed) share(m intel.Match) *listing {
	l := &listing{indicators: m.Indicators(), version: m.Version()}
	if o.latest != nil && o.latest.version == l.version && slices.Equal(o.latest.indicators, l.indicators) {
		return o.latest
	}
	l.base = baseScore(l.indicators)
	o.latest = l
	return l
}

// When a contact with news is updated, counted from its first hit: after the first
// and the second of these, then at every full third.
const (
	firstUpdate  = time.Minute
	secondUpdate = 5 * time.Minute
	everyUpdate  = time.Hour
)

// wait puts c into the queue of updates, unless it waits already.
func (t *contacts) wait(c *contact, now time.Duration) {
	if c.place >= 0 {
		return
	}
	c.due = c.first + nextUpdate(now-c.first)
	heap.Push(&t.updates, c)
}

// settle takes c out of the queue of updates, and reports whether it was there: whether
// it has news.
func (t *contacts) settle(c *contact) bool {
	if c.place < 0 {
		return false
	}
	heap.Remove(&t.updates, c.place)
	return true
}

// nextUpdate gives the age at which a contact of the given age is updated next.
func nextUpdate(age time.Duration) time.Duration {
	switch {
	case age < firstUpdate:
		return firstUpdate
	case age < secondUpdate:
		return secondUpdate
	}
	return age - age%everyUpdate + everyUpdate
}

// updates is the queue of contacts that have news, as container/heap wants it.
type updates []*contact

func (u updates) Len() int { return len(u) }

func (u updates) Less(i, j int) bool {
	if u[i].due != u[j].due {
		return u[i].due < u[j].due
	}
	return u[i].id < u[j].id
}

func (u updates) Swap(i, j int) {
	u[i], u[j] = u[j], u[i]
	u[i].place, u[j].place = i, j
}

func (u *updates) Push(x any) {
	c := x.(*contact)
	c.place = len(*u)
	*u = append(*u, c)
}

func (u *updates) Pop() any {
	last := len(*u) - 1
	c := (*u)[last]
	(*u)[last] = nil
	*u = (*u)[:last]
	c.place = -1
	return c
}
