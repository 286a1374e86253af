package correlate

import (
	"container/heap"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// contacts holds all contacts: by name, by rank and last use, and those that have
// something to say by the time of their next update.
type contacts struct {
	seed      maphash.Seed
	byHash    map[uint64]*contact // of the key; a map of the keys themselves has 40 bytes more
	n         int
	ranks     [numRanks + 1]rank // the last is of overflow
	overflow  *contact           // what finds no room; nil = all have found it
	updates   updates
	offenders map[offenderAt]*listed
	listings  listing.Pool
	lastID    uint64
}

// Contacts are ranked by the highest severity that their events had.
const numRanks = int(event.Critical) + 1

// pinned is the rank of the overflow, which never makes room.
const pinned = event.Severity(numRanks)

// A rank is a list of contacts, the longest idle first.
type rank struct{ first, latest *contact }

func (r *rank) push(c *contact) {
	c.prev, c.next = r.latest, nil
	if r.latest != nil {
		r.latest.next = c
	} else {
		r.first = c
	}
	r.latest = c
}

func (r *rank) remove(c *contact) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		r.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		r.latest = c.prev
	}
}

// An offenderAt is an offender as one site sees it.
type offenderAt struct {
	addr packed.Addr
	site uint16
}

// at gives the offender of a key.
func (k *packedKey) at() offenderAt { return offenderAt{k.offender, k.site} }

// listed is what an offender's contacts at one site share.
type listed struct {
	contacts int
	folded   uint64 // id of its folded contact, 0 = none
	alone    fold.Alone
}

func newContacts() *contacts {
	return &contacts{
		seed:      maphash.MakeSeed(),
		byHash:    make(map[uint64]*contact),
		offenders: make(map[offenderAt]*listed),
		listings:  listing.NewPool(),
	}
}

// offender gives what the contacts of an offender at a site share, nil when it has none.
func (t *contacts) offender(a netip.Addr, site uint16) *listed {
	return t.offenders[offenderAt{packed.Of(a), site}]
}

// alone gives which contacts of an offender at a site could fold, nil when it has none.
func (t *contacts) alone(a netip.Addr, site uint16) *fold.Alone {
	if o := t.offender(a, site); o != nil {
		return &o.alone
	}
	return nil
}

// get gives the contact of a key, or nil.
func (t *contacts) get(k contactKey) *contact {
	p := k.pack()
	c := t.byHash[maphash.Comparable(t.seed, p)]
	for c != nil && c.packed != p {
		c = c.sameHash
	}
	return c
}

// keyOf gives the name of the contact that a hit belongs to.
func (t *contacts) keyOf(e *conversation.Ends) contactKey {
	k := contactKey{
		offender: e.Offender, local: e.Local, site: e.Site,
		protocol: e.Protocol, hasProtocol: e.HasProtocol,
	}
	k.port = t.servicePort(k, e)
	return k
}

// servicePort gives the service port: the responder's when the initiator is known,
// else the one that this pair has used before, else that of the end that refuses, else
// the lower, which is the one below 1024 if any is. Without ports it is 0.
func (t *contacts) servicePort(k contactKey, e *conversation.Ends) uint16 {
	a, b := e.OffenderPort, e.LocalPort
	switch {
	case a == 0 || b == 0:
		return max(a, b)
	case e.Initiator == conversation.Offender:
		return b
	case e.Initiator == conversation.Local:
		return a
	}
	usedA, usedB := t.has(k, a), t.has(k, b)
	switch {
	case usedA && !usedB:
		return a
	case usedB && !usedA:
		return b
	case e.Refuses() == conversation.Local:
		return b
	case e.Refuses() == conversation.Offender:
		return a
	}
	return min(a, b)
}

func (t *contacts) has(k contactKey, port uint16) bool {
	k.port = port
	return t.get(k) != nil
}

// add makes a new contact, which is the latest of the lowest rank until it is touched.
func (t *contacts) add(k contactKey, now time.Duration) *contact {
	t.lastID++
	c := &contact{packed: k.pack(), id: t.lastID, place: -1, first: now, last: now}
	hash := maphash.Comparable(t.seed, c.packed)
	c.sameHash = t.byHash[hash]
	t.byHash[hash] = c
	t.n++
	t.ranks[c.rank].push(c)
	o := t.offenders[c.packed.at()]
	if o == nil {
		o = new(listed)
		t.offenders[c.packed.at()] = o
	}
	o.contacts++
	return c
}

// touch makes c the latest of its rank.
func (t *contacts) touch(c *contact, now time.Duration) {
	t.ranks[c.rank].remove(c)
	c.last, c.rank = now, c.worst
	if c == t.overflow {
		c.rank = pinned
	}
	t.ranks[c.rank].push(c)
}

func (t *contacts) remove(c *contact) {
	t.settle(c)
	hash := maphash.Comparable(t.seed, c.packed)
	if first := t.byHash[hash]; first != c {
		for first.sameHash != c {
			first = first.sameHash
		}
		first.sameHash = c.sameHash
	} else if c.sameHash != nil {
		t.byHash[hash] = c.sameHash
	} else {
		delete(t.byHash, hash)
	}
	t.n--
	t.ranks[c.rank].remove(c)
	if c == t.overflow {
		t.overflow = nil
	}
	t.listings.LetGo(c.listing)
	o := t.offenders[c.packed.at()]
	if o.folded == c.id {
		o.folded = 0
	}
	if o.contacts--; o.contacts == 0 {
		delete(t.offenders, c.packed.at())
	}
}

// held gives the number of contacts that the cap is for.
func (t *contacts) held() int {
	if t.overflow != nil {
		return t.n - 1
	}
	return t.n
}

// longestIdle gives the contact that has been idle for the longest time, or nil.
func (t *contacts) longestIdle() (c *contact) {
	for i := range t.ranks {
		o := t.ranks[i].first
		if c == nil || o != nil && (o.last < c.last || o.last == c.last && o.id < c.id) {
			c = o
		}
	}
	return c
}

// leastSevere gives the contact that makes room: of the lowest rank the one that has been
// idle for the longest time.
func (t *contacts) leastSevere() *contact {
	for i := range numRanks {
		if c := t.ranks[i].first; c != nil {
			return c
		}
	}
	return nil
}

// relist takes in what the table of a hit has about the offender. A newer table
// replaces what was known. In the same table an entry may count at one port only:
// then the stronger listing stays.
func (t *contacts) relist(c *contact, m lookup.Match, port uint16) {
	fresh := c.listing == nil || c.listing.Version != m.Version() && !m.Empty()
	if !fresh && (c.port == port || m.Empty()) {
		return
	}
	c.port = port
	l := t.listings.Hold(m)
	if !fresh && l.Base <= c.listing.Base {
		t.listings.LetGo(l)
		return
	}
	t.listings.LetGo(c.listing)
	c.listing, c.in4 = l, embeddedIn(m)
}

// listAs makes the listing that of one hit, for events of that hit only.
func (t *contacts) listAs(c *contact, m lookup.Match) {
	l := t.listings.Hold(m)
	t.listings.LetGo(c.listing)
	c.listing, c.in4 = l, embeddedIn(m)
}

// embeddedIn gives the listed IPv4 address within the address of a match, 0 when there is
// none.
func embeddedIn(m lookup.Match) uint32 {
	a := m.Embedded()
	if !a.IsValid() {
		return 0
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
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
	heap.Remove(&t.updates, int(c.place))
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
	u[i].place, u[j].place = int32(i), int32(j)
}

func (u *updates) Push(x any) {
	c := x.(*contact)
	c.place = int32(len(*u))
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
